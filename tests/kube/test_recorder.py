"""What is told about objects, how often, and that telling never hurts."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conch.kube.client import Client
from conch.kube.recorder import Happening, Recorder, printable
from conch.kube.resources import KubeObject
from kube.conftest import Measured, until
from kube.stand_in import StandIn, config_map, cut, json_answer, refusal

HAPPENING = Happening("Normal", "Scaled", "Scale", "Two replicas hold the latency.")
ABOUT: KubeObject = config_map("a", 1)


class Calendar:
    """A date that is set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def recorder(faulty: Client, measured: Measured, calendar: Calendar) -> Recorder:
    return Recorder(faulty, measured.metrics, controller="conch.dev/operator", instance="pod-1", now=calendar)


async def sent(recorder: Recorder, stand_in: StandIn, requests: int) -> None:
    """Lets it send until the server has seen so many requests, and a little longer."""
    running = asyncio.create_task(recorder.run())
    await until(lambda: len(stand_in.seen) >= requests)
    await asyncio.sleep(0.05)
    running.cancel()
    assert len(stand_in.seen) == requests


async def test_a_repeat_is_not_sent_until_half_an_hour_later(
    recorder: Recorder, stand_in: StandIn, calendar: Calendar
) -> None:
    stand_in.answers += [json_answer({}), json_answer({})]
    recorder.tell(ABOUT, HAPPENING)
    calendar.now += timedelta(minutes=29)
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 1)

    calendar.now += timedelta(minutes=1)
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 2)

    created, counted = stand_in.seen
    assert (created.method, created.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")
    assert created.body["eventTime"] == "2026-01-01T00:00:00.000000Z"
    assert counted.method == "PATCH"
    assert counted.path.endswith(created.body["metadata"]["name"])
    assert counted.body == {"series": {"count": 3, "lastObservedTime": "2026-01-01T00:30:00.000000Z"}}


async def test_a_forgotten_event_is_made_again(recorder: Recorder, stand_in: StandIn, calendar: Calendar) -> None:
    stand_in.answers += [json_answer({}), refusal(404, "NotFound"), json_answer({})]
    recorder.tell(ABOUT, HAPPENING)
    calendar.now += timedelta(hours=2)
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 3)
    assert [seen.method for seen in stand_in.seen] == ["POST", "PATCH", "POST"]
    assert stand_in.seen[2].body["series"]["count"] == 2


async def test_another_note_reason_or_object_is_another_event(recorder: Recorder, stand_in: StandIn) -> None:
    stand_in.answers += [json_answer({})] * 4
    recorder.tell(ABOUT, HAPPENING)
    recorder.tell(ABOUT, Happening("Normal", "Scaled", "Scale", "Three replicas hold the latency."))
    recorder.tell(ABOUT, Happening("Normal", "Held", "Scale", HAPPENING.note))
    recorder.tell(config_map("a", 1, uid="another"), HAPPENING)
    await sent(recorder, stand_in, 4)
    assert len({seen.body["metadata"]["name"] for seen in stand_in.seen}) == 4


async def test_a_long_name_still_gives_a_valid_one(recorder: Recorder, stand_in: StandIn) -> None:
    stand_in.answers.append(json_answer({}))
    recorder.tell(config_map("a" * 199 + "-" + "b" * 53, 1), HAPPENING)
    await sent(recorder, stand_in, 1)
    assert stand_in.seen[0].body["metadata"]["name"].startswith("a" * 199 + ".")


async def test_what_could_not_be_sent_is_sent_when_told_again(
    recorder: Recorder, stand_in: StandIn, measured: Measured
) -> None:
    stand_in.answers += [cut(), json_answer({})]
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 1)
    assert measured.value("conch_events_total", outcome="failed") == 1
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 2)
    assert measured.value("conch_events_total", outcome="created") == 1


async def test_a_refusal_is_not_fought(recorder: Recorder, stand_in: StandIn, measured: Measured) -> None:
    stand_in.answers.append(refusal(403, "Forbidden"))
    recorder.tell(ABOUT, HAPPENING)
    recorder.tell(ABOUT, HAPPENING)
    await sent(recorder, stand_in, 1)
    assert measured.value("conch_events_total", outcome="refused") == 1


def test_a_flood_is_dropped_and_counted(recorder: Recorder, measured: Measured) -> None:
    for i in range(300):
        recorder.tell(ABOUT, Happening("Normal", "Flood", "Test", f"note {i}"))
    assert measured.value("conch_events_total", outcome="dropped") == 44


def test_memory_is_bounded(recorder: Recorder) -> None:
    for i in range(5000):
        recorder.tell(ABOUT, Happening("Normal", "Flood", "Test", f"note {i}"))
    assert len(recorder._told) <= 4096


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("one\ntwo\tthree\x1b[31m", "one two three [31m"),
        ("  plain  ", "plain"),
        ("grüße", "grüße"),
    ],
)
def test_notes_are_printable(note: str, expected: str) -> None:
    assert printable(note) == expected


def test_a_long_note_is_cut_between_characters() -> None:
    cut_note = printable("ü" * 1000)
    assert len(cut_note.encode()) <= 1024
    assert cut_note == "ü" * 510 + "…"
    assert printable("x" * 1024) == "x" * 1024
