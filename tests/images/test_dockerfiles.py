"""What can be told of the images without building them."""

import re
import tomllib
from pathlib import Path

import pytest

from cluster.state import REPOSITORY
from images.dockerfile import IMAGES, Instruction, instructions, stages

every_image = pytest.mark.parametrize("folder", [pytest.param(folder, id=name) for name, folder in IMAGES.items()])


def last(folder: Path, name: str) -> Instruction:
    """The instruction of that name that holds for the finished image."""
    return [instruction for instruction in stages(folder)[-1] if instruction.name == name][-1]


@every_image
def test_the_user_is_a_number_and_not_root(folder: Path) -> None:
    user, group = last(folder, "USER").value.split(":")
    assert int(user) > 0
    assert int(group) > 0


@every_image
def test_every_stage_starts_from_the_base_that_the_builder_names(folder: Path) -> None:
    base = instructions(folder)[0]
    assert base.name == "ARG"
    assert base.value.startswith("BASE=")
    assert all(stage[0].value.split()[0] == "${BASE}" for stage in stages(folder))


@every_image
def test_nothing_runs_in_a_shell(folder: Path) -> None:
    for instruction in instructions(folder):
        if instruction.name in ("RUN", "ENTRYPOINT", "CMD"):
            assert instruction.words, instruction


@every_image
def test_credentials_and_registries_of_the_builder_stay_out(folder: Path) -> None:
    """Whatever a build needs of its machine comes from outside; an ARG or ENV would be kept in the image's history."""
    arguments = [instruction.value.split("=")[0] for instruction in instructions(folder) if instruction.name == "ARG"]
    assert arguments == ["BASE"]
    text = (folder / "Dockerfile").read_text()
    assert not re.search(r"token|password|secret|credential|index-url|proxy|pip\.conf|https?://[^/\s]*@", text, re.I)


@every_image
def test_the_build_sees_all_that_it_copies_and_not_the_whole_checkout(folder: Path) -> None:
    patterns = [line for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert patterns[0] == "*"
    seen = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    copied = {
        source
        for instruction in instructions(folder)
        if instruction.name == "COPY" and "--from=" not in instruction.value
        for source in instruction.value.split()[:-1]
        if not source.startswith("--")
    }
    assert copied == seen
    assert all((REPOSITORY / source).exists() for source in copied)


def test_the_operator_starts_by_a_script_of_the_package() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert last(IMAGES["operator"], "ENTRYPOINT").words[0] in scripts


def test_the_simulator_starts_by_a_program_of_its_own() -> None:
    (program,) = last(IMAGES["engine-simulator"], "ENTRYPOINT").words
    assert (IMAGES["engine-simulator"] / "bin" / program).stat().st_mode & 0o111 == 0o111


def test_both_images_hold_the_same_build() -> None:
    operator, simulator = (stages(folder)[0] for folder in IMAGES.values())
    assert operator == simulator
