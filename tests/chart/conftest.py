"""Helm for the chart's tests."""

import pytest

from chart.rendering import Helm, Rendered


@pytest.fixture(scope="session")
def helm_program(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def default(helm_program: Helm) -> Rendered:
    """The chart with its default values."""
    return helm_program.render()
