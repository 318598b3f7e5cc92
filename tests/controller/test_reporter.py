"""Status and events on a real API server: written once, put right when forged, told on transitions."""

import asyncio
from typing import Any

import pytest

from conch.controller.caches import LLM_DEPLOYMENT
from conch.controller.reporter import replacement, transitions
from conch.kube.errors import ConflictError
from conch.kube.resources import EVENT, KubeObject
from controller.conftest import Doers


def version(item: KubeObject) -> str:
    return str(item["metadata"]["resourceVersion"])


def conditions(item: KubeObject) -> dict[str, KubeObject]:
    return {condition["type"]: condition for condition in item["status"]["conditions"]}


def condition(kind: str, status: str, reason: str = "R") -> KubeObject:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"{kind} is {status}",
        "lastTransitionTime": "2026-11-01T12:00:00Z",
        "observedGeneration": 1,
    }


async def patch_status(doers: Doers, status: KubeObject) -> None:
    """Somebody else writes the status; the cache gets to know of it."""
    await doers.client.merge_patch_status(LLM_DEPLOYMENT, doers.namespace, "m", {"status": status})
    await doers.refresh("m")


async def reported(doers: Doers, **spec: Any) -> KubeObject:
    """A resource whose status is written and whose pods are known."""
    await doers.create("m", **spec)
    await doers.reconcile("m")
    await doers.cached("m", lambda observation: bool(observation.of("Pod")) and _is_judged(observation.of("Pod")))
    await doers.reconcile("m")
    return await doers.read(LLM_DEPLOYMENT, "m")


def _is_judged(pods: Any) -> bool:
    """Whether the scheduler has said its word on all of them."""
    return all(pod.get("status", {}).get("conditions") for pod in pods)


async def test_the_status_is_as_decided_to_the_last_field(doers: Doers) -> None:
    live = await reported(doers)
    decided = doers.decide("m").status
    assert {**live["status"], "conditions": conditions(live)} == {
        **decided,
        "conditions": {item["type"]: item for item in decided["conditions"]},
    }
    assert conditions(live)["CapacityAvailable"]["reason"] == "Unschedulable"
    assert live["metadata"]["generation"] == 1
    assert live["metadata"].get("annotations") is None, "nothing of the user's object is written"


async def test_an_equal_status_is_not_written_again(doers: Doers) -> None:
    before = await reported(doers)
    for _ in range(3):
        await doers.reconcile("m")
    assert version(await doers.read(LLM_DEPLOYMENT, "m")) == version(before)


async def test_our_own_status_does_not_wake_us(doers: Doers) -> None:
    await reported(doers)
    await doers.refresh("m")
    doers.woken.clear()
    await doers.refresh("m")
    assert doers.key("m") not in doers.woken


async def test_a_condition_that_is_no_longer_stated_goes(doers: Doers) -> None:
    await reported(doers, replicas=1)
    assert "Reconciling" in conditions(await doers.read(LLM_DEPLOYMENT, "m"))
    await doers.client.merge_patch(LLM_DEPLOYMENT, doers.namespace, "m", {"spec": {"replicas": 0}})
    await doers.refresh("m")
    await doers.reconcile("m")
    await doers.cached("m", lambda observation: not observation.of("ReplicaSet") and not observation.of("Pod"))
    await doers.reconcile("m")
    after = conditions(await doers.read(LLM_DEPLOYMENT, "m"))
    assert "Reconciling" not in after
    assert after["Ready"]["reason"] == "ScaledToZero"


