"""The fold of observed ReplicaSets and pods into slots."""

from datetime import timedelta

import pytest

from conch.manifests.identity import DRAINING_SINCE, REPLICA, Slot
from conch.rollout.fleet import Owner, SlotView, fleet
from rollout.observed import NOON, Object, pod, replica_set

S = Slot(0, 0)
EARLIER = NOON - timedelta(seconds=3)

CASES: dict[str, tuple[list[Object], list[Object], SlotView | None]] = {
    "nothing observed: no slot": ([], [], None),
    "a ReplicaSet without pods is held and serves nothing": ([replica_set(S)], [], SlotView(S, "a")),
    "a ready pod serves": ([replica_set(S)], [pod(S)], SlotView(S, "a", ready=True)),
    "a pod that is not ready does not": ([replica_set(S)], [pod(S, ready=False)], SlotView(S, "a")),
    "a pod out of the Service drains since its mark": (
        [replica_set(S)],
        [pod(S, draining_since=EARLIER)],
        SlotView(S, "a", ready=True, draining_since=EARLIER),
    ),
    "a ReplicaSet being deleted leaves": (
        [replica_set(S, terminating=True)],
        [pod(S)],
        SlotView(S, "a", ready=True, leaving=True),
    ),
    "a terminating pod alone still holds its slot": ([], [pod(S, terminating=True)], SlotView(S, "a", leaving=True)),
    "a pod that the garbage collector will take leaves": (
        [],
        [pod(S)],
        SlotView(S, "a", ready=True, leaving=True, unseen_set=Owner("m-0-0", "set-m-0-0")),
    ),
    "a pod without controller is an orphan, which may serve": (
        [],
        [pod(S, controlled=False)],
        SlotView(S, "a", ready=True, orphan=True),
    ),
    "a stray pod beside the slot's ReplicaSet is no orphan: the ReplicaSet adopts it": (
        [replica_set(S)],
        [pod(S, controlled=False)],
        SlotView(S, "a", ready=True),
    ),
    "an orphan that was deleted leaves": (
        [],
        [pod(S, controlled=False, terminating=True)],
        SlotView(S, "a", leaving=True),
    ),
    "a replacement beside a terminating pod: the slot stays, the old pod's readiness does not count": (
        [replica_set(S)],
        [pod(S, terminating=True), pod(S, ready=False)],
        SlotView(S, "a"),
    ),
    "a failed pod holds nothing": ([], [pod(S, ready=False, phase="Failed")], None),
    "a failed pod of a ReplicaSet: the next one counts": (
        [replica_set(S)],
        [pod(S, ready=False, phase="Failed"), pod(S)],
        SlotView(S, "a", ready=True),
    ),
}


@pytest.mark.parametrize(("sets", "pods", "expected"), CASES.values(), ids=CASES.keys())
def test_one_slot(sets: list[Object], pods: list[Object], expected: SlotView | None) -> None:
    assert fleet(sets, pods) == ((expected,) if expected else ())


def test_slots_come_in_order_of_index_not_of_text() -> None:
    slots = [Slot(10, 0), Slot(2, 1), Slot(2, 0)]
    assert [view.slot for view in fleet([replica_set(slot) for slot in slots], [])] == sorted(slots)


@pytest.mark.parametrize("value", [None, "", "x"])
def test_children_without_the_labels_of_a_slot_are_not_slots(value: str | None) -> None:
    stranger = replica_set(S)
    if value is None:
        del stranger["metadata"]["labels"][REPLICA]
    else:
        stranger["metadata"]["labels"][REPLICA] = value
    assert fleet([stranger], []) == ()


def test_a_pod_taken_out_of_the_service_by_hand_drains_since_it_was_made() -> None:
    by_hand = pod(S, draining_since=EARLIER)
    del by_hand["metadata"]["annotations"]
    (view,) = fleet([replica_set(S)], [by_hand])
    assert view.draining_since == NOON


@pytest.mark.parametrize("stamp", ["", "yesterday", "2026-11-01T12:00:00"])
def test_a_mark_that_is_no_moment_is_as_none(stamp: str) -> None:
    marked = pod(S, draining_since=EARLIER)
    marked["metadata"]["annotations"][DRAINING_SINCE] = stamp
    (view,) = fleet([replica_set(S)], [marked])
    assert view.draining_since == NOON
