"""The decider iterated in a world of its own: creation, rest, change, refusal, healing, deletion of children."""

import copy
import json
from datetime import timedelta

import pytest

from conch.controller.status import timestamp
from controller.builders import COMMIT, resource
from controller.world import World

OTHER_COMMIT = "0" * 39 + "1"


def model(revision: str = COMMIT) -> dict[str, object]:
    return {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": revision}}


def served(replicas: int = 1, **spec: object) -> World:
    world = World(resource({"replicas": replicas, **spec}))
    world.settle()
    return world


def test_the_first_decision_creates_every_child() -> None:
    world = World(resource())
    kinds = [manifest["kind"] for manifest in world.decide().applies]
    assert sorted(kinds) == [
        "ConfigMap",
        "ControllerRevision",
        "PodDisruptionBudget",
        "ReplicaSet",
        "Service",
        "ServiceAccount",
    ]


def test_at_rest_nothing_is_written_and_the_status_stands_still() -> None:
    world = served()
    before = copy.deepcopy(world.resource["status"])
    decision = world.step()
    assert (decision.applies, decision.marks, decision.removals) == ((), (), ())
    assert decision.status == before
    assert decision.look_again_seconds is None


def test_once_rolled_out_the_status_says_so() -> None:
    world = served(replicas=2, parallelism={"tensor": 4, "data": 2})
    status = world.resource["status"]
    assert world.condition("Ready")["status"] == "True"  # type: ignore[index]
    assert world.condition("Reconciling") is None
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)
    assert status["engines"] == {"desired": 4, "ready": 4, "draining": 0}
    assert status["revision"]["current"] == status["revision"]["updated"]
    assert status["plan"]["gpusPerPod"] == 4


def test_gpus_at_rest_are_tensor_pipeline_data_replicas() -> None:
    world = served(replicas=3, parallelism={"tensor": 2, "pipeline": 2, "data": 2})
    pods = [child for (kind, _), child in world.children.items() if kind == "Pod"]
    gpus = [int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) for pod in pods]
    assert sum(gpus) == 2 * 2 * 2 * 3


def test_a_change_rolls_out_and_the_old_files_go_with_the_last_old_pod() -> None:
    world = served(replicas=3)
    old = world.names("ConfigMap")
    world.edit({"model": model(OTHER_COMMIT), "replicas": 3})
    world.step()
    assert len(world.names("ConfigMap")) == 2
    world.settle()
    assert len(world.names("ConfigMap")) == 1
    assert world.names("ConfigMap") != old
    assert len(world.names("ControllerRevision")) == 2
    assert world.condition("Ready")["status"] == "True"  # type: ignore[index]


