"""The operator's Deployment: what it runs, how it is confined, and that every value reaches it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from chart.rendering import Helm, Rendered
from conch.cli.log import LogFormat, LogLevel
from conch.cli.main import app

EVERY_POD_VALUE: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "podAnnotations": {"example.com/note": "yes"},
    "podLabels": {"example.com/team": "models"},
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "system-cluster-critical",
    "logLevel": "debug",
    "logFormat": "text",
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "image": {"pullPolicy": "Always"},
}


def test_one_operator_at_a_time(default: Rendered) -> None:
    spec = default.one("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_confined(default: Rendered) -> None:
    assert default.pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert default.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert default.container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_command_is_one_that_conch_knows(default: Rendered) -> None:
    assert default.container["command"] == ["conch"]
    outcome = CliRunner().invoke(app, [*default.container["args"], "--help"])
    assert outcome.exit_code == 0, outcome.output
    refused = CliRunner().invoke(app, [*default.container["args"], "--no-such-option"])
    assert refused.exit_code == 2


def test_probes(default: Rendered) -> None:
    assert default.container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    assert "--port=8080" in default.container["args"]
    paths = {probe: default.container[probe]["httpGet"] for probe in default.container if probe.endswith("Probe")}
    assert paths == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }


@pytest.mark.parametrize("level", LogLevel)
@pytest.mark.parametrize("log_format", LogFormat)
def test_logs_as_conch_can(helm_program: Helm, level: LogLevel, log_format: LogFormat) -> None:
    container = helm_program.render("--set", f"logLevel={level},logFormat={log_format}").container
    assert container["args"] == ["run", "--port=8080", f"--log-level={level}", f"--log-format={log_format}"]


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ("image.tag=", "conch-operator:0.1.0"),
        ("image.tag=1.2", "conch-operator:1.2"),
        ("image.registry=r.example.com:5000,image.repository=team/conch", "r.example.com:5000/team/conch:0.1.0"),
        (f"image.digest=sha256:{'a' * 64}", f"conch-operator@sha256:{'a' * 64}"),
        (f"image.tag=1.2,image.digest=sha256:{'a' * 64}", f"conch-operator:1.2@sha256:{'a' * 64}"),
    ],
)
def test_image(helm_program: Helm, values: str, image: str) -> None:
    assert helm_program.render("--set-string", values).container["image"] == image


def test_every_value_reaches_the_pod(helm_program: Helm, default: Rendered, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(EVERY_POD_VALUE))
    rendered = helm_program.render("--values", str(values))
    pod, container, wanted = rendered.pod, rendered.container, EVERY_POD_VALUE
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert pod["spec"][name] == wanted[name]
    assert pod["metadata"]["annotations"] == wanted["podAnnotations"]
    assert pod["metadata"]["labels"] == default.pod["metadata"]["labels"] | wanted["podLabels"]
    # Helm merges maps: the default memory limit stays.
    assert container["resources"] == wanted["resources"] | {"limits": {"memory": "512Mi"}}
    assert container["env"] == [*default.container["env"], *wanted["extraEnv"]]
    assert container["imagePullPolicy"] == "Always"
    assert container["args"] == ["run", "--port=8080", "--log-level=debug", "--log-format=text"]


def test_events_name_the_pod(default: Rendered) -> None:
    assert default.container["env"] == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
