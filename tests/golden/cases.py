"""Golden cases: for each example, what `conch render` prints for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conch.cli.render import render

FOLDER: Final = Path(__file__).parent
EXAMPLES: Final = FOLDER.parents[1] / "examples"


def rendered() -> Mapping[Path, str]:
    """The golden files as they would be written now."""
    return {
        FOLDER / example.name: render(example.read_text(), f"examples/{example.name}")
        for example in sorted(EXAMPLES.glob("*.yaml"))
    }


def committed() -> Mapping[Path, str]:
    """The golden files as they are."""
    return {file: file.read_text() for file in sorted(FOLDER.glob("*.yaml"))}
