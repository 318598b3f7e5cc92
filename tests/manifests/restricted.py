"""The `restricted` Pod Security Standard, as far as a pod of ours could break it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ (restricted, which includes baseline)
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod_spec: dict[str, Any]) -> Iterator[str]:
    """What the standard forbids in a pod spec."""
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod_spec.get(field))
    for volume in pod_spec.get("volumes", ()):
        yield from (f"volume {volume['name']}: {kind}" for kind in volume.keys() - _VOLUMES - {"name"})
    whole_pod = pod_spec.get("securityContext", {})
    if whole_pod.get("sysctls"):
        yield "sysctls"
    for container in (*pod_spec.get("initContainers", ()), *pod_spec["containers"]):
        own = container.get("securityContext", {})
        yield from (f"{container['name']}: {problem}" for problem in _container(whole_pod | own, own))
        yield from (f"{container['name']}: host port" for port in container.get("ports", ()) if "hostPort" in port)


def _container(effective: dict[str, Any], own: dict[str, Any]) -> Iterator[str]:
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if own.get("privileged"):
        yield "privileged"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield "runs as root"
    if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
