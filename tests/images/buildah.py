"""Building and running images with buildah, which needs no daemon; as root, on Debian.

Public base images may be out of reach where this runs, so the base is a Debian of the same release, by debootstrap.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cluster.state import REPOSITORY
from images.dockerfile import IMAGES

BASE: Final = "localhost/conch-test-base:bookworm"
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_OF_THE_MACHINE: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
"""How this machine reaches PyPI: seen by the build, never part of an image."""
_BUILD_SECONDS: Final = 900


class Unsupported(Exception):
    """Images cannot be built here, for the reason in the text."""


def check() -> None:
    """Raises Unsupported with what is missing."""
    missing = [program for program in ("buildah", "debootstrap", "unshare", "ip") if not shutil.which(program)]
    if missing:
        raise Unsupported(f"no {' and no '.join(missing)}: apt-get install buildah debootstrap util-linux iproute2")
    if os.geteuid() != 0:
        raise Unsupported("debootstrap and buildah's chroot isolation need root")


def make_base(folder: Path) -> None:
    """Makes `BASE`, unless it is there already; `folder` is for the root file system on its way into it."""
    if subprocess.run(["buildah", "inspect", BASE], capture_output=True, check=False).returncode == 0:
        return
    root = folder / "root"
    _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root))
    container = _run("buildah", "from", "scratch")
    try:
        _run("buildah", "add", "--quiet", container, str(root), "/")
        _run("buildah", "commit", "--quiet", container, BASE)
    finally:
        _run("buildah", "rm", container)
        shutil.rmtree(root)


def build(name: str) -> str:
    """Builds the image from its Dockerfile and returns its tag."""
    tag = f"localhost/conch-test-{name}"
    volumes = [f"--volume={file}:{file}:ro" for file in _OF_THE_MACHINE if Path(file).exists()]
    dockerfile = IMAGES[name] / "Dockerfile"
    arguments = ("--isolation=chroot", f"--build-arg=BASE={BASE}", *volumes, f"--file={dockerfile}", f"--tag={tag}")
    _run("buildah", "bud", *arguments, str(REPOSITORY))
    return tag


class Container:
    """A container of an image. Each command runs with a loopback of its own and no other network."""

    def __init__(self, image: str) -> None:
        """Starts nothing yet."""
        self._image = image
        self._name = _run("buildah", "from", image)

    def run(
        self,
        command: Sequence[str],
        *,
        user: str = "",
        volumes: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """What the command prints on its standard output; `volumes` by their place in the container.

        Raises CalledProcessError.
        """
        options = (
            *([f"--user={user}"] if user else []),
            *(f"--volume={folder}:{place}" for place, folder in (volumes or {}).items()),
            *(f"--env={name}={value}" for name, value in (env or {}).items()),
        )
        in_own_network = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
        return _run(*in_own_network, "buildah", "run", "--isolation=chroot", *options, self._name, "--", *command)

    def remove(self) -> None:
        """Removes the container and its image; only the base stays for the next time."""
        _run("buildah", "rm", self._name)
        _run("buildah", "rmi", self._image)


def _run(*command: str) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    if outcome.returncode != 0:
        raise subprocess.CalledProcessError(outcome.returncode, command, outcome.stdout, outcome.stderr)
    return outcome.stdout.strip()
