"""Values: all of them documented and in the schema, and what is wrong is refused in words that name it."""

import json
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, Helm, Refused
from conch.cli.log import LogFormat, LogLevel


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("imagee.tag=1", "additional properties 'imagee' not allowed"),
        ("image.tagg=1", "at '/image': additional properties 'tagg' not allowed"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("crds.keep=maybe", "at '/crds/keep': got string, want boolean"),
        ("logLevel=loud", "at '/logLevel': value must be one of 'debug', 'info', 'warning'"),
        ("logFormat=xml", "at '/logFormat': value must be one of 'json', 'text'"),
        ("image.digest=sha256:abc", "at '/image/digest': 'sha256:abc' does not match pattern"),
        ("image.registry=https://example.com", "at '/image/registry'"),
        ("image.repository=", "at '/image/repository'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy'"),
        ("fullnameOverride=Conch", "at '/fullnameOverride'"),
        ("resources.limit.memory=1Gi", "at '/resources': additional properties 'limit' not allowed"),
        ("podAnnotations.a=1", "at '/podAnnotations/a': got number, want string"),
        ("tolerations[0].efect=NoSchedule", "at '/tolerations/0': additional properties 'efect' not allowed"),
        ("imagePullSecrets[0]=name", "at '/imagePullSecrets/0': got string, want object"),
        ("extraEnv[0].value=x", "at '/extraEnv/0': missing property 'name'"),
        ("extraEnv[0].name=POD_NAME", "extraEnv: POD_NAME is set by the chart; remove it"),
        (
            r"podLabels.app\.kubernetes\.io/name=x",
            "podLabels: app.kubernetes.io/name selects the operator's pod and is set by the chart",
        ),
        (
            "serviceAccount.create=false,serviceAccount.annotations.a=b",
            "serviceAccount.annotations: the account is not created here",
        ),
    ],
)
def test_refused(helm_program: Helm, arguments: str, complaint: str) -> None:
    with pytest.raises(Refused) as refusal:
        helm_program.text("--set", arguments)
    assert complaint in str(refusal.value)


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return document


def test_logs_are_what_conch_can_do() -> None:
    assert schema()["properties"]["logLevel"]["enum"] == list(LogLevel)
    assert schema()["properties"]["logFormat"]["enum"] == list(LogFormat)


def test_schema_and_values_name_the_same() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    described = {name: entry for name, entry in schema()["properties"].items() if name != "global"}
    assert list(described) == list(values)
    for name, entry in described.items():
        if "properties" in entry and name not in ("affinity", "resources"):
            assert list(entry["properties"]) == list(values[name]), name


def closed(node: Any, path: str = "") -> list[str]:
    """Paths of objects in the schema that let any name pass."""
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in closed(item, f"{path}/{index}")]
    if not isinstance(node, dict):
        return []
    here = [path] if node.get("type") == "object" and "additionalProperties" not in node else []
    return here + [found for name, item in node.items() for found in closed(item, f"{path}/{name}")]


def test_only_kubernetes_own_shapes_are_open() -> None:
    assert closed(schema()) == [
        "/properties/affinity/properties/nodeAffinity",
        "/properties/affinity/properties/podAffinity",
        "/properties/affinity/properties/podAntiAffinity",
        "/properties/extraEnv/items/properties/valueFrom",
        "/properties/global",
    ]
