"""Children on a real API server: in order, owned, never somebody else's, and none for a resource that is gone."""

import asyncio
import copy
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from conch.controller.caches import CHILDREN, LLM_DEPLOYMENT, Key
from conch.controller.children import Removal
from conch.controller.decision import Decision, PodMark
from conch.controller.writer import ResourceGoneError
from conch.kube.errors import ConflictError, ForbiddenError
from conch.kube.resources import CONFIG_MAP, NAMESPACE, POD, REPLICA_SET, SERVICE, SERVICE_ACCOUNT, KubeObject, Resource
from conch.manifests.identity import DRAINING_SINCE, SERVING
from conch.rollout.fleet import Observed
from controller.conftest import Doers, deployment, until

RESOURCE_QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")
OTHER_UID = "22222222-2222-2222-2222-222222222222"


def owner(name: str, uid: str) -> KubeObject:
    return {
        "apiVersion": LLM_DEPLOYMENT.api_version,
        "kind": LLM_DEPLOYMENT.kind,
        "name": name,
        "uid": uid,
        "controller": True,
    }


def service(namespace: str, name: str, **metadata: Any) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"name": "web", "port": 80}]},
    }


def only(**what: Any) -> Decision:
    """A decision with a single kind of write."""
    nothing = {"applies": (), "recoveries": (), "marks": (), "removals": (), "status": {}, "look_again_seconds": None}
    return Decision(**{**nothing, **what})


async def test_every_child_is_created_and_owned_and_slots_come_last(doers: Doers) -> None:
    made = await doers.create("m")
    outcome = await doers.write("m")
    assert outcome.wrote
    assert outcome.conflicts == ()
    versions: dict[str, int] = {}
    for kind, children in doers.observe("m").children.items():
        for child in children:
            if kind == "Pod":
                continue
            (reference,) = child["metadata"]["ownerReferences"]
            assert (reference["uid"], reference["controller"]) == (made["metadata"]["uid"], True)
            versions[kind] = int(child["metadata"]["resourceVersion"])
    assert versions.keys() == CHILDREN.keys() - {"Pod"}
    replica_sets = await doers.listed(REPLICA_SET)
    assert [item["metadata"]["managedFields"][0]["manager"] for item in replica_sets] == ["conch"]
    created = min(version for kind, version in versions.items() if kind == "ReplicaSet")
    assert all(version < created for kind, version in versions.items() if kind != "ReplicaSet")


async def test_at_rest_nothing_is_left_to_write(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    decision = doers.decide("m")
    assert (decision.applies, decision.marks, decision.removals) == ((), (), ())
    assert not (await doers.write("m")).wrote


async def test_a_line_per_change_and_none_without(doers: Doers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="conch.controller")
    await doers.create("m")
    decision = doers.decide("m")
    await doers.writer.carry_out(doers.observe("m"), decision)
    assert sorted(caplog.messages) == sorted(
        f"Created {child['kind']} {doers.namespace}/{child['metadata']['name']}" for child in decision.applies
    )
    caplog.clear()
    await doers.writer.carry_out(doers.observe("m"), decision)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("owned", "holder"), [(False, "nobody that Conch knows"), (True, "LLMDeployment other")], ids=["nobody", "other"]
)
async def test_a_namesake_is_left_alone_and_reported(doers: Doers, owned: bool, holder: str) -> None:
    other = await doers.create("other")
    metadata = {"ownerReferences": [owner("other", other["metadata"]["uid"])]} if owned else {}
    theirs = await doers.client.create(SERVICE, service(doers.namespace, "m", **metadata))
    await doers.create("m")
    (conflict,) = (await doers.write("m")).conflicts
    assert conflict == (
        f"Service m exists and belongs to {holder}: rename the LLMDeployment, "
        f"or delete it with 'kubectl delete service -n {doers.namespace} m'"
    )
    assert await doers.read(SERVICE, "m") == theirs


async def test_no_engine_starts_beside_somebody_elses_objects(doers: Doers) -> None:
    await doers.client.create(SERVICE, service(doers.namespace, "m"))
    await doers.create("m")
    await doers.write("m")
    assert await doers.listed(REPLICA_SET) == []
    theirs = await doers.read(SERVICE, "m")
    await doers.client.delete(SERVICE, doers.namespace, "m", uid=theirs["metadata"]["uid"])
    assert (await doers.write("m")).conflicts == ()
    assert len(await doers.listed(REPLICA_SET)) == 1


