"""A Dockerfile as its instructions: enough of the format to check ours."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.state import REPOSITORY

IMAGES: Final = {name: REPOSITORY / "images" / name for name in ("operator", "engine-simulator")}
"""The folder of each image; the build's context is the repository."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `value` is what follows its name, on one line."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words of an instruction in exec form. Raises ValueError for the shell form."""
        words = json.loads(self.value)
        if not isinstance(words, list):
            raise ValueError(f"{self.name} {self.value} is not a list")
        return words


def instructions(folder: Path) -> list[Instruction]:
    """All instructions of the Dockerfile in that folder, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", (folder / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def stages(folder: Path) -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    split: list[list[Instruction]] = []
    for instruction in instructions(folder):
        if instruction.name == "FROM":
            split.append([])
        if split:
            split[-1].append(instruction)
    return split
