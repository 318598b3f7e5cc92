"""Single steps: each row is one fleet, what is wanted, and what is done about it now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from conch.manifests.identity import Slot
from conch.rollout.fleet import SlotView
from conch.rollout.limits import Limits
from conch.rollout.step import Step, Wanted, next_step
from rollout.observed import NOON

IN_PLACE, SURGE = Limits(0, 1), Limits(1, 0)


def serves(replica: int, revision: str = "a", rank: int = 0) -> SlotView:
    return SlotView(Slot(replica, rank), revision, ready=True)


def starts(replica: int, revision: str = "a", rank: int = 0) -> SlotView:
    return SlotView(Slot(replica, rank), revision)


def drains(replica: int, revision: str = "a", seconds: float = 0, *, ready: bool = True) -> SlotView:
    return SlotView(Slot(replica, 0), revision, ready=ready, draining_since=NOON - timedelta(seconds=seconds))


def leaves(replica: int, revision: str = "a") -> SlotView:
    return SlotView(Slot(replica, 0), revision, leaving=True)


def orphan(replica: int, revision: str = "a") -> SlotView:
    return SlotView(Slot(replica, 0), revision, ready=True, orphan=True)


def wants(
    replicas: int, revision: str = "a", limits: Limits = IN_PLACE, proven: Sequence[str] = ("a",), data: int = 1
) -> Wanted:
    return Wanted(revision, replicas, data, limits, frozenset(proven))


@dataclass(frozen=True)
class Does:
    """Slots as text: '+0-0' created, '~0-0' drained, '^0-0' restored, '-0-0' removed."""

    actions: str = ""
    again: float | None = None


def actions(step: Step) -> str:
    kinds = (("+", step.create), ("~", step.drain), ("^", step.restore), ("-", step.remove))
    return " ".join(f"{sign}{slot}" for sign, slots in kinds for slot in slots)


CASES: dict[str, tuple[list[SlotView], Wanted, Does]] = {
    "nothing there: all slots at once": ([], wants(3), Does("+0-0 +1-0 +2-0")),
    "nothing there, two copies in a replica: whole replicas": ([], wants(2, data=2), Does("+0-0 +0-1 +1-0 +1-1")),
    "all there: rest": ([serves(0), serves(1)], wants(2), Does()),
    "still starting: rest": ([starts(0), starts(1)], wants(2), Does()),
    "a lost slot is made again at the lowest free index": ([serves(1), serves(2)], wants(3), Does("+0-0")),
    "an index whose pod still terminates is not free, nor are its GPUs": ([leaves(0), serves(1)], wants(2), Does()),
    "with room to surge the lost slot comes back elsewhere at once": (
        [leaves(0), serves(1)],
        wants(2, limits=SURGE),
        Does("+2-0"),
    ),
    "zero wanted: everything drains": ([serves(0), serves(1)], wants(0), Does("~1-0 ~0-0", 5)),
    "fewer wanted: the highest index goes": ([serves(0), serves(1), serves(2)], wants(2), Does("~2-0", 5)),
    "fewer wanted: what does not serve goes first": ([starts(0), serves(1), serves(2)], wants(2), Does("-0-0")),
    "fewer wanted in the middle of a drain: no more go": (
        [serves(0), serves(1), drains(2, seconds=2)],
        wants(2),
        Does("", 3),
    ),
    "a drain ends after five seconds": ([serves(0), drains(1, seconds=5)], wants(1), Does("-1-0")),
    "a drain of a pod that no longer serves ends at once": (
        [serves(0), drains(1, ready=False)],
        wants(1),
        Does("-1-0"),
    ),
    "wanted again: the drain is taken back": ([serves(0), drains(1)], wants(2), Does("^1-0")),
    "wanted again, with room to surge: what comes back is not made twice": (
        [serves(0), drains(1)],
        wants(2, limits=SURGE),
        Does("^1-0"),
    ),
    "wanted again: what still serves comes back before what does not": (
        [drains(0, ready=False), drains(1)],
        wants(1),
        Does("^1-0 -0-0"),
    ),
    "a drained slot of another revision is not taken back": ([serves(0), drains(1, "b", 2)], wants(2), Does("", 3)),
    "a change in place: one gives way": ([serves(0), serves(1), serves(2)], wants(3, "b"), Does("~2-0", 5)),
    "a change in place: its room is used when it is gone": ([serves(0), serves(1)], wants(3, "b"), Does("+2-0")),
    "a change by surge: one comes first": ([serves(0)], wants(1, "b", SURGE), Does("+1-0")),
    "a change by surge: the old one goes when the new one serves": (
        [serves(0), serves(1, "b")],
        wants(1, "b", SURGE, ("a", "b")),
        Does("~0-0", 5),
    ),
    "a change by surge: the old one stays while the new one starts": (
        [serves(0), starts(1, "b")],
        wants(1, "b", SURGE),
        Does(),
    ),
    "no room is given to a new revision beyond what may be unavailable": (
        [serves(0), serves(1), starts(2, "b")],
        wants(3, "b"),
        Does(),
    ),
    "nor when an old one fails meanwhile": ([serves(0), starts(1), starts(2, "b")], wants(3, "b"), Does()),
    "nor the last slot, though it does not serve": ([starts(0), starts(1, "b")], wants(1, "b", SURGE), Does()),
    "old ones that do not serve give way before those that do": (
        [starts(0), serves(1), serves(2)],
        wants(3, "b"),
        Does("-0-0"),
    ),
    "once the new one serves, old ones that do not serve all go": (
        [starts(0), starts(1), serves(2, "b")],
        wants(3, "b", proven=("a", "b")),
        Does("-1-0 -0-0"),
    ),
    "serving slots are not taken below what must serve": (
        [serves(0), starts(1, "b"), serves(2, "b")],
        wants(3, "b", proven=("a", "b")),
        Does(),
    ),
    "a revision that never served and is not wanted goes at once": (
        [serves(0), serves(1), starts(2, "b")],
        wants(3, "c"),
        Does("-2-0"),
    ),
    "going back to what runs: the bad one goes, nothing else moves": (
        [serves(0), serves(1), starts(2, "b")],
        wants(3),
        Does("-2-0"),
    ),
    "a first spec that never served is replaced whole": (
        [starts(0, "z"), starts(1, "z")],
        wants(2, "b", proven=()),
        Does("-0-0 -1-0"),
    ),
    "an orphan is replaced in place": ([orphan(0)], wants(1), Does("~0-0", 5)),
    "an orphan serves until its successor does": ([orphan(0)], wants(1, limits=SURGE), Does("+1-0")),
    "more copies than the plan has: the surplus rank goes": (
        [serves(0, "b"), serves(0, "b", 1)],
        wants(2, "b", proven=("b",)),
        Does("~0-1", 5),
    ),
    "a scale-down takes a whole replica": (
        [serves(0), serves(0, rank=1), serves(1), serves(1, rank=1)],
        wants(1, data=2),
        Does("~1-0 ~1-1", 5),
    ),
    "a scale-down keeps what serves while another copy of the model starts": (
        [serves(0), starts(0, rank=1), serves(1), starts(1, rank=1)],
        wants(1, data=2, limits=SURGE),
        Does("-1-1"),
    ),
    "a replica is filled before the next begins": (
        [serves(0), serves(0, rank=1), serves(1, "b")],
        wants(2, "b", data=2, proven=("a", "b")),
        Does("+1-1"),
    ),
}


@pytest.mark.parametrize(("fleet", "wanted", "does"), CASES.values(), ids=CASES.keys())
def test_one_step(fleet: list[SlotView], wanted: Wanted, does: Does) -> None:
    step = next_step(fleet, wanted, NOON)
    assert (actions(step), step.look_again_seconds) == (does.actions, does.again)
    assert step.is_rest == (does == Does())


def test_the_reason_counts_what_serves_what_is_older_and_what_drains() -> None:
    fleet = [serves(0), serves(1), drains(2), serves(3, "b"), starts(4, "b")]
    step = next_step(fleet, wants(4, "b", proven=("a", "b")), NOON)
    assert step.reason == "1 of 4 engines of revision b serve, 2 of 3 older ones still serve, 1 drains"


def test_more_may_be_unavailable_than_is_wanted() -> None:
    assert wants(1, limits=Limits(0, 3)).least_serving == 0
