"""Where the wheel cannot run, the reason is said, with what would help."""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from triton import installation
from triton.installation import Unsupported


def pythons(monkeypatch: pytest.MonkeyPatch, *described: dict[str, Any]) -> None:
    """Makes these the Pythons of the machine."""
    answers = iter(described)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        answer = next(answers, None)
        return subprocess.CompletedProcess(command, 1 if answer is None else 0, stdout=json.dumps(answer))

    monkeypatch.setattr(subprocess, "run", run)


def python(version: str, folder: Path) -> dict[str, Any]:
    library = f"libpython{version}.so.1.0"
    return {"version": version, "executable": f"/python{version}", "folders": ["", str(folder)], "library": library}


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Unsupported, match="no wheel for Linux on riscv64"):
        installation.installation()


@pytest.mark.parametrize("library", [("musl", "1.2"), ("glibc", "2.31"), ("", "")])
def test_another_c_library(monkeypatch: pytest.MonkeyPatch, library: tuple[str, str]) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    with pytest.raises(Unsupported, match=r"needs glibc 2\.35 or later"):
        installation.installation()


def test_only_a_newer_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pythons(monkeypatch, python("3.14", tmp_path))
    with pytest.raises(Unsupported, match=r"needs one of Python 3\.12, 3\.11, 3\.10, 3\.9"):
        installation._python()


def test_a_python_without_its_shared_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pythons(monkeypatch, python("3.11", tmp_path))
    with pytest.raises(Unsupported, match=r"apt-get install -y libpython3\.11"):
        installation._python()


def test_a_python_that_runs_the_tests_but_does_not_fit_gives_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    (tmp_path / "libpython3.12.so.1.0").touch()
    pythons(monkeypatch, python("3.14", tmp_path), python("3.12", tmp_path))
    assert installation._python().executable == Path("/python3.12")
