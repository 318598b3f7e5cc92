"""Marks of the tests of engines."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "network: compares committed tables with what PyPI has")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs PyPI, unless it is asked for by `-m network`."""
    if "network" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("network"):
                item.add_marker(pytest.mark.skip(reason="reads PyPI; asked for by -m network"))
