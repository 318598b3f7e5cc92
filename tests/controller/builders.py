"""Values for the tests of the controller: short to write, whole to the code under test."""

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from conch.api.conditions import Reason
from conch.controller.conditions import Facts
from conch.models.source import ResolvedModel
from conch.planning.plan import Plan
from conch.revisions.revision import Revision
from conch.rollout.diagnosis import Diagnosis
from conch.rollout.limits import Limits
from conch.rollout.step import Wanted

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"
OWNER_UID = "11111111-1111-1111-1111-111111111111"


def revision(*, rolled_out: bool = False, revision_hash: str = "aaaaaaaaaa", renderer: int = 1) -> Revision:
    return Revision(
        hash=revision_hash,
        number=1,
        inputs={},
        model=ResolvedModel("https://huggingface.co/Qwen/Qwen3-8B", COMMIT, "qwen3-8b", PurePosixPath("/weights/x")),
        release="26.08",
        image="triton",
        plan=Plan(tensor=2, pipeline=1, data=1, startup_seconds=600, cache="emptyDir"),
        renderer=renderer,
        files={},
        template={},
        served=rolled_out,
        rolled_out=rolled_out,
    )


def facts(**changes: Any) -> Facts:
    """Three engines wanted, in place one at a time, none serving yet."""
    target = changes.pop("target", revision())
    defaults: dict[str, Any] = {
        "target": target,
        "wanted": Wanted("aaaaaaaaaa", 3, 1, Limits(0, 1)),
        "serving": 0,
        "serving_any": 0,
        "others": 0,
        "diagnoses": (),
        "progress": "progress",
        "problems": (),
        "conflicts": (),
        "now": NOW,
    }
    return Facts(**(defaults | changes))


def diagnosis(reason: Reason, age_seconds: float | None = 10) -> Diagnosis:
    since = None if age_seconds is None else NOW - timedelta(seconds=age_seconds)
    return Diagnosis(reason, f"pod x: {reason.value}", since)


def resource(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "conch.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": "m", "namespace": "team", "uid": OWNER_UID, "generation": 1, **metadata},
        "spec": {
            "model": {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT}},
            "replicas": 1,
            **(spec or {}),
        },
    }


def pod_of(replica_set: dict[str, Any], *, ready: bool, **metadata: Any) -> dict[str, Any]:
    """The pod that a ReplicaSet would have made, bound to a node and running."""
    template = replica_set["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{replica_set['metadata']['name']}-abcde",
            "namespace": "team",
            "uid": f"pod-{replica_set['metadata']['name']}",
            "creationTimestamp": "2026-11-01T11:59:00Z",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [
                {
                    "kind": "ReplicaSet",
                    "name": replica_set["metadata"]["name"],
                    "uid": replica_set["metadata"]["uid"],
                    "controller": True,
                }
            ],
            **metadata,
        },
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "startTime": "2026-11-01T11:59:00Z",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [{"name": "engine", "state": {"running": {}}, "started": ready, "restartCount": 0}],
        },
    }
