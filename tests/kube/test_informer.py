"""The informer against a server that forgets, cuts, stalls and lies in wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conch.kube.backoff import Backoff
from conch.kube.client import Client
from conch.kube.informer import Informer, InformerOptions, Selection
from conch.kube.resources import CONFIG_MAP, KubeObject
from kube.conftest import Measured, until
from kube.stand_in import (
    StandIn,
    bookmark,
    config_map,
    config_map_list,
    cut,
    event,
    expired,
    refusal,
    silent_stream,
    stream,
)

QUICK = InformerOptions(backoff=Backoff(0.01, 0.05))


def names(informer: Informer) -> list[str]:
    return sorted(item["metadata"]["name"] for item in informer.store)


class Watched:
    """An informer of the stand-in's ConfigMaps, and what it told."""

    def __init__(self, client: Client, measured: Measured, options: InformerOptions = QUICK) -> None:
        self.changes: list[tuple[KubeObject | None, KubeObject | None]] = []
        self.lists = 0
        self.informer = Informer(
            client,
            Selection(CONFIG_MAP, "default", "app=a"),
            measured.metrics,
            on_change=lambda old, new: self.changes.append((old, new)),
            on_list=self._listed,
            options=options,
        )

    def _listed(self) -> None:
        self.lists += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Informer]:
        task = asyncio.create_task(self.informer.run())
        try:
            yield self.informer
        finally:
            task.cancel()


@pytest.fixture
def watched(faulty: Client, measured: Measured) -> Watched:
    return Watched(faulty, measured)


def watch_versions(stand_in: StandIn) -> list[str]:
    return [seen.query["resourceVersion"] for seen in stand_in.seen if "watch" in seen.query]


async def test_it_lists_in_pages_and_watches_on(stand_in: StandIn, watched: Watched) -> None:
    stand_in.answers += [config_map_list(9, config_map("a", 1), token="t"), config_map_list(9, config_map("b", 2))]
    stand_in.watches += [
        stream(event("MODIFIED", config_map("b", 10)), bookmark(15)),
        silent_stream(event("DELETED", config_map("a", 16))),
    ]
    async with watched.running() as informer:
        assert not informer.synced
        await informer.wait_synced()
        assert names(informer) == ["a", "b"]
        await until(lambda: names(informer) == ["b"])
    assert watch_versions(stand_in)[:2] == ["9", "15"], "each watch goes on where the last one ended"
    assert all(seen.query["labelSelector"] == "app=a" for seen in stand_in.seen)
    assert watched.lists == 1


async def test_after_410_the_missed_delete_is_told(stand_in: StandIn, watched: Watched, measured: Measured) -> None:
    stand_in.answers += [
        config_map_list(9, config_map("a", 1), config_map("b", 2)),
        config_map_list(30, config_map("b", 20), config_map("c", 21)),
    ]
    stand_in.watches += [stream(expired())]
    async with watched.running() as informer:
        await until(lambda: names(informer) == ["b", "c"])
    gone = [old for old, new in watched.changes if new is None]
    assert [item["metadata"]["name"] for item in gone if item] == ["a"]
    assert watched.lists == 2
    assert measured.value("conch_informer_lists_total", resource="configmaps", cause="gone") == 1
    assert measured.value("conch_informer_objects", resource="configmaps") == 2


async def test_a_silent_watch_is_left_and_taken_up_again(
    stand_in: StandIn, watched: Watched, measured: Measured
) -> None:
    stand_in.answers.append(config_map_list(9))
    stand_in.watches += [silent_stream(bookmark(12)), silent_stream(event("ADDED", config_map("a", 13)))]
    async with watched.running() as informer:
        await until(lambda: names(informer) == ["a"])
    assert watch_versions(stand_in)[:2] == ["9", "12"]
    assert measured.value("conch_informer_watch_ends_total", resource="configmaps", cause="stalled") == 1
    assert watched.lists == 1


async def test_cut_connections_lose_nothing(stand_in: StandIn, watched: Watched) -> None:
    stand_in.answers.append(config_map_list(9))
    stand_in.watches += [
        stream(event("ADDED", config_map("a", 10)), ending=cut()),
        cut(),
        refusal(500, "InternalError"),
        stream(tail=b'{"type":"ADDED","object":{"metada'),
        silent_stream(event("ADDED", config_map("b", 11))),
    ]
    async with watched.running() as informer:
        await until(lambda: names(informer) == ["a", "b"])
    assert watch_versions(stand_in)[:5] == ["9", "10", "10", "10", "10"]
    assert len(watched.changes) == 2


async def test_a_list_that_fails_is_tried_again(stand_in: StandIn, watched: Watched) -> None:
    stand_in.answers += [
        refusal(403, "Forbidden"),
        config_map_list(9, config_map("a", 1), token="t"),
        refusal(410, "Expired"),
        config_map_list(12, config_map("b", 11)),
    ]
    async with watched.running() as informer:
        await informer.wait_synced()
        assert names(informer) == ["b"], "no half list is ever shown"


async def test_it_heals_by_itself_what_no_watch_told(stand_in: StandIn, faulty: Client, measured: Measured) -> None:
    stand_in.answers += [config_map_list(9, config_map("a", 1)), config_map_list(9), config_map_list(9)]
    watched = Watched(faulty, measured, InformerOptions(backoff=QUICK.backoff, heal_seconds=0.2))
    async with watched.running() as informer:
        await informer.wait_synced()
        assert names(informer) == ["a"]
        await until(lambda: names(informer) == [])
    assert measured.value("conch_informer_lists_total", resource="configmaps", cause="heal") == 1


async def test_a_callback_that_raises_costs_only_itself(
    stand_in: StandIn, faulty: Client, measured: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    def on_change(old: KubeObject | None, new: KubeObject | None) -> None:
        raise RuntimeError("the reconciler has a bug")

    stand_in.answers.append(config_map_list(9, config_map("a", 1), config_map("b", 2)))
    informer = Informer(faulty, Selection(CONFIG_MAP), measured.metrics, on_change=on_change)
    running = asyncio.create_task(informer.run())
    await informer.wait_synced()
    running.cancel()
    assert names(informer) == ["a", "b"]
    assert measured.value("conch_informer_callback_errors_total", resource="configmaps") == 2
    assert "the reconciler has a bug" in caplog.text


async def test_managed_fields_are_dropped_from_lists_events_and_answers(stand_in: StandIn, watched: Watched) -> None:
    fields = [{"manager": "kubectl"}]
    stand_in.answers.append(config_map_list(9, config_map("a", 1, managedFields=fields)))
    stand_in.watches.append(silent_stream(event("ADDED", config_map("b", 10, managedFields=fields))))
    async with watched.running() as informer:
        await until(lambda: names(informer) == ["a", "b"])
        answer = config_map("c", 11, managedFields=fields)
        informer.observe(answer)
        assert answer["metadata"]["managedFields"], "the caller's own copy is left alone"
        assert names(informer) == ["a", "b", "c"]
        assert not any("managedFields" in item["metadata"] for item in informer.store)


async def test_silence_is_measured(stand_in: StandIn, watched: Watched) -> None:
    stand_in.answers.append(config_map_list(9))
    stand_in.watches += [silent_stream(), silent_stream(bookmark(10))]
    async with watched.running() as informer:
        await informer.wait_synced()
        await until(lambda: informer.silent_seconds > 0.1)
        await until(lambda: informer.silent_seconds < 0.1)
    assert informer.store.seen == 10
