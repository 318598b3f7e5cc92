"""The downward API: what a pod may know of itself, as files and environment variables."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cluster.agent.objects import Object

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as it is seen from inside."""

    pod: Object
    address: str
    host_address: str
    allocatable: Mapping[str, str]

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])


def field(path: str, facts: PodFacts) -> str:
    """The value of a `fieldRef`; raises ValueError for a path that no kubelet knows."""
    metadata, spec = facts.pod["metadata"], facts.pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(metadata[path.removeprefix("metadata.")])
        case "metadata.labels" | "metadata.annotations":
            entries = metadata.get(path.removeprefix("metadata.")) or {}
            return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(entries.items()))
        case "spec.nodeName":
            return str(spec["nodeName"])
        case "spec.serviceAccountName":
            return str(spec.get("serviceAccountName", ""))
        case "status.podIP" | "status.podIPs":
            return facts.address
        case "status.hostIP" | "status.hostIPs":
            return facts.host_address
    raise ValueError(f"unsupported fieldPath: {path}")


def resource(reference: Object, container: Object, facts: PodFacts) -> str:
    """The value of a `resourceFieldRef`, rounded up to whole divisors; a limit that is not set is the node's."""
    side, name = reference["resource"].split(".", 1)
    resources = container.get("resources") or {}
    amount = (resources.get(side) or {}).get(name)
    if amount is None and side == "limits":
        amount = facts.allocatable.get(name, "0")
    divisor = quantity(reference.get("divisor") or "1") or Decimal(1)
    return str(math.ceil(quantity(amount or "0") / divisor))


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity as a number."""
    digits = text.rstrip("kMGTPEim")
    return Decimal(digits) * _SUFFIXES[text[len(digits) :]]
