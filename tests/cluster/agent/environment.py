"""The environment and the command line of a container, with everything resolved that they refer to."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final

from cluster.agent import downward
from cluster.agent.downward import PodFacts
from cluster.agent.objects import Object
from cluster.agent.references import Kind, MissingReference, References

_REFERENCE: Final = re.compile(r"\$\$|\$\(([^()]+)\)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(NAME)`; an unknown name stays as it is written, and `$$` is a dollar."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


async def environment(container: Object, facts: PodFacts, references: References) -> dict[str, str]:
    """Variables of one container, those of Services first. Raises `MissingReference` in a kubelet's words."""
    variables = await _service_variables(facts, references)
    for source in container.get("envFrom") or ():
        variables |= await _all_of(source, facts, references)
    for entry in container.get("env") or ():
        if "valueFrom" not in entry:
            variables[entry["name"]] = expand(entry.get("value", ""), variables)
            continue
        value = await _referenced(entry["valueFrom"], container, facts, references)
        if value is not None:
            variables[entry["name"]] = value
    return variables


async def _referenced(source: Object, container: Object, facts: PodFacts, references: References) -> str | None:
    if "fieldRef" in source:
        return downward.field(source["fieldRef"]["fieldPath"], facts)
    if "resourceFieldRef" in source:
        return downward.resource(source["resourceFieldRef"], container, facts)
    if "configMapKeyRef" in source:
        return await _key(source["configMapKeyRef"], "configmap", facts, references)
    return await _key(source["secretKeyRef"], "secret", facts, references)


async def _key(reference: Object, kind: Kind, facts: PodFacts, references: References) -> str | None:
    optional = reference.get("optional", False)
    try:
        content = await texts(kind, facts.namespace, reference["name"], references)
    except MissingReference:
        if optional:
            return None
        raise
    if reference["key"] in content:
        return content[reference["key"]]
    if optional:
        return None
    named = {"configmap": "ConfigMap", "secret": "Secret"}[kind]
    raise MissingReference(f"couldn't find key {reference['key']} in {named} {facts.namespace}/{reference['name']}")


async def _all_of(source: Object, facts: PodFacts, references: References) -> dict[str, str]:
    kind: Kind = "configmap" if "configMapRef" in source else "secret"
    reference = source["configMapRef" if kind == "configmap" else "secretRef"]
    try:
        content = await texts(kind, facts.namespace, reference["name"], references)
    except MissingReference:
        if reference.get("optional"):
            return {}
        raise
    return {f"{source.get('prefix', '')}{key}": value for key, value in content.items()}


async def texts(kind: Kind, namespace: str, name: str, references: References) -> dict[str, str]:
    """The text entries of a ConfigMap or Secret."""
    return {key: value.decode(errors="replace") for key, value in entries(await references.read(kind, namespace, name))}


def entries(item: Object) -> Sequence[tuple[str, bytes]]:
    """The entries of a ConfigMap or Secret as bytes."""
    data = item.get("data") or {}
    if item["kind"] == "Secret":
        return [(key, base64.b64decode(value)) for key, value in data.items()]
    binary = item.get("binaryData") or {}
    return [
        *((key, value.encode()) for key, value in data.items()),
        *((key, base64.b64decode(value)) for key, value in binary.items()),
    ]


async def _service_variables(facts: PodFacts, references: References) -> dict[str, str]:
    """`kubernetes` always; the namespace's own unless `enableServiceLinks` is false."""
    found = await references.services("default", fieldSelector="metadata.name=kubernetes")
    if facts.pod["spec"].get("enableServiceLinks", True):
        found += await references.services(facts.namespace)
    variables: dict[str, str] = {}
    for service in found:
        if service["spec"].get("clusterIP", "None") not in ("None", ""):
            variables |= service_links(service)
    return variables


def service_links(service: Object) -> dict[str, str]:
    """The variables by which Docker once linked containers, and Kubernetes still does."""
    name = service["metadata"]["name"].upper().replace("-", "_")
    address, ports = service["spec"]["clusterIP"], service["spec"].get("ports") or []
    if not ports:
        return {}
    first = ports[0]
    variables = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    variables[f"{name}_PORT"] = _url(first, address)
    for port in ports:
        protocol = port.get("protocol", "TCP")
        prefix = f"{name}_PORT_{port['port']}_{protocol}"
        variables |= {
            prefix: _url(port, address),
            f"{prefix}_PROTO": protocol.lower(),
            f"{prefix}_PORT": str(port["port"]),
            f"{prefix}_ADDR": address,
        }
    return variables


def _url(port: Object, address: str) -> str:
    return f"{port.get('protocol', 'TCP').lower()}://{address}:{port['port']}"
