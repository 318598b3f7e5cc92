"""The client against a server that misbehaves."""

import time

import aiohttp
import pytest

from conch.kube.client import Client
from conch.kube.errors import (
    FencedError,
    GoneError,
    KubeError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
    UnreachableError,
    WatchStalledError,
)
from conch.kube.resources import CONFIG_MAP
from conch.kube.transport import Transport
from conch.kube.watching import WatchEvent
from kube.conftest import Measured
from kube.stand_in import (
    StandIn,
    bookmark,
    config_map,
    config_map_list,
    cut,
    event,
    expired,
    json_answer,
    refusal,
    silent_stream,
    stream,
)


async def watch(client: Client) -> list[WatchEvent]:
    """All events from version 5 on, until the server ends the watch."""
    return [seen async for seen in client.watch(CONFIG_MAP, "default", resource_version="5", timeout_seconds=30)]


async def test_retry_after_is_obeyed(stand_in: StandIn, faulty: Client, measured: Measured) -> None:
    stand_in.answers += [refusal(429, "TooManyRequests", retry_after_seconds=1), json_answer(config_map("a", 1))]
    started = time.monotonic()
    await faulty.get(CONFIG_MAP, "default", "a")
    assert 1.0 <= time.monotonic() - started < 2.0
    labels = {"verb": "get", "resource": "configmaps"}
    assert measured.value("conch_kube_requests_total", **labels, code="429") == 1
    assert measured.value("conch_kube_requests_total", **labels, code="200") == 1
    assert measured.value("conch_kube_request_duration_seconds_count", **labels) == 2


async def test_a_long_retry_after_is_told_to_the_caller(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers.append(refusal(429, "TooManyRequests", retry_after_seconds=60))
    with pytest.raises(TooManyRequestsError) as refused:
        await faulty.get(CONFIG_MAP, "default", "a")
    assert refused.value.retry_after_seconds == 60


async def test_an_apply_is_repeated_through_failures(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers += [cut(), refusal(500, "InternalError"), refusal(503, "ServiceUnavailable")]
    stand_in.answers.append(json_answer(config_map("a", 7)))
    applied = await faulty.apply(CONFIG_MAP, config_map("a", 1))
    assert applied["metadata"]["resourceVersion"] == "7"
    assert [(seen.method, seen.query) for seen in stand_in.seen] == [
        ("PATCH", {"fieldValidation": "Strict", "fieldManager": "conch", "force": "false"})
    ] * 4
    assert stand_in.seen[0].headers["Content-Type"] == "application/apply-patch+yaml"


async def test_repeating_ends(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers += [refusal(500, "InternalError")] * 9
    with pytest.raises(ServerError):
        await faulty.get(CONFIG_MAP, "default", "a")
    assert len(stand_in.seen) == 4


@pytest.mark.parametrize("failure", [cut(), refusal(500, "InternalError"), refusal(504, "Timeout")])
async def test_a_create_that_may_have_happened_is_not_repeated(
    stand_in: StandIn, faulty: Client, failure: object
) -> None:
    stand_in.answers += [failure, json_answer(config_map("a", 1))]  # type: ignore[list-item]
    with pytest.raises((UnreachableError, ServerError)):
        await faulty.create(CONFIG_MAP, config_map("a", 1))
    assert len(stand_in.seen) == 1


async def test_a_request_that_takes_too_long_is_given_up(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers.append(silent_stream())
    with pytest.raises(UnreachableError) as late:
        await faulty.create(CONFIG_MAP, config_map("a", 1))
    assert late.value.sent


async def test_nobody_listening_is_known_to_be_unsent(measured: Measured) -> None:
    async with aiohttp.ClientSession() as session:
        nobody = Client(Transport(session, "http://127.0.0.1:1", measured.metrics))
        with pytest.raises(UnreachableError) as refused:
            async for _ in nobody.watch(CONFIG_MAP, resource_version="1", timeout_seconds=1):
                pass
    assert not refused.value.sent


async def test_an_answer_in_html_is_still_an_error(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers.append(json_answer("<html>proxy says no</html>", 401))
    with pytest.raises(UnauthorizedError, match="proxy says no"):
        await faulty.get(CONFIG_MAP, "default", "a")


async def test_a_fence_holds_back_writes_but_not_reads(stand_in: StandIn, measured: Measured) -> None:
    def fence() -> None:
        if len(stand_in.seen) > 1:
            raise FencedError("no longer the leader")

    stand_in.answers += [json_answer(config_map("a", 1)), refusal(503, "ServiceUnavailable")]
    stand_in.answers.append(json_answer(config_map("a", 1)))
    async with aiohttp.ClientSession() as session:
        client = Client(Transport(session, stand_in.server, measured.metrics, fence=fence))
        await client.apply(CONFIG_MAP, config_map("a", 1))
        with pytest.raises(FencedError):  # between the first attempt and the second
            await client.apply(CONFIG_MAP, config_map("a", 1))
        await client.get(CONFIG_MAP, "default", "a")
    assert [seen.method for seen in stand_in.seen] == ["PATCH", "PATCH", "GET"]


async def test_pages_are_continued(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers += [config_map_list(9, config_map("a", 1), token="more"), config_map_list(9, config_map("b", 2))]
    pages = [page async for page in faulty.pages(CONFIG_MAP, label_selector="app=a")]
    assert [len(page.items) for page in pages] == [1, 1]
    assert [seen.query for seen in stand_in.seen] == [
        {"limit": "500", "labelSelector": "app=a"},
        {"limit": "500", "labelSelector": "app=a", "continue": "more"},
    ]
    assert stand_in.seen[0].path == "/api/v1/configmaps"


async def test_an_expired_page_is_gone(stand_in: StandIn, faulty: Client) -> None:
    stand_in.answers += [config_map_list(9, config_map("a", 1), token="more"), refusal(410, "Expired")]
    with pytest.raises(GoneError):
        async for _ in faulty.pages(CONFIG_MAP):
            pass


async def test_a_watch_delivers_events_and_bookmarks_until_its_end(stand_in: StandIn, faulty: Client) -> None:
    stand_in.watches.append(stream(event("ADDED", config_map("a", 6)), bookmark(8), tail=b'{"type":"ADDED","obj'))
    seen = await watch(faulty)
    assert [(one.type, one.resource_version) for one in seen] == [("ADDED", "6"), ("BOOKMARK", "8")]
    assert stand_in.seen[0].query == {
        "watch": "1",
        "resourceVersion": "5",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "30",
    }


async def test_an_object_of_many_network_chunks_is_put_together(stand_in: StandIn, faulty: Client) -> None:
    large = config_map("a", 6, annotations={"blob": "ü" * 3_000_000})
    stand_in.watches.append(stream(event("ADDED", large), event("DELETED", large)))
    seen = await watch(faulty)
    assert [one.object == large for one in seen] == [True, True]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (stream(event("ADDED", config_map("a", 6)), expired()), GoneError),
        (refusal(410, "Expired"), GoneError),
        (silent_stream(event("ADDED", config_map("a", 6))), WatchStalledError),
        (stream(event("ADDED", config_map("a", 6)), ending=cut()), UnreachableError),
        (stream(event("ADDED", config_map("a", 6)), tail=b"<html>\n"), UnreachableError),
        (refusal(429, "TooManyRequests", retry_after_seconds=1), TooManyRequestsError),
    ],
)
async def test_a_watch_that_breaks_says_how(
    stand_in: StandIn, faulty: Client, answer: object, error: type[KubeError]
) -> None:
    stand_in.watches.append(answer)  # type: ignore[arg-type]
    with pytest.raises(error):
        await watch(faulty)
