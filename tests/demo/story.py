"""The steps of the demo, each as a user would take it; every step checks what it claims and fails loudly otherwise."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.cluster import Cluster
from cluster.failure import ClusterFailure
from cluster.state import REPOSITORY
from demo.narrator import Narrator
from integration.deployments import CHILD_KINDS, Deployment, Namespace
from integration.operator_under_test import CHART
from integration.operator_under_test import NAMESPACE as SYSTEM
from integration.tools import ToolPod, run_tool, service_url
from integration.waiting import until

NAMESPACE = "models"
SMALL, LARGE, COPIES = (
    REPOSITORY / "examples" / name for name in ("8b-one-gpu.yaml", "70b-tensor-4.yaml", "8b-data-2.yaml")
)
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays."""

    cluster: Cluster
    namespace: Namespace
    narrator: Narrator


def install(stage: Stage) -> None:
    """Helm, as in the README."""
    stage.narrator.heading("Install Conch with Helm")
    arguments = (
        "install",
        "conch",
        str(CHART),
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--wait",
        "--timeout",
        "2m",
    )
    stage.narrator.say(f"helm {' '.join(arguments[:2])} charts/conch {' '.join(arguments[3:])}")
    stage.cluster.helm(*arguments)
    stage.narrator.say("the operator is ready; its rights are those of its ClusterRole and no more")


def serve(stage: Stage) -> None:
    """Three models at once."""
    stage.narrator.heading(
        "Serve three models: one GPU, four GPUs by tensor parallelism, two copies by data parallelism"
    )
    token = ("create", "secret", "generic", "hugging-face", "--from-literal=token=hf_not_a_real_token")
    stage.narrator.say(f"kubectl {' '.join(token)}   (the 70B model is gated; here nothing is downloaded for real)")
    stage.namespace.kubectl(*token)
    for file in (SMALL, LARGE, COPIES):
        stage.narrator.say(f"kubectl apply -f {file.relative_to(REPOSITORY)}")
        stage.namespace.kubectl("apply", "--filename", str(file))
    for file in (SMALL, LARGE, COPIES):
        deployment(stage, file).wait_rolled_out(START_SECONDS)


def ask(stage: Stage) -> None:
    """Requests through the Service, from a pod."""
    stage.narrator.heading("Ask a model through its Service")
    name = served(SMALL)
    url = service_url(stage.namespace, name)
    answer = run_tool(stage.namespace, "python3", "-m", "integration.ask", url, name).result(30)
    stage.narrator.say(f"generate: {answer['text_output']!r}")
    stage.narrator.say("generate_stream, token by token:")
    follow(stage, run_tool(stage.namespace, "python3", "-m", "integration.ask", url, name, "--stream"))


def change_under_load(stage: Stage) -> None:
    """A rollout that loses nothing."""
    stage.narrator.heading("Change a running model while requests go on")
    name = served(SMALL)
    url = service_url(stage.namespace, name)
    load = run_tool(stage.namespace, "python3", "-m", "load", url, name, "--seconds", "45")
    load.wait_started()
    change = {"spec": {"engine": {"maxModelLength": 8192}}}
    stage.narrator.say("requests flow, each on a new connection; kubectl patch: engine.maxModelLength becomes 8192")
    stage.namespace.kubectl("patch", "llmdeployment", name, "--type=merge", "--patch", json.dumps(change))
    deployment(stage, SMALL).wait_rolled_out(START_SECONDS)
    result = load.result(90)
    stage.narrator.say(f"requests during the rollout: {result['answered']} answered, {result['lost']} lost")
    expect(result["lost"] == 0 and result["answered"] > 0, f"no request lost: {result}")


def ask_the_impossible(stage: Stage) -> None:
    """Refused by the API server, with the number to change."""
    stage.narrator.heading("Ask for the impossible")
    wish = yaml.safe_load(LARGE.read_text())
    wish["metadata"]["name"] = "too-wide"
    wish["spec"]["parallelism"] = {"tensor": 8, "pipeline": 4}
    try:
        stage.namespace.kubectl("apply", "--filename", "-", stdin=json.dumps(wish))
    except ClusterFailure as refusal:
        stage.narrator.say(str(refusal).splitlines()[-1])
        expect("at most 16" in str(refusal), "the refusal names the limit")
    else:
        expect(False, "tensor 8 x pipeline 4 is refused")


def scale(stage: Stage) -> None:
    """By the scale subresource."""
    stage.narrator.heading("Scale")
    name = served(SMALL)
    stage.narrator.say(f"kubectl scale llmdeployment/{name} --replicas=3")
    stage.namespace.kubectl("scale", f"llmdeployment/{name}", "--replicas=3")
    resource = deployment(stage, SMALL)
    until(lambda: resource.read()["status"]["readyReplicas"], lambda ready: ready == 3, START_SECONDS)


def delete(stage: Stage) -> None:
    """Nothing is left."""
    stage.narrator.heading("Delete everything")
    for file in (SMALL, LARGE, COPIES):
        stage.namespace.kubectl("delete", "--filename", str(file))
    for kind in CHILD_KINDS:
        until(lambda kind=kind: stage.namespace.get(kind), lambda found: not found, START_SECONDS)  # type: ignore[misc]
    stage.narrator.say("no Service, ConfigMap, ReplicaSet or pod of Conch is left")


STORY = (install, serve, ask, change_under_load, ask_the_impossible, scale, delete)


def served(file: Path) -> str:
    """The name of an example's resource."""
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return str(document["metadata"]["name"])


def deployment(stage: Stage, file: Path) -> Deployment:
    """An example's resource on the cluster."""
    return Deployment(stage.namespace, served(file), yaml.safe_load(file.read_text()))


def follow(stage: Stage, pod: ToolPod) -> None:
    """Prints a pod's log as it grows."""
    pod.wait_started()
    command = [str(stage.cluster.programs["kubectl"]), "--namespace", NAMESPACE, "logs", "--follow", pod.name]
    with subprocess.Popen(command, env=stage.cluster.environment(), stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        started = False
        while character := logs.stdout.read(1):
            started = started or character not in "{\n"
            print(character, end="", flush=True)
            if character == "\n" and started:
                break
        logs.terminate()
    time.sleep(0.1)


def expect(claim: bool, words: str) -> None:
    """The demo shows nothing that is not so."""
    if not claim:
        raise ClusterFailure(f"the demo expected: {words}")
