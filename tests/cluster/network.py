"""The cluster's network, inside its own network namespace.

Three ranges, none of which leaves the namespace:

- pods that are simulated in one process: the whole range is local on `lo`, so any process can listen on any pod's
  address. EndpointSlices refuse loopback addresses, hence a range of its own.
- pods that are processes with a network namespace each: one end of a veth pair lies on a bridge, with its own range.
- Services: routed somewhere (`lo`), so that packets reach the hook where kube-proxy rewrites them.
"""

import subprocess
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

from cluster.failure import ClusterFailure

POD_RANGE: Final = IPv4Network("10.244.0.0/16")
# The first /24 of the pods' range belongs to the control plane.
CONTROL_PLANE: Final = IPv4Interface("10.244.0.1/16")
SERVICE_RANGE: Final = IPv4Network("10.96.0.0/12")
API_SERVICE: Final = SERVICE_RANGE[1]
BRIDGE: Final = "pods"
BRIDGE_GATEWAY: Final = IPv4Interface("10.245.0.1/24")

_COMMANDS: Final = (
    "ip link set lo up",
    f"ip address add {CONTROL_PLANE} dev lo",
    f"ip route add {SERVICE_RANGE} dev lo",
    f"ip link add {BRIDGE} type bridge",
    f"ip address add {BRIDGE_GATEWAY} dev {BRIDGE}",
    f"ip link set {BRIDGE} up",
    # /sys shows the interfaces of the namespace that mounted it.
    "mount -t sysfs sysfs /sys",
)


def set_up() -> None:
    """Makes the network of the namespace that this process runs in.

    Raises `ClusterFailure` when the kernel refuses, as it does without nf_tables.
    """
    for command in _COMMANDS:
        _run(command)
    # A pod on the bridge reaches another one on it through a ClusterIP by being forwarded.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    _run("nft list ruleset")


def _run(command: str) -> None:
    outcome = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise ClusterFailure(f"'{command}' failed in the cluster's namespace: {outcome.stderr.strip()}")
