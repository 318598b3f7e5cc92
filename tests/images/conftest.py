"""Marks of the tests of images."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "images: builds the images with buildah, from Debian and PyPI")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what builds images, unless it is asked for by `-m images`."""
    if "images" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("images"):
                item.add_marker(pytest.mark.skip(reason="builds images; asked for by -m images"))