def test_going_back_runs_the_stored_template_again() -> None:
    world = served()
    first = copy.deepcopy(world.children["ReplicaSet", "m-0-0"]["spec"]["template"])
    world.edit({"model": model(OTHER_COMMIT), "replicas": 1})
    world.settle()
    world.edit({"model": model(), "replicas": 1})
    world.settle()
    (name,) = world.names("ReplicaSet")
    labels = ("conch.dev/slot", "conch.dev/replica")
    again = world.children["ReplicaSet", name]["spec"]["template"]
    for label in labels:
        first["metadata"]["labels"].pop(label)
        again["metadata"]["labels"].pop(label)
    assert again == first
    assert len(world.names("ControllerRevision")) == 2


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_new_renderer_and_a_new_defaulted_field_restart_nothing(
    replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = served(replicas=replicas)
    monkeypatch.setattr("conch.manifests.pod_template.ENDPOINT_REMOVAL_SECONDS", 99)
    monkeypatch.setattr("conch.manifests.rendered_revision.RENDERER", 2)
    decision = world.decide()
    assert not [manifest for manifest in decision.applies if manifest["kind"] == "ReplicaSet"]
    assert not decision.removals
    assert "UpdateAvailable" in {condition["type"] for condition in decision.status["conditions"]}


def test_the_renderer_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    world = served()
    monkeypatch.setattr("conch.manifests.pod_template.ENDPOINT_REMOVAL_SECONDS", 99)
    world.edit({"model": model(), "replicas": 1, "pod": {"annotations": {"restart": "now"}}})
    world.settle()
    (name,) = world.names("ReplicaSet")
    template = world.children["ReplicaSet", name]["spec"]["template"]
    assert template["spec"]["terminationGracePeriodSeconds"] == 99 + 60 + 10


def test_a_bad_revision_costs_one_slot_in_place_and_a_good_one_heals() -> None:
    world = served(replicas=3)
    good = {name: world.children["ReplicaSet", name]["metadata"]["uid"] for name in world.names("ReplicaSet")}
    world.edit({"model": model(OTHER_COMMIT), "replicas": 3})
    bad = next(m for m in world.decide().applies if m["kind"] == "ConfigMap")["metadata"]["labels"][
        "conch.dev/revision"
    ]
    world.broken_revisions.add(bad)
    world.settle()
    kept = {name: world.children["ReplicaSet", name]["metadata"]["uid"] for name in world.names("ReplicaSet")}
    assert len(good.items() & kept.items()) == 2
    assert world.condition("Available")["status"] == "True"  # type: ignore[index]
    world.now = world.now.replace(hour=23)
    world.step()
    assert world.condition("Stalled") is not None
    world.edit({"model": model(), "replicas": 3})
    world.settle()
    assert world.condition("Ready")["status"] == "True"  # type: ignore[index]
    healed = {name: world.children["ReplicaSet", name]["metadata"]["uid"] for name in world.names("ReplicaSet")}
    assert good.items() & kept.items() <= healed.items()


def test_an_impossible_spec_changes_nothing_that_runs() -> None:
    world = served(replicas=2)
    before = copy.deepcopy({key: child for key, child in world.children.items() if key[0] != "ControllerRevision"})
    world.edit({"model": model(), "replicas": 2, "engine": {"extraArgs": [{"name": "block_size", "value": "many"}]}})
    world.step()
    after = {key: child for key, child in world.children.items() if key[0] != "ControllerRevision"}
    assert after == before
    stalled = world.condition("Stalled")
    assert stalled is not None
    assert "block_size" in stalled["message"]
    assert world.condition("Available")["status"] == "True"  # type: ignore[index]


@pytest.mark.parametrize(
    "kind", ["ConfigMap", "ControllerRevision", "PodDisruptionBudget", "Service", "ServiceAccount"]
)
def test_a_deleted_child_comes_back_as_it_was(kind: str) -> None:
    world = served()
    (name,) = world.names(kind)
    before = world.children.pop((kind, name))
    world.settle()
    after = world.children[kind, name]
    for child in (before, after):
        child["metadata"].pop("uid")
    assert json.dumps(after, sort_keys=True) == json.dumps(before, sort_keys=True)


def test_an_edited_child_is_put_right() -> None:
    world = served()
    world.children["Service", "m"]["spec"]["selector"] = {"app": "mine"}
    (manifest,) = world.decide().applies
    assert manifest["kind"] == "Service"


def test_fields_of_others_are_left_alone() -> None:
    world = served()
    world.children["Service", "m"]["metadata"]["annotations"]["mesh/inject"] = "yes"
    world.children["Service", "m"]["spec"]["sessionAffinity"] = "None"
    assert world.decide().applies == ()


def test_scaling_down_takes_the_highest_replica_whole() -> None:
    world = served(replicas=3, parallelism={"data": 2})
    world.edit({"model": model(), "replicas": 1, "parallelism": {"data": 2}})
    world.settle()
    assert world.names("ReplicaSet") == ["m-0-0", "m-0-1"]


def test_scaling_restarts_nothing_and_sets_no_reconciling() -> None:
    world = served(replicas=1)
    uid = world.children["ReplicaSet", "m-0-0"]["metadata"]["uid"]
    world.edit({"model": model(), "replicas": 4})
    world.step()
    assert world.condition("Reconciling") is None
    world.settle()
    assert world.children["ReplicaSet", "m-0-0"]["metadata"]["uid"] == uid
    assert len(world.names("ReplicaSet")) == 4


def test_zero_replicas_is_ready_and_keeps_the_service() -> None:
    world = served(replicas=2)
    world.edit({"model": model(), "replicas": 0})
    world.settle()
    assert world.names("ReplicaSet") == []
    assert world.names("Service") == ["m"]
    assert world.condition("Ready")["reason"] == "ScaledToZero"  # type: ignore[index]


def test_a_replica_set_that_lost_its_labels_is_recovered_and_its_pod_kept() -> None:
    world = served()
    hidden = world.children.pop(("ReplicaSet", "m-0-0"))
    decision = world.decide()
    (recovery,) = decision.recoveries
    assert recovery["metadata"]["uid"] == hidden["metadata"]["uid"]
    assert not [manifest for manifest in decision.applies if manifest["kind"] == "ReplicaSet"]
    assert (decision.marks, decision.removals) == ((), ())
    assert decision.look_again_seconds == 1


def test_a_replica_set_that_is_gone_is_replaced_when_its_pod_leaves() -> None:
    world = served()
    del world.children["ReplicaSet", "m-0-0"]
    world.children["Pod", "m-0-0-abcde"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:00:00Z"
    decision = world.decide()
    assert decision.recoveries == ()
    assert [manifest["metadata"]["name"] for manifest in decision.applies] == ["m-1-0"]


def revision_of_inputs(world: World) -> str:
    """The hash of the revision that the spec asks for now."""
    name: str = world.decide().status["revision"]["updated"]
    return name.removeprefix("m-")


def test_a_deleted_controller_revision_and_an_invalid_spec_roll_nothing_back() -> None:
    world = served(replicas=2)
    world.edit({"model": model(OTHER_COMMIT), "replicas": 2})
    world.settle()
    latest = revision_of_inputs(world)
    world.edit({"model": model(), "replicas": 2, "engine": {"extraArgs": [{"name": "block_size", "value": "many"}]}})
    del world.children["ControllerRevision", f"m-{latest}"]
    world.settle()
    running = {
        child["metadata"]["labels"]["conch.dev/revision"]
        for (kind, _), child in world.children.items()
        if kind == "Pod"
    }
    assert running == {latest}
    assert world.children["ControllerRevision", f"m-{latest}"]["revision"] == 2


def test_scaling_down_sets_no_reconciling_while_the_last_pod_still_ends() -> None:
    world = served(replicas=3)
    world.pods_linger = True
    world.edit({"model": model(), "replicas": 2})
    for _ in range(12):
        world.step()
        assert world.condition("Reconciling") is None
        assert world.condition("Ready")["status"] == "True"  # type: ignore[index]
    assert any("deletionTimestamp" in child["metadata"] for child in world.children.values())


def test_going_back_is_a_rollout_until_it_is_one_no_more() -> None:
    world = served(replicas=2)
    first = revision_of_inputs(world)
    world.edit({"model": model(OTHER_COMMIT), "replicas": 2})
    world.settle()
    world.edit({"model": model(), "replicas": 2})
    status = world.step().status
    assert status["revision"]["updated"] == f"m-{first}"
    assert status["revision"]["current"] != f"m-{first}"
    assert world.condition("Reconciling") is not None
    world.settle()
    assert world.resource["status"]["revision"] == {"current": f"m-{first}", "updated": f"m-{first}"}
    assert world.condition("Reconciling") is None


def test_a_revision_rolled_out_at_zero_replicas_has_not_served_and_makes_way() -> None:
    world = served(replicas=0)
    world.broken_revisions.add(revision_of_inputs(world))
    world.edit({"model": model(), "replicas": 1})
    world.settle()
    (broken,) = world.names("ReplicaSet")
    world.edit({"model": model(OTHER_COMMIT), "replicas": 1})
    decision = world.decide()
    assert [removal.name for removal in decision.removals if removal.kind == "ReplicaSet"] == [broken]


def test_an_engine_that_served_for_days_and_crashes_is_not_stalled_at_once() -> None:
    world = served()
    pod = world.children["Pod", "m-0-0-abcde"]
    pod["status"]["startTime"] = "2026-10-01T00:00:00Z"
    pod["status"]["conditions"][1] |= {"status": "False", "lastTransitionTime": timestamp(world.now)}
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    pod["status"]["containerStatuses"] = [
        {"name": "engine", "state": {"running": {}}, "lastState": ended, "started": False, "restartCount": 1}
    ]
    world.step()
    assert world.condition("Stalled") is None
    assert world.condition("Ready")["status"] == "False"  # type: ignore[index]
    world.now += timedelta(seconds=1900)
    world.step()
    assert world.condition("Stalled") is not None


def test_a_pod_of_a_stateful_set_with_copied_labels_is_nobodys_slot() -> None:
    world = served(replicas=2)
    copied = copy.deepcopy(world.children["Pod", "m-0-0-abcde"])
    copied["metadata"]["labels"] |= {"conch.dev/slot": "7-0", "conch.dev/replica": "7"}
    copied["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "x", "uid": "x", "controller": True}]
    world.children["Pod", "x-0"] = copied
    decision = world.decide()
    assert (decision.applies, decision.recoveries, decision.removals) == ((), (), ())


def test_a_pod_of_a_replica_set_of_another_name_is_not_recovered() -> None:
    world = served()
    copied = copy.deepcopy(world.children["Pod", "m-0-0-abcde"])
    copied["metadata"]["labels"] |= {"conch.dev/slot": "7-0", "conch.dev/replica": "7"}
    copied["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "x", "uid": "x", "controller": True}]
    world.children["Pod", "x-0"] = copied
    assert world.decide().recoveries == ()


def test_a_record_that_cannot_be_read_is_left_alone() -> None:
    world = served()
    unreadable = copy.deepcopy(world.children["ControllerRevision", world.names("ControllerRevision")[0]])
    unreadable["metadata"] |= {"name": "m-later", "uid": "x"}
    unreadable["metadata"]["labels"] |= {"conch.dev/revision": "later"}
    unreadable["data"] = {"of": "a later release"}
    world.children["ControllerRevision", "m-later"] = unreadable
    assert world.decide().removals == ()


def test_a_plan_of_a_later_release_can_be_read() -> None:
    world = served()
    (name,) = world.names("ControllerRevision")
    world.children["ControllerRevision", name]["data"]["plan"]["kvCacheTokens"] = 1
    decision = world.decide()
    assert not [manifest for manifest in decision.applies if manifest["kind"] == "ReplicaSet"]
    assert decision.removals == ()
