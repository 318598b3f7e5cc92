"""Sums over the spec that a CEL rule may not afford: what a server takes, and Conch refuses before a pod would be.

    requests <= limits                               for each of cpu, memory and ephemeral-storage
    cache size <= limits["ephemeral-storage"]        kubelet evicts the pod whose volumes outgrow it
    spec as JSON <= 160 KiB                          every engine carries a copy as an annotation

An API server refuses the pods of such a spec, or kubelet evicts them; the LLMDeployment itself it accepts.
"""

from collections.abc import Iterator
from typing import Final

from conch.api import quantity
from conch.api.deployment import LLMDeploymentSpec
from conch.api.pod import Resources
from conch.api.wording import at

LARGEST_SPEC_BYTES: Final = 160 * 1024
"""Above the most that ASCII can fill, with 96 KiB left for what is rendered from it beside it: an object's annotations
may have 256 KiB in all (k8s.io/apimachinery/pkg/api/validation, TotalAnnotationSizeLimitB)."""
_DISK: Final = "ephemeral-storage"


def contradictions(spec: LLMDeploymentSpec) -> Iterator[str]:
    """A sentence for each two numbers that cannot both hold, with both and what to change."""
    resources = spec.pod.resources
    if resources is not None:
        yield from _requests_above_limits(resources)
        yield from _cache_above_limit(spec, resources)
    size_bytes = len(spec.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True).encode())
    if size_bytes > LARGEST_SPEC_BYTES:
        most = f"at most {LARGEST_SPEC_BYTES}, because every engine carries a copy"
        yield f"spec has {size_bytes} bytes of JSON and must have {most}; shorten pod.annotations or pod.env"


def _requests_above_limits(resources: Resources) -> Iterator[str]:
    for name, request in resources.requests.items():
        limit = resources.limits.get(name, request)
        if quantity.amount(request) > quantity.amount(limit):
            where, bound = _path("requests", name), _path("limits", name)
            yield f"{where} is {request} and must be at most {limit}, which is {bound}"


def _cache_above_limit(spec: LLMDeploymentSpec, resources: Resources) -> Iterator[str]:
    cache = spec.model.cache
    if (
        cache is None
        or cache.empty_dir is None
        or cache.empty_dir.size_gibibytes is None
        or _DISK not in resources.limits
    ):
        return
    limit, size = resources.limits[_DISK], f"{cache.empty_dir.size_gibibytes}Gi"
    if quantity.amount(size) > quantity.amount(limit):
        cause = "the size of spec.model.cache.emptyDir, which counts to it"
        yield f"{_path('limits', _DISK)} is {limit} and must be at least {size}, {cause}"


def _path(side: str, name: str) -> str:
    return at(("spec", "pod", "resources", side, name))
