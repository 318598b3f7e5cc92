"""Specs and children for the tests of manifests and revisions: short to write, parsed as a user's would be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from api.documents import largest
from conch.api.deployment import LLMDeploymentSpec
from conch.api.parsing import parse, parse_spec
from conch.engines.triton_vllm import PORTS
from conch.manifests.config_map import config_map
from conch.manifests.controller_revision import controller_revision
from conch.manifests.disruption_budget import disruption_budget
from conch.manifests.identity import Identity, Manifest, Slot
from conch.manifests.rendered_revision import rendered_revision
from conch.manifests.replica_set import replica_set
from conch.manifests.service import service
from conch.manifests.service_account import service_account
from conch.revisions.revision import Revision

COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"
HUB = {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT}}
CLAIM = {"persistentVolumeClaim": {"claimName": "models", "path": "a/b"}}
IDENTITY = Identity("m", "team", "11111111-1111-1111-1111-111111111111")
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def spec(**fields: Any) -> LLMDeploymentSpec:
    return parse_spec({"model": HUB, **fields})


def example(file: Path) -> LLMDeploymentSpec:
    return parse(yaml.safe_load(file.read_text())).spec


def revision(wanted: LLMDeploymentSpec, identity: Identity = IDENTITY) -> Revision:
    return rendered_revision(identity, wanted, number=1)


def pod(wanted: LLMDeploymentSpec, identity: Identity = IDENTITY) -> Manifest:
    """The pod spec of an engine."""
    return dict(revision(wanted, identity).template["spec"])


def children(wanted: LLMDeploymentSpec, identity: Identity = IDENTITY) -> Iterator[Manifest]:
    """One child of each kind."""
    made = revision(wanted, identity)
    yield service_account(identity)
    yield config_map(identity, made)
    yield controller_revision(identity, made)
    yield service(identity, PORTS)
    yield disruption_budget(identity)
    yield replica_set(identity, Slot(0, 0), made)


UNUSUAL = {
    "nothing set": spec(),
    "a model on a claim": spec(model=CLAIM),
    "empty texts, zeros, a cache of a round size": spec(
        model={**HUB, "cache": {"emptyDir": {"sizeGibibytes": 2048}}},
        pod={
            "env": [{"name": "NCCL_DEBUG", "value": ""}],
            "tolerations": [
                {"key": "a", "operator": "Exists", "value": "", "effect": "NoExecute", "tolerationSeconds": 0},
                {"operator": "Exists"},
            ],
            "labels": {"example.com/empty": ""},
            "annotations": {"example.com/empty": ""},
            "nodeSelector": {"example.com/empty": ""},
        },
    ),
    "resources in every notation": spec(
        pod={"resources": {"requests": {"cpu": "0.5"}, "limits": {"memory": "3.3G", "cpu": 2}}}
    ),
    "as much as may be of everything": parse(largest()).spec,
    "empty lists and objects": spec(
        engine={"extraArgs": []},
        accelerator={"products": []},
        rollout={"rollingUpdate": {}},
        pod={
            "nodeSelector": {},
            "tolerations": [],
            "imagePullSecrets": [],
            "env": [],
            "labels": {},
            "annotations": {},
            "resources": {"requests": {}, "limits": {}},
        },
    ),
}
"""What users rarely write and renderers easily get wrong."""

SPECS = {**{file.stem: example(file) for file in EXAMPLES}, **UNUSUAL}
