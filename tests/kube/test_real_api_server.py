"""What only a real API server can show."""

import asyncio
from uuid import uuid4

import pytest

from conch.kube.client import Client
from conch.kube.errors import AlreadyExistsError, ConflictError, GoneError, InvalidError, NotFoundError
from conch.kube.informer import Informer, Selection
from conch.kube.recorder import Happening, Recorder
from conch.kube.resources import CONFIG_MAP, EVENT, POD, KubeObject, Resource
from conch.kube.watching import WatchEventType
from kube.conftest import Measured, until

CRD = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
SHELL = Resource("conch.test", "v1", "shells", "Shell")


OURS = "conch.test/made-by=test"
"""Tells the ConfigMaps of a test from the one with the CA that is made in every namespace."""


def config_map(namespace: str, name: str, **data: str) -> KubeObject:
    metadata = {"namespace": namespace, "name": name, "labels": {"conch.test/made-by": "test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def pod(namespace: str, name: str) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "engine", "image": "engine"}]},
    }


async def test_apply_creates_and_changes_and_a_repetition_changes_nothing(client: Client, namespace: str) -> None:
    created = await client.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    repeated = await client.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    changed = await client.apply(CONFIG_MAP, config_map(namespace, "a", other="2"))

    assert repeated["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    assert changed["data"] == {"other": "2"}, "a field that is no longer applied goes away"
    assert [entry["manager"] for entry in changed["metadata"]["managedFields"]] == ["conch"]


async def test_apply_takes_no_field_from_another_manager_but_apply_owned_does(client: Client, namespace: str) -> None:
    theirs = await client.create(CONFIG_MAP, config_map(namespace, "a", key="theirs"))
    assert theirs["data"]["key"] == "theirs"

    # conch made it by a create, so it is conch's own update that stands against conch's apply
    with pytest.raises(ConflictError) as conflict:
        await client.apply(CONFIG_MAP, config_map(namespace, "a", key="ours"))
    assert [field for field, _ in conflict.value.field_conflicts] == [".data.key"]

    ours = await client.apply_owned(CONFIG_MAP, config_map(namespace, "a", key="ours"))
    assert ours["data"]["key"] == "ours"


async def test_an_object_with_a_uid_is_only_applied_to_that_very_object(client: Client, namespace: str) -> None:
    first = await client.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    wanted = config_map(namespace, "a", key="2")
    wanted["metadata"]["uid"] = first["metadata"]["uid"]
    assert (await client.apply_owned(CONFIG_MAP, wanted))["data"]["key"] == "2"

    await client.delete(CONFIG_MAP, namespace, "a", uid=first["metadata"]["uid"])
    with pytest.raises(ConflictError):
        await client.apply_owned(CONFIG_MAP, wanted)
    await client.apply(CONFIG_MAP, config_map(namespace, "a", key="3"))
    with pytest.raises(ConflictError):
        await client.apply_owned(CONFIG_MAP, wanted)


async def test_an_object_with_a_resource_version_is_only_written_at_that_version(
    client: Client, namespace: str
) -> None:
    old = await client.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    await client.apply(CONFIG_MAP, config_map(namespace, "a", key="2"))

    stale = config_map(namespace, "a", key="3")
    stale["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    for write in (client.apply_owned, client.replace):
        with pytest.raises(ConflictError):
            await write(CONFIG_MAP, stale)


async def test_create_says_that_a_name_is_taken(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAP, config_map(namespace, "a"))
    with pytest.raises(AlreadyExistsError):
        await client.create(CONFIG_MAP, config_map(namespace, "a"))


async def test_refusals_have_their_own_classes(client: Client, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await client.get(CONFIG_MAP, namespace, "nothing")
    with pytest.raises(InvalidError):
        await client.apply(CONFIG_MAP, config_map(namespace, "Not_A_Name"))


async def test_an_unknown_field_is_refused_at_once(client: Client, namespace: str, measured: Measured) -> None:
    wrong = pod(namespace, "a")
    wrong["spec"]["containerz"] = []
    with pytest.raises(InvalidError, match="containerz"):
        await client.apply(POD, wrong)
    assert measured.value("conch_kube_requests_total", verb="apply", resource="pods", code="500") == 1


async def test_delete_spares_a_successor_of_the_same_name(client: Client, namespace: str) -> None:
    first = await client.apply(CONFIG_MAP, config_map(namespace, "a"))
    uid = first["metadata"]["uid"]
    assert await client.delete(CONFIG_MAP, namespace, "a", uid=uid) is None
    with pytest.raises(NotFoundError):
        await client.delete(CONFIG_MAP, namespace, "a", uid=uid)

    await client.apply(CONFIG_MAP, config_map(namespace, "a"))
    with pytest.raises(ConflictError):
        await client.delete(CONFIG_MAP, namespace, "a", uid=uid)


async def test_delete_returns_what_is_still_there(client: Client, namespace: str) -> None:
    wanted = config_map(namespace, "a")
    wanted["metadata"]["finalizers"] = ["conch.test/keep"]
    held = await client.apply(CONFIG_MAP, wanted)

    terminating = await client.delete(CONFIG_MAP, namespace, "a", uid=held["metadata"]["uid"])

    assert terminating is not None
    assert terminating["metadata"]["deletionTimestamp"]
    await client.apply(CONFIG_MAP, config_map(namespace, "a"))
    with pytest.raises(NotFoundError):
        await client.get(CONFIG_MAP, namespace, "a")


async def test_a_label_of_a_pod_is_flipped_on_that_very_pod(client: Client, namespace: str) -> None:
    first = await client.create(POD, pod(namespace, "a"))
    patch = {"metadata": {"uid": first["metadata"]["uid"], "labels": {"conch.dev/serving": "false"}}}
    flipped = await client.merge_patch(POD, namespace, "a", patch)
    assert flipped["metadata"]["labels"] == {"app": "a", "conch.dev/serving": "false"}

    await client.delete(POD, namespace, "a", uid=first["metadata"]["uid"], grace_period_seconds=0)
    await client.create(POD, pod(namespace, "a"))
    with pytest.raises(ConflictError):
        await client.merge_patch(POD, namespace, "a", patch)


async def test_a_list_in_pages_shows_one_state(client: Client, namespace: str) -> None:
    await asyncio.gather(*(client.apply(CONFIG_MAP, config_map(namespace, f"a-{i}")) for i in range(7)))
    names, versions = [], set()
    async for page in client.pages(CONFIG_MAP, namespace, label_selector=OURS, page_objects=3):
        assert len(page.items) <= 3
        names += [item["metadata"]["name"] for item in page.items]
        versions.add(page.resource_version)
        assert all(item["kind"] == "ConfigMap" and item["apiVersion"] == "v1" for item in page.items)
        await client.apply(CONFIG_MAP, config_map(namespace, f"between-{len(names)}"))
    assert names == [f"a-{i}" for i in range(7)]
    assert len(versions) == 1


async def test_a_list_selects_by_label(client: Client, namespace: str) -> None:
    await client.create(POD, pod(namespace, "a"))
    await client.create(POD, pod(namespace, "b"))
    pages = [page async for page in client.pages(POD, namespace, label_selector="app=b")]
    assert [item["metadata"]["name"] for page in pages for item in page.items] == ["b"]


async def test_a_watch_brings_every_change_after_the_list(client: Client, namespace: str) -> None:
    version = ""
    async for page in client.pages(CONFIG_MAP, namespace, label_selector=OURS):
        version = page.resource_version
    made = await client.apply(CONFIG_MAP, config_map(namespace, "a", key="1"))
    await client.apply(CONFIG_MAP, config_map(namespace, "a", key="2"))
    await client.delete(CONFIG_MAP, namespace, "a", uid=made["metadata"]["uid"])

    told = client.watch(CONFIG_MAP, namespace, resource_version=version, timeout_seconds=1, label_selector=OURS)
    events = [event async for event in told if event.type is not WatchEventType.BOOKMARK]

    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.resource_version) for event in events]
    assert versions == sorted(set(versions)), "also the deletion has a version of its own"


async def test_a_watch_from_a_forgotten_version_is_gone(client: Client) -> None:
    await _define_shells(client)  # the API server remembers no change to them from before they were defined
    with pytest.raises(GoneError):
        await anext(client.watch(SHELL, resource_version="1", timeout_seconds=1))


async def test_status_is_applied_without_touching_spec(client: Client) -> None:
    await _define_shells(client)
    shell = {
        "apiVersion": SHELL.api_version,
        "kind": SHELL.kind,
        "metadata": {"namespace": "default", "name": f"shell-{uuid4().hex[:6]}"},
        "spec": {"size": 1},
    }
    made = await client.create(SHELL, shell)
    metadata = {name: made["metadata"][name] for name in ("namespace", "name", "uid")}
    status = {"apiVersion": SHELL.api_version, "kind": SHELL.kind, "metadata": metadata, "status": {"ready": 1}}

    answer = await client.apply_status(SHELL, status)
    assert answer["status"] == {"ready": 1}
    assert answer["spec"] == {"size": 1}
    assert answer["metadata"]["generation"] == made["metadata"]["generation"]

    await client.delete(SHELL, "default", metadata["name"], uid=metadata["uid"])
    with pytest.raises((NotFoundError, ConflictError)):
        await client.apply_status(SHELL, status)


async def test_only_a_version_keeps_a_status_from_a_successor(client: Client) -> None:
    await _define_shells(client)
    metadata = {"namespace": "default", "name": f"shell-{uuid4().hex[:6]}"}
    shell = {"apiVersion": SHELL.api_version, "kind": SHELL.kind, "metadata": metadata, "spec": {"size": 1}}
    first = await client.create(SHELL, shell)
    await client.delete(SHELL, "default", metadata["name"], uid=first["metadata"]["uid"])
    await client.create(SHELL, shell)

    pinned = {**metadata, "resourceVersion": first["metadata"]["resourceVersion"]}
    with pytest.raises(ConflictError):
        await client.apply_status(SHELL, {**shell, "metadata": pinned, "status": {"ready": 1}})
    with pytest.raises(ConflictError):
        await client.merge_patch_status(
            SHELL, "default", metadata["name"], {"metadata": pinned, "status": {"ready": 1}}
        )
    assert "status" not in await client.get(SHELL, "default", metadata["name"])


async def test_apply_new_creates_and_never_changes(client: Client, namespace: str) -> None:
    made = await client.apply_new(CONFIG_MAP, config_map(namespace, "a", key="1"))
    assert [entry["operation"] for entry in made["metadata"]["managedFields"]] == ["Apply"]
    with pytest.raises(ConflictError):
        await client.apply_new(CONFIG_MAP, config_map(namespace, "a", key="2"))
    assert (await client.get(CONFIG_MAP, namespace, "a"))["data"] == {"key": "1"}


async def _define_shells(client: Client) -> None:
    number = {"type": "integer"}
    part = {"type": "object", "properties": {"size": number, "ready": number}}
    schema = {"type": "object", "properties": {"spec": part, "status": part}}
    version = {
        "name": SHELL.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    await client.apply(
        CRD,
        {
            "apiVersion": CRD.api_version,
            "kind": CRD.kind,
            "metadata": {"name": f"{SHELL.plural}.{SHELL.group}"},
            "spec": {
                "group": SHELL.group,
                "scope": "Namespaced",
                "names": {"plural": SHELL.plural, "kind": SHELL.kind},
                "versions": [version],
            },
        },
    )
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get(SHELL, "default", "none")
            except NotFoundError as missing:
                if missing.reason == "NotFound" and missing.details.get("name") == "none":
                    return
            await asyncio.sleep(0.1)


async def test_an_informer_follows_and_shows_own_writes_at_once(
    client: Client, namespace: str, measured: Measured
) -> None:
    await client.apply(CONFIG_MAP, config_map(namespace, "before"))
    changes: asyncio.Queue[tuple[KubeObject | None, KubeObject | None]] = asyncio.Queue()
    informer = Informer(
        client,
        Selection(CONFIG_MAP, namespace, OURS),
        measured.metrics,
        on_change=lambda old, new: changes.put_nowait((old, new)),
    )
    running = asyncio.create_task(informer.run())
    async with asyncio.timeout(20):
        await informer.wait_synced()
        old, new = await changes.get()
        assert old is None
        assert new is not None
        assert "managedFields" not in new["metadata"]

        for i in range(20):
            made = await client.apply(CONFIG_MAP, config_map(namespace, "ours", key=str(i)))
            informer.observe(made)
            seen = informer.store.get(namespace, "ours")
            assert seen is not None
            assert seen["data"] == {"key": str(i)}
            uid = made["metadata"]["uid"]
            assert await client.delete(CONFIG_MAP, namespace, "ours", uid=uid) is None
            informer.observe_deleted(uid)
            assert informer.store.get(namespace, "ours") is None

        await client.apply(CONFIG_MAP, config_map(namespace, "last"))
        while informer.store.get(namespace, "last") is None:
            await changes.get()
    assert sorted(item["metadata"]["name"] for item in informer.store) == ["before", "last"]
    running.cancel()


async def test_a_pod_that_is_gone_at_once_leaves_no_ghost(client: Client, namespace: str, measured: Measured) -> None:
    informer = Informer(client, Selection(POD, namespace), measured.metrics, on_change=lambda old, new: None)
    running = asyncio.create_task(informer.run())
    await informer.wait_synced()
    for i in range(20):
        made = await client.apply(POD, pod(namespace, "engine"))
        informer.observe(made)
        terminating = await client.delete(POD, namespace, "engine", uid=made["metadata"]["uid"])
        assert terminating is not None, "no node has it, so it is gone, yet the answer shows it"
        if i % 2:
            await asyncio.sleep(0.01)
        informer.observe(terminating)
        shown = informer.store.get(namespace, "engine")
        assert shown is None or shown["metadata"]["deletionTimestamp"]
    await until(lambda: len(informer.store) == 0)
    running.cancel()


async def test_events_are_recorded_once_and_counted(client: Client, namespace: str, measured: Measured) -> None:
    about = await client.apply(CONFIG_MAP, config_map(namespace, "a"))
    happening = Happening("Warning", "TooBig", "Plan", "The model needs 3 GPUs,\nbut a node has 2.")

    for process, outcome in (("first", "created"), ("restarted", "counted")):
        recorder = Recorder(client, measured.metrics, controller="conch.dev/operator", instance=process)
        running = asyncio.create_task(recorder.run())
        for _ in range(3):
            recorder.tell(about, happening)
        await until(lambda outcome=outcome: measured.value("conch_events_total", outcome=outcome) == 1)  # type: ignore[misc]
        running.cancel()

    events = [item async for page in client.pages(EVENT, namespace) for item in page.items]
    assert len(events) == 1
    assert events[0]["note"] == "The model needs 3 GPUs, but a node has 2."
    assert events[0]["regarding"]["uid"] == about["metadata"]["uid"]
    assert events[0]["series"]["count"] == 2
