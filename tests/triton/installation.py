"""The real tritonserver of the nvidia-pytriton wheel, installed once per user and Python, outside the project.

The server embeds a Python for its backends: the one that PATH finds, of a version that the wheel brings a stub for,
with its shared library. NumPy must be older than 2, which leaves Python 3.9 to 3.12. The Python that runs the tests is
taken when it fits, else the newest that does.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.cache import cache_folder, make_once

_REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
_MACHINES: Final = ("aarch64", "x86_64")
_OLDEST_GLIBC: Final = (2, 35)
_PYTHONS: Final = ("3.12", "3.11", "3.10", "3.9")

_DESCRIBE: Final = """
import json, sys, sysconfig
folder = sysconfig.get_config_var("LIBDIR") or ""
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "folders": [folder, folder + "/" + (sysconfig.get_config_var("MULTIARCH") or "")],
    "library": sysconfig.get_config_var("INSTSONAME") or "",
}))
"""


class Unsupported(Exception):
    """This machine cannot run the wheel; the text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that the server can embed."""

    version: str
    executable: Path
    library_folder: Path


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed server."""

    folder: Path
    python: Python

    @property
    def server(self) -> Path:
        """The program."""
        return self._packages / "pytriton/tritonserver/bin/tritonserver"

    @property
    def python_backend(self) -> Path:
        """The folder that a backend directory needs as `python`."""
        return self.folder / "python_backend"

    def environment(self) -> Mapping[str, str]:
        """Variables of the server's process. Without a UTF-8 locale its Python dies of the first non-ASCII prompt."""
        return {
            "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": f"{self._packages / 'nvidia_pytriton.libs'}:{self.python.library_folder}",
            "PATH": f"{self.folder / 'python/bin'}:{os.defpath}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def _packages(self) -> Path:
        return self.folder / f"python/lib/python{self.python.version}/site-packages"


def installation() -> Installation:
    """The installed server; downloads 75 MB from PyPI the first time. Raises Unsupported."""
    _check_platform()
    python = _python()
    key = hashlib.sha256(_REQUIREMENTS.read_bytes() + bytes(python.executable)).hexdigest()[:12]
    target = cache_folder() / "triton" / f"python{python.version}-{key}"
    make_once(target, lambda folder: _install(Installation(folder, python)))
    return Installation(target, python)


def _check_platform() -> None:
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise Unsupported(f"nvidia-pytriton has no wheel for {platform.system()} on {platform.machine()}")
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < _OLDEST_GLIBC:
        raise Unsupported(
            f"nvidia-pytriton needs glibc 2.35 or later; this is {library or 'another C library'} {version}"
        )


def _python() -> Python:
    found = list(_candidates())
    for python in found:
        if python.library_folder != Path():
            return python
    if found:
        versions = sorted({f"libpython{python.version}" for python in found})
        raise Unsupported(f"no shared library of Python; on Debian: sudo apt-get install -y {versions[-1]}")
    raise Unsupported(
        f"Triton's Python backend with NumPy 1 needs one of Python {', '.join(_PYTHONS)}; none is on PATH"
    )


def _candidates() -> Iterator[Python]:
    """Pythons of a version that fits, best first; without a library folder when the shared library is missing."""
    for program in (sys.executable, *(shutil.which(f"python{version}") for version in _PYTHONS)):
        if program is None:
            continue
        # A shim of a version manager may be on PATH although it leads nowhere.
        described = subprocess.run([program, "-c", _DESCRIBE], capture_output=True, text=True, check=False)
        if described.returncode != 0:
            continue
        python = json.loads(described.stdout)
        if python["version"] in _PYTHONS:
            folders = [Path(folder) for folder in python["folders"] if (Path(folder) / python["library"]).is_file()]
            yield Python(python["version"], Path(python["executable"]), folders[0] if folders else Path())


def _install(unfinished: Installation) -> None:
    environment = unfinished.folder / "python"
    print(f"Installing tritonserver from PyPI ({unfinished.python.executable}) ...", file=sys.stderr, flush=True)
    _run(str(unfinished.python.executable), "-m", "venv", "--without-pip", str(environment))
    pip = (sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install")
    _run(*pip, "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", "--requirement", str(_REQUIREMENTS))
    packaged = unfinished.server.parent.parent
    shutil.copytree(packaged / "backends/python", unfinished.python_backend)
    stub = "triton_python_backend_stub"
    shutil.copy(packaged / "python_backend_stubs" / unfinished.python.version / stub, unfinished.python_backend)


def _run(*command: str) -> None:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise RuntimeError(f"'{' '.join(command)}' failed:\n{outcome.stderr or outcome.stdout}")
