"""What is missing is named, in one line that says what to do."""

import os
import subprocess
from pathlib import Path

import pytest

from cluster import namespaces, prerequisites
from cluster.failure import ClusterFailure


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only folder of programs is empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prerequisites, "SYSTEM_PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_missing_programs_are_named_by_package(nothing_installed: Path) -> None:
    program(nothing_installed, "ip", "")
    with pytest.raises(ClusterFailure) as failure:
        prerequisites.ensure_programs()
    assert str(failure.value) == (
        "Missing system packages: mount, nftables, util-linux. "
        "Run: sudo apt-get install -y --no-install-recommends mount nftables util-linux"
    )


@pytest.mark.parametrize(("user_id", "advice"), [(0, "run it privileged"), (1000, "run this as root")])
def test_forbidden_namespaces_are_one_line(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, user_id: int, advice: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    program(nothing_installed, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    with pytest.raises(ClusterFailure, match=r"unshare failed: Operation not permitted.*KUBECONFIG") as failure:
        namespaces.new_namespaces()
    assert advice in str(failure.value)
    assert "\n" not in str(failure.value)


def test_this_machine_has_all(tmp_path: Path) -> None:
    """Otherwise no test of a cluster could have run."""
    prerequisites.ensure_programs()
    prefix = namespaces.new_namespaces()
    inside = subprocess.run([*prefix, "sh", "-c", "echo $$ $(id -u)"], capture_output=True, text=True, check=True)
    assert inside.stdout.split() == ["1", "0"]
