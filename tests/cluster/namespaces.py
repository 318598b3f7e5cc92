"""Linux namespaces that hold the cluster: user, network, mount and process.

Network: pods, Services and ports of the control plane clash with nothing. Process: when the first process inside ends,
the kernel ends all others. User: an ordinary user is root inside, so none of it needs privileges.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

from cluster.failure import ClusterFailure
from cluster.prerequisites import search_path

# --kill-child: the first process inside is killed when `unshare` ends.
_ISOLATED: Final = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
_AS_ROOT_INSIDE: Final = ("--user", "--map-root-user")

# Option of nsenter -> file in /proc/PID/ns.
_KINDS: Final = {"user": "user", "mount": "mnt", "net": "net", "pid": "pid"}

# The kernel ends the command with the thread that started it, even when that is killed.
TIED: Final = ("setpriv", "--pdeathsig", "KILL")


def new_namespaces() -> tuple[str, ...]:
    """The words to put before a command that shall run in namespaces of its own.

    Root can do without a user namespace where the kernel refuses one. Raises `ClusterFailure` where nothing works.
    """
    refusal = _refusal(_ISOLATED + _AS_ROOT_INSIDE)
    if refusal is None:
        return _ISOLATED + _AS_ROOT_INSIDE
    if os.geteuid() == 0:
        refusal = _refusal(_ISOLATED)
        if refusal is None:
            return _ISOLATED
        raise ClusterFailure(
            f"This machine lets not even root make namespaces ({refusal}); inside a container, run it privileged, "
            "or use another cluster by KUBECONFIG."
        )
    raise ClusterFailure(
        f"This machine forbids user namespaces to ordinary users ({refusal}); run this as root, allow them "
        "(sysctl user.max_user_namespaces, or kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), "
        "or use another cluster by KUBECONFIG."
    )


def _refusal(prefix: tuple[str, ...]) -> str | None:
    """Why the kernel refuses these namespaces, None if it grants them."""
    trial = subprocess.run(
        [*prefix, "true"], env={**os.environ, "PATH": search_path()}, capture_output=True, text=True, check=False
    )
    return None if trial.returncode == 0 else (trial.stderr.strip().splitlines() or ["no reason given"])[-1]


def entering(process_id: int) -> tuple[str, ...]:
    """The words to put before a command that shall run in the namespaces of that process.

    One that is shared already cannot be entered. The one user that is mapped inside is kept, not switched to. The
    command ends with the process that was asked for it.
    """
    apart = [f"--{kind}" for kind, file in _KINDS.items() if _identity("self", file) != _identity(process_id, file)]
    return ("nsenter", f"--target={process_id}", *apart, "--preserve-credentials", "--", *TIED)


def network_of(process_id: int | str) -> str:
    """The identity of a process's network namespace, the same for all processes in it."""
    return _identity(process_id, "net")


def _identity(process_id: int | str, file: str) -> str:
    return str(Path(f"/proc/{process_id}/ns/{file}").readlink())