async def test_the_conflict_is_in_the_status_and_looked_at_again_soon(doers: Doers) -> None:
    await doers.client.create(SERVICE, service(doers.namespace, "m"))
    await doers.create("m")
    again_seconds = await doers.reconciler.reconcile(doers.key("m"))
    conditions = {item["type"]: item for item in (await doers.read(LLM_DEPLOYMENT, "m"))["status"]["conditions"]}
    assert conditions["Stalled"]["reason"] == "NameConflict"
    assert "Service m exists" in conditions["Stalled"]["message"]
    assert again_seconds is not None
    assert again_seconds <= 60


async def test_a_refusal_is_in_the_status_and_tried_again_soon(doers: Doers) -> None:
    metadata = {"namespace": doers.namespace, "name": "none"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"services": "0"}}}
    made = await doers.client.create(RESOURCE_QUOTA, quota)
    async with asyncio.timeout(15):
        while "status" not in made or "used" not in made["status"]:
            await asyncio.sleep(0.1)
            made = await doers.read(RESOURCE_QUOTA, "none")
    await doers.create("m")
    again_seconds = await doers.reconciler.reconcile(doers.key("m"))
    conditions = {item["type"]: item for item in (await doers.read(LLM_DEPLOYMENT, "m"))["status"]["conditions"]}
    assert "the API server refuses Service m: " in conditions["Ready"]["message"]
    assert "exceeded quota: none" in conditions["Ready"]["message"]
    assert "Stalled" not in conditions
    assert await doers.listed(REPLICA_SET) == []
    assert again_seconds is not None
    assert again_seconds <= 60
    await doers.client.delete(RESOURCE_QUOTA, doers.namespace, "none", uid=made["metadata"]["uid"])
    async with asyncio.timeout(15):
        while (await doers.write("m")).refusals:
            await asyncio.sleep(0.2)
    assert len(await doers.listed(REPLICA_SET)) == 1


async def test_a_recreated_resource_waits_for_the_garbage_collector(doers: Doers) -> None:
    theirs = service(doers.namespace, "m", ownerReferences=[owner("m", OTHER_UID)], finalizers=["conch.test/keep"])
    held = await doers.client.create(SERVICE, theirs)
    await doers.create("m")
    with pytest.raises(ConflictError, match="Service m of a deleted namesake still exists"):
        await doers.write("m")
    finalizers = {"metadata": {"uid": held["metadata"]["uid"], "finalizers": None}}
    await doers.client.merge_patch(SERVICE, doers.namespace, "m", finalizers)
    async with asyncio.timeout(60):  # the garbage collector learns of a new CRD only every half minute
        while await doers.listed(SERVICE):
            await asyncio.sleep(0.1)
    assert (await doers.write("m")).conflicts == ()


async def test_a_failing_write_outlives_the_reconcile_no_more_than_the_others_do(doers: Doers) -> None:
    held = service(doers.namespace, "m", ownerReferences=[owner("m", OTHER_UID)], finalizers=["conch.test/keep"])
    made = await doers.client.create(SERVICE, held)
    await doers.create("m")
    before = asyncio.all_tasks()
    with pytest.raises(ConflictError):
        await doers.write("m")
    assert asyncio.all_tasks() <= before
    finalizers = {"metadata": {"uid": made["metadata"]["uid"], "finalizers": None}}
    await doers.client.merge_patch(SERVICE, doers.namespace, "m", finalizers)


