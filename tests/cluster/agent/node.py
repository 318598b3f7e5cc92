"""The nodes of the cluster: what they have, what they are called, and which of their GPUs are in use.

A YAML file may list other ones than the built-in ones:

    - name: gpu-h100-0
      count: 2                        # gpu-h100-0-0, gpu-h100-0-1; left out: one, of exactly that name
      gpus: {product: NVIDIA-H100-80GB-HBM3, count: 8, memory: 81559, family: hopper, compute: "9.0"}
      cpu: 192
      memory: 2Ti
      storage: 8Ti
      labels: {topology.kubernetes.io/zone: a}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import yaml

from cluster.agent.objects import Object, timestamp
from cluster.agent.pod_network import Addresses

GPU: Final = "nvidia.com/gpu"
KUBELET_PORT: Final = 10250
KUBELET_VERSION: Final = "v1.37.2"
# The nodes' own addresses lie in the control plane's part of the pods' range, each node's pods in a part of its own.
_FIRST_HOST: Final = 16
_POD_RANGES: Final = tuple(IPv4Network("10.244.0.0/16").subnets(new_prefix=24))


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of a node, as GPU feature discovery describes them; `memory` in MiB, as `nvidia-smi` counts."""

    product: str
    count: int
    memory: int
    family: str
    compute: str

    def labels(self) -> dict[str, str]:
        """Labels by which pods choose nodes."""
        major, minor = self.compute.split(".")
        return {
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": self.product,
            "nvidia.com/gpu.memory": str(self.memory),
            "nvidia.com/gpu.count": str(self.count),
            "nvidia.com/gpu.replicas": "1",
            "nvidia.com/gpu.family": self.family,
            "nvidia.com/gpu.compute.major": major,
            "nvidia.com/gpu.compute.minor": minor,
            "nvidia.com/mig.capable": "true",
            "nvidia.com/mig.strategy": "single",
        }


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node; `index` gives it its addresses."""

    name: str
    index: int
    cpu: int = 32
    memory: str = "128Gi"
    storage: str = "1Ti"
    pods: int = 250
    gpus: Gpus | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the node answers as a kubelet."""
        return str(_POD_RANGES[0][_FIRST_HOST + self.index])

    @property
    def pod_range(self) -> IPv4Network:
        """Its pods' addresses."""
        return _POD_RANGES[1 + self.index]

    @property
    def capacity(self) -> dict[str, str]:
        """What pods can ask for; nothing is set aside for the system."""
        return {
            "cpu": str(self.cpu),
            "memory": self.memory,
            "ephemeral-storage": self.storage,
            "pods": str(self.pods),
            **({GPU: str(self.gpus.count)} if self.gpus else {}),
        }


_H100: Final = Gpus("NVIDIA-H100-80GB-HBM3", 8, 81559, "hopper", "9.0")
_A100: Final = Gpus("NVIDIA-A100-SXM4-80GB", 4, 81920, "ampere", "8.0")

DEFAULT: Final = (
    NodeSpec("gpu-h100-0", 0, cpu=192, memory="2Ti", storage="8Ti", gpus=_H100),
    NodeSpec("gpu-h100-1", 1, cpu=192, memory="2Ti", storage="8Ti", gpus=_H100),
    NodeSpec("gpu-a100-0", 2, cpu=96, memory="1Ti", storage="4Ti", gpus=_A100),
    NodeSpec("cpu-0", 3),
)


def read(path: Path) -> tuple[NodeSpec, ...]:
    """The nodes of a file. Raises ValueError for what it cannot mean."""
    found: list[NodeSpec] = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        given: dict[str, Any] = dict(entry)
        name, count = given.pop("name"), given.pop("count", None)
        if "gpus" in given:
            given["gpus"] = Gpus(**given["gpus"])
        names = [name] if count is None else [f"{name}-{number}" for number in range(count)]
        try:
            found += [NodeSpec(each, len(found) + offset, **given) for offset, each in enumerate(names)]
        except TypeError as error:
            raise ValueError(f"node {name}: {error}") from error
    return tuple(found)


def node_object(spec: NodeSpec) -> Object:
    """The Node without its status."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": {
                "kubernetes.io/hostname": spec.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/arch": "amd64",
                **(spec.gpus.labels() if spec.gpus else {}),
                **spec.labels,
            },
        },
        "spec": {
            "podCIDR": str(spec.pod_range),
            "podCIDRs": [str(spec.pod_range)],
            **({"taints": [{"key": GPU, "value": "present", "effect": "NoSchedule"}]} if spec.gpus else {}),
        },
    }


_PRESSURES: Final = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


def node_status(spec: NodeSpec, since: datetime, now: datetime) -> Object:
    """The status of a healthy node that has been ready `since` then."""
    times = {"lastHeartbeatTime": timestamp(now), "lastTransitionTime": timestamp(since)}
    return {
        "capacity": spec.capacity,
        "allocatable": spec.capacity,
        "addresses": [{"type": "InternalIP", "address": spec.address}, {"type": "Hostname", "address": spec.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "conditions": [
            *(
                {"type": kind, "status": "False", "reason": reason, "message": message, **times}
                for kind, (reason, message) in _PRESSURES.items()
            ),
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                **times,
            },
        ],
        "nodeInfo": {
            "machineID": spec.name,
            "systemUUID": spec.name,
            "bootID": f"{spec.name}-{since.timestamp():.0f}",
            "kernelVersion": "simulated",
            "osImage": "node agent",
            "containerRuntimeVersion": "containerd://2.2.0",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


class NoDevices(Exception):
    """A pod asks for more devices than are free: a kubelet calls it UnexpectedAdmissionError."""


class Node:
    """One node as it runs: what of it is in use."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.addresses = Addresses(spec.pod_range, first=2)
        self._gpus: dict[int, str] = {}

    @property
    def name(self) -> str:
        return self.spec.name

    def take_gpus(self, pod_uid: str, wanted: int) -> Sequence[int]:
        """The numbers of GPUs that are the pod's until it gives them back. Raises `NoDevices`."""
        free = [number for number in range(self.spec.gpus.count if self.spec.gpus else 0) if number not in self._gpus]
        if wanted > len(free):
            raise NoDevices(
                f"Allocate failed due to requested number of devices unavailable for {GPU}. "
                f"Requested: {wanted}, Available: {len(free)}, which is unexpected"
            )
        self._gpus |= dict.fromkeys(free[:wanted], pod_uid)
        return free[:wanted]

    def give_gpus_back(self, pod_uid: str) -> None:
        """All GPUs of that pod."""
        self._gpus = {number: owner for number, owner in self._gpus.items() if owner != pod_uid}
