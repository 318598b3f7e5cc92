"""System programs and kernel features that the local cluster needs.

Nothing here needs root except installing packages: where the user is root and apt is there, it is done; elsewhere the
one command to run is named.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from cluster.failure import ClusterFailure

# Program -> Debian package.
PROGRAMS: Final[Mapping[str, str]] = {
    "ip": "iproute2",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

# Debian keeps network programs where an ordinary user's PATH does not look.
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def search_path(environment: Mapping[str, str] = os.environ) -> str:
    """The PATH that programs of the cluster are looked up in."""
    return f"{environment.get('PATH', '')}:{SYSTEM_PATH}"


def missing_packages(path: str) -> tuple[str, ...]:
    """Debian packages of the programs that `path` does not hold, sorted."""
    return tuple(sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}))


def ensure_programs() -> None:
    """Installs what is missing when it may, and otherwise says how.

    Raises `ClusterFailure` with the command to run.
    """
    missing = missing_packages(search_path())
    if not missing:
        return
    install = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get", path=search_path()):
        raise ClusterFailure(f"Missing system packages: {', '.join(missing)}. Run: sudo {install}")
    print(f"Installing system packages: {', '.join(missing)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], install.split()):
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise ClusterFailure(f"'{' '.join(command)}' failed:\n{outcome.stderr or outcome.stdout}")