async def test_a_child_without_its_labels_is_taken_back(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    before = await doers.read(SERVICE, "m")
    stripped = {"metadata": {"labels": dict.fromkeys(before["metadata"]["labels"])}}
    doers.woken.clear()
    await doers.client.merge_patch(SERVICE, doers.namespace, "m", stripped)
    await doers.cached("m", lambda observation: not observation.of("Service"))
    assert doers.key("m") in doers.woken
    assert (await doers.write("m")).conflicts == ()
    after = await doers.read(SERVICE, "m")
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert doers.observe("m").of("Service")


async def test_an_edited_child_is_put_right(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    before = await doers.read(SERVICE, "m")
    await doers.client.merge_patch(SERVICE, doers.namespace, "m", {"spec": {"selector": {"app": "theirs"}}})
    await doers.cached("m", lambda observation: observation.of("Service")[0]["spec"] != before["spec"])
    await doers.write("m")
    after = await doers.read(SERVICE, "m")
    wanted = before["spec"]["selector"]
    assert {name: after["spec"]["selector"].get(name) for name in wanted} == wanted


async def test_a_replaced_config_map_is_made_anew(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    (before,) = doers.observe("m").of("ConfigMap")
    name, uid = before["metadata"]["name"], before["metadata"]["uid"]
    await doers.client.delete(CONFIG_MAP, doers.namespace, name, uid=uid)
    kept = {field: before["metadata"][field] for field in ("name", "namespace", "labels", "ownerReferences")}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "immutable": True, "data": {"model.json": "no"}}
    await doers.client.create(CONFIG_MAP, other)
    await doers.cached("m", lambda observation: [m["data"] for m in observation.of("ConfigMap")] == [other["data"]])
    assert (await doers.write("m")).conflicts == ()
    assert (await doers.read(CONFIG_MAP, name))["data"] == before["data"]


async def test_a_child_that_cannot_be_put_right_is_reported_and_not_replaced(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    (replica_set,) = doers.observe("m").of("ReplicaSet")
    impossible = copy.deepcopy(_rendered(replica_set))
    impossible["spec"]["selector"]["matchLabels"]["conch.test/more"] = "x"
    impossible["spec"]["template"]["metadata"]["labels"]["conch.test/more"] = "x"
    (refusal,) = (await doers.writer.carry_out(doers.observe("m"), only(applies=(impossible,)))).refusals
    assert "field is immutable" in refusal
    assert (await doers.read(REPLICA_SET, replica_set["metadata"]["name"]))["metadata"]["uid"] == (
        replica_set["metadata"]["uid"]
    )


def _rendered(replica_set: Observed) -> KubeObject:
    """The manifest of an observed ReplicaSet, without what the API server added."""
    metadata = {name: replica_set["metadata"][name] for name in ("name", "namespace", "labels", "ownerReferences")}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": replica_set["spec"]}


async def test_a_removal_spares_a_successor_of_the_same_name(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    name = doers.observe("m").of("ReplicaSet")[0]["metadata"]["name"]
    await doers.writer.carry_out(doers.observe("m"), only(removals=(Removal("ReplicaSet", name, OTHER_UID),)))
    assert await doers.read(REPLICA_SET, name)
    uid = doers.observe("m").of("ReplicaSet")[0]["metadata"]["uid"]
    await doers.writer.carry_out(doers.observe("m"), only(removals=(Removal("ReplicaSet", name, uid),)))
    assert doers.observe("m").of("ReplicaSet") == ()
    assert await doers.listed(REPLICA_SET) == []


async def test_a_pod_is_marked_and_put_back_and_a_successor_is_not(doers: Doers) -> None:
    await doers.create("m")
    await doers.write("m")
    observation = await doers.cached("m", lambda observation: bool(observation.of("Pod")))
    pod = observation.of("Pod")[0]["metadata"]
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    drained: KubeObject = {"metadata": {"labels": {SERVING: "false"}, "annotations": {DRAINING_SINCE: moment}}}
    restored: KubeObject = {"metadata": {"labels": {SERVING: "true"}, "annotations": {DRAINING_SINCE: None}}}

    await doers.writer.carry_out(observation, only(marks=(PodMark(pod["name"], OTHER_UID, drained),)))
    assert (await doers.read(POD, pod["name"]))["metadata"]["labels"][SERVING] == "true"

    await doers.writer.carry_out(observation, only(marks=(PodMark(pod["name"], pod["uid"], drained),)))
    (seen,) = doers.observe("m").of("Pod")
    assert seen["metadata"]["labels"][SERVING] == "false"
    assert seen["metadata"]["annotations"][DRAINING_SINCE] == moment

    await doers.writer.carry_out(observation, only(marks=(PodMark(pod["name"], pod["uid"], restored),)))
    after = (await doers.read(POD, pod["name"]))["metadata"]
    assert after["labels"][SERVING] == "true"
    assert DRAINING_SINCE not in after.get("annotations", {})


async def test_a_mark_or_removal_of_what_is_gone_is_nothing(doers: Doers) -> None:
    await doers.create("m")
    marks = (PodMark("gone", OTHER_UID, {"metadata": {"labels": {SERVING: "false"}}}),)
    outcome = await doers.writer.carry_out(
        doers.observe("m"), only(marks=marks, removals=(Removal("Pod", "gone", OTHER_UID),))
    )
    assert outcome.conflicts == ()


async def test_nothing_is_created_for_a_resource_that_is_gone(doers: Doers) -> None:
    made = await doers.create("m")
    observation, decision = doers.observe("m"), doers.decide("m")
    await doers.client.delete(LLM_DEPLOYMENT, doers.namespace, "m", uid=made["metadata"]["uid"])
    with pytest.raises(ResourceGoneError):
        await doers.writer.carry_out(observation, decision)
    assert await doers.listed(REPLICA_SET) == []
    assert doers.caches.observe(doers.key("m")) is None, "the cache has learnt it too"
    assert await doers.reconciler.reconcile(doers.key("m")) is None


async def test_nothing_is_created_for_a_namesake_of_the_past(doers: Doers) -> None:
    made = await doers.create("m")
    observation, decision = doers.observe("m"), doers.decide("m")
    await doers.client.delete(LLM_DEPLOYMENT, doers.namespace, "m", uid=made["metadata"]["uid"])
    again = await doers.client.create(LLM_DEPLOYMENT, deployment(doers.namespace, "m"))
    with pytest.raises(ResourceGoneError):
        await doers.writer.carry_out(observation, decision)
    assert await doers.listed(REPLICA_SET) == []
    assert doers.observe("m").identity.uid == again["metadata"]["uid"]


async def test_a_namespace_that_is_being_deleted_is_no_error(doers: Doers) -> None:
    holder = {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}
    metadata = {"namespace": doers.namespace, "name": "holder", "finalizers": ["conch.test/keep"]}
    held = await doers.client.create(CONFIG_MAP, {**holder, "metadata": metadata})
    await doers.create("m")
    observation, decision = doers.observe("m"), doers.decide("m")
    live = await doers.client.get(NAMESPACE, None, doers.namespace)
    await doers.client.delete(NAMESPACE, None, doers.namespace, uid=live["metadata"]["uid"])
    service_account = next(child for child in decision.applies if child["kind"] == "ServiceAccount")
    with pytest.raises(ForbiddenError):
        await doers.client.apply_new(SERVICE_ACCOUNT, service_account)
    with pytest.raises(ResourceGoneError):
        await doers.writer.carry_out(observation, decision)
    await doers.client.merge_patch(
        CONFIG_MAP, doers.namespace, "holder", {"metadata": {"uid": held["metadata"]["uid"], "finalizers": None}}
    )


async def test_children_in_another_namespace_are_never_ours(doers: Doers) -> None:
    """Labels and even owner references can be written by anyone who may write in some namespace."""
    await doers.create("m")
    await doers.write("m")
    ours = doers.observe("m").of("ReplicaSet")[0]
    elsewhere = {"namespace": "default", "name": f"forged-{doers.namespace}", "finalizers": ["conch.test/keep"]}
    replica_set = _rendered(copy.deepcopy(ours))
    replica_set["metadata"] |= elsewhere
    labels = ours["spec"]["template"]["metadata"]["labels"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**elsewhere, "labels": labels},
        "spec": {"nodeSelector": {"conch.test/node": "none"}, "containers": [{"name": "engine", "image": "x"}]},
    }
    forgeries = [await doers.client.create(REPLICA_SET, replica_set), await doers.client.create(POD, pod)]
    try:
        stores = [(doers.caches.informers[item["kind"]].store, item["metadata"]["uid"]) for item in forgeries]
        await until(lambda: all(store.by_uid(uid) for store, uid in stores))
        observed = [child for children in doers.observe("m").children.values() for child in children]
        assert {child["metadata"]["namespace"] for child in observed} == {doers.namespace}
        assert Key("default", "m") in doers.woken
        assert await doers.reconciler.reconcile(Key("default", "m")) is None
    finally:
        for item in forgeries:
            await _remove(doers, item)


async def _remove(doers: Doers, item: KubeObject) -> None:
    """Takes away what is kept by a finalizer."""
    resource, metadata = CHILDREN[item["kind"]], item["metadata"]
    place = (resource, metadata["namespace"], metadata["name"])
    await doers.client.delete(*place, uid=metadata["uid"], grace_period_seconds=0)
    await doers.client.merge_patch(*place, {"metadata": {"uid": metadata["uid"], "finalizers": None}})
