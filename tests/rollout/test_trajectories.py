"""Whole rollouts, action by action: '+0-0' created, '~0-0' taken out of the Service, '^0-0' back, '-0-0' removed."""

import pytest

from conch.api.rollout import RollingUpdate
from rollout.operator_in_memory import OperatorInMemory
from rollout.simulated_cluster import Release, SimulatedCluster

A, B, C = Release("a"), Release("b"), Release("c")
BAD = Release("bad", works=False)
PLENTY = 64


def serving(
    release: Release, replicas: int, gpus: int = PLENTY, policy: RollingUpdate | None = None
) -> OperatorInMemory:
    operator = OperatorInMemory(SimulatedCluster(gpus), release, replicas, policy)
    operator.settle()
    assert operator.is_complete
    operator.history.clear()
    return operator


def change(operator: OperatorInMemory, release: Release) -> str:
    operator.release = release
    operator.settle()
    history, operator.history = " ".join(operator.history), []
    return history


TRAJECTORIES = {
    "policy unset, one slot: the new one first": (1, None, "+1-0 ~0-0 -0-0"),
    "policy unset, three slots: one by one in place": (
        3,
        None,
        "~2-0 -2-0 +2-0 ~1-0 -1-0 +1-0 ~0-0 -0-0 +0-0",
    ),
    "0/1 by the user on one slot: in place, with a gap": (
        1,
        RollingUpdate(max_surge=0, max_unavailable=1),
        "~0-0 -0-0 +0-0",
    ),
    "surge 2 on three slots: two ahead, none missing": (
        3,
        RollingUpdate(max_surge=2, max_unavailable=0),
        "+3-0 +4-0 ~2-0 ~1-0 -1-0 -2-0 +1-0 ~0-0 -0-0",
    ),
    "unavailable 3 on three slots: all at once": (
        3,
        RollingUpdate(max_unavailable=3),
        "~2-0 ~1-0 ~0-0 -0-0 -1-0 -2-0 +0-0 +1-0 +2-0",
    ),
}


@pytest.mark.parametrize(("replicas", "policy", "expected"), TRAJECTORIES.values(), ids=TRAJECTORIES.keys())
def test_a_good_change(replicas: int, policy: RollingUpdate | None, expected: str) -> None:
    operator = serving(A, replicas, policy=policy)
    assert change(operator, B) == expected
    assert operator.is_complete


@pytest.mark.parametrize("unavailable", [1, 2, 3])
def test_a_bad_change_gives_up_max_unavailable_and_stops(unavailable: int) -> None:
    operator = serving(A, 4, policy=RollingUpdate(max_unavailable=unavailable))
    change(operator, BAD)
    fleet = operator.cluster.observed()
    assert sum(view.serves for view in fleet if view.revision == "a") == 4 - unavailable
    assert sum(view.revision == "bad" for view in fleet) == unavailable
    assert operator.step().reason.startswith("0 of 4 engines of revision bad serve")


def test_a_bad_change_by_surge_gives_up_nothing() -> None:
    operator = serving(A, 1)
    assert change(operator, BAD) == "+1-0"


@pytest.mark.parametrize("good", [A, C], ids=["going back", "going on"])
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_good_spec_heals_a_bad_one(good: Release, replicas: int) -> None:
    operator = serving(A, replicas)
    change(operator, BAD)
    change(operator, good)
    assert operator.is_complete


def test_a_first_spec_that_never_worked_is_replaced() -> None:
    operator = OperatorInMemory(SimulatedCluster(PLENTY), BAD, replicas=3)
    operator.settle()
    change(operator, A)
    assert operator.is_complete


def test_going_back_restarts_only_what_was_given_up() -> None:
    operator = serving(A, 3)
    change(operator, BAD)
    assert change(operator, A) == "-2-0 +2-0"


def test_a_change_taken_back_at_once_restarts_nothing() -> None:
    operator = serving(A, 3)
    operator.release = B
    operator.step()
    assert change(operator, A) == "~2-0 ^2-0"


def test_without_gpus_to_surge_the_old_one_serves_on_and_room_is_made_by_policy() -> None:
    operator = serving(A, 1, gpus=1)
    change(operator, B)
    assert operator.waits_for_gpus
    assert sum(view.serves for view in operator.cluster.observed()) == 1
    operator.rolling_update = RollingUpdate(max_surge=0, max_unavailable=1)
    operator.settle()
    assert operator.is_complete


def test_another_number_of_copies_is_another_revision_in_the_same_room() -> None:
    operator = serving(Release("a", data=1), 4, gpus=4)
    operator.replicas = 2
    change(operator, Release("b", data=2))
    assert operator.is_complete
    assert operator.cluster.gpus_asked_for() == 4


def test_scale_down_and_up_again_while_it_drains_restarts_nothing() -> None:
    operator = serving(A, 3)
    operator.replicas = 1
    operator.step()
    operator.replicas = 3
    operator.settle()
    assert operator.history == ["~2-0", "~1-0", "^1-0", "^2-0"]
    assert operator.is_complete