FORGERIES: dict[str, KubeObject] = {
    "wiped": {"conditions": None, "plan": None, "model": None, "revision": None, "engines": None, "url": None},
    "all gone": dict.fromkeys(
        ("observedGeneration", "conditions", "plan", "model", "revision", "engines", "url", "selector", "replicas")
    ),
    "said to be ready": {"conditions": [condition("Ready", "True", "Serving")], "readyReplicas": 7},
    "said to be stalled": {"conditions": [condition("Stalled", "True", "CrashLoop")]},
    "a field that we do not state": {"revision": {"current": "m-0000000000"}},
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_what_others_write_into_the_status_is_put_right_by_the_next_reconcile(
    doers: Doers, forgery: KubeObject
) -> None:
    before = await reported(doers)
    await patch_status(doers, forgery)
    assert (await doers.read(LLM_DEPLOYMENT, "m"))["status"] != before["status"]
    await doers.reconcile("m")
    after = await doers.read(LLM_DEPLOYMENT, "m")
    truths = {kind: (item["status"], item["reason"]) for kind, item in conditions(after).items()}
    assert truths == {kind: (item["status"], item["reason"]) for kind, item in conditions(before).items()}
    assert {**after["status"], "conditions": []} == {**before["status"], "conditions": []}
    await doers.reconcile("m")
    assert version(await doers.read(LLM_DEPLOYMENT, "m")) == version(after), "and then left alone"


async def test_a_wiped_status_wakes_us(doers: Doers) -> None:
    await reported(doers)
    doers.woken.clear()
    await patch_status(doers, {"conditions": [], "observedGeneration": -1})
    assert doers.key("m") in doers.woken


async def test_a_resource_that_is_gone_is_not_reported(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    observation, status = doers.observe("m"), doers.decide("m").status
    uid = observation.resource["metadata"]["uid"]
    await doers.client.delete(LLM_DEPLOYMENT, doers.namespace, "m", uid=uid)
    await doers.reporter.report(observation, status)
    again = await doers.create("m")
    with pytest.raises(ConflictError):
        await doers.reporter.report(observation, status)
    assert (await doers.read(LLM_DEPLOYMENT, "m"))["status"] == again["status"]


async def test_events_are_told_on_transitions_alone(doers: Doers) -> None:
    await reported(doers)
    for _ in range(3):
        await doers.reconcile("m")
    events: dict[str, KubeObject] = {}
    async with asyncio.timeout(10):
        while "Unschedulable" not in {event["reason"] for event in events.values() if event["type"] == "Warning"}:
            await asyncio.sleep(0.05)
            events = {
                event["metadata"]["name"]: event
                for event in await doers.listed(EVENT)
                if event.get("reportingController") == "conch.dev/operator"
            }
    assert {event["regarding"]["kind"] for event in events.values()} == {"LLMDeployment"}
    told = [(event["type"], event["reason"], event["note"]) for event in events.values()]
    assert len(told) == len(set(told))
    assert all("series" not in event for event in events.values())
    note = next(event["note"] for event in events.values() if event["type"] == "Warning")
    live = await doers.read(LLM_DEPLOYMENT, "m")
    assert note == conditions(live)["CapacityAvailable"]["message"], "the same sentence in the condition and the event"


TRANSITIONS: dict[str, tuple[list[KubeObject], list[KubeObject], list[tuple[str, str]]]] = {
    "ready at first sight": ([], [condition("Ready", "True", "Serving")], [("Normal", "Serving")]),
    "not ready yet is no news": ([], [condition("Ready", "False", "Starting")], []),
    "stalled": ([], [condition("Stalled", "True", "CrashLoop")], [("Warning", "CrashLoop")]),
    "no GPUs": (
        [],
        [condition("CapacityAvailable", "False", "InsufficientGPUs")],
        [("Warning", "InsufficientGPUs")],
    ),
    "GPUs from the start are no news": ([], [condition("CapacityAvailable", "True", "Scheduled")], []),
    "GPUs at last": (
        [condition("CapacityAvailable", "False", "InsufficientGPUs")],
        [condition("CapacityAvailable", "True", "Scheduled")],
        [("Normal", "Scheduled")],
    ),
    "another reason": (
        [condition("Stalled", "True", "CrashLoop")],
        [condition("Stalled", "True", "ImagePullFailed")],
        [("Warning", "ImagePullFailed")],
    ),
    "the same": ([condition("Ready", "True")], [condition("Ready", "True")], []),
    "a condition that is not told": ([], [condition("Available", "True", "Serving")], []),
}


@pytest.mark.parametrize(("before", "after", "told"), TRANSITIONS.values(), ids=TRANSITIONS.keys())
def test_what_is_news(before: list[KubeObject], after: list[KubeObject], told: list[tuple[str, str]]) -> None:
    happenings = transitions({"conditions": before}, {"conditions": after})
    assert [(item.type, item.reason) for item in happenings] == told


def test_a_replacement_takes_away_what_is_not_stated() -> None:
    before = {"kept": 1, "gone": 2, "part": {"kept": 1, "gone": 2}, "list": [1, 2]}
    after = {"kept": 1, "new": {"a": 1}, "part": {"kept": 3}, "list": [1]}
    assert replacement(before, after) == {
        "gone": None,
        "kept": 1,
        "new": {"a": 1},
        "part": {"gone": None, "kept": 3},
        "list": [1],
    }
