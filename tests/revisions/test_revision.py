"""A revision survives being stored, and being rebuilt from what runs."""

import json

import pytest

from conch.api.deployment import LLMDeploymentSpec
from conch.manifests.controller_revision import controller_revision, stored_revision
from conch.manifests.identity import RECORD, Slot
from conch.manifests.replica_set import replica_set, revision_of
from conch.revisions.revision import Milestone, Revision
from manifests.builders import IDENTITY, SPECS, revision, spec


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_it_is_read_back_from_its_data(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted)
    data = json.loads(json.dumps(made.data()))
    assert Revision.from_data(made.hash, made.number, data) == made


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
@pytest.mark.parametrize("milestone", Milestone)
def test_it_is_read_back_from_its_controller_revision(wanted: LLMDeploymentSpec, milestone: Milestone) -> None:
    made = revision(wanted).numbered(7).reached(milestone)
    assert stored_revision(json.loads(json.dumps(controller_revision(IDENTITY, made)))) == made


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_it_is_rebuilt_from_a_slot_that_runs_it_but_for_its_number(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted)
    running = json.loads(json.dumps(replica_set(IDENTITY, Slot(3, 1), made)))
    assert revision_of(running) == made.numbered(0)


def test_the_rebuilt_revision_renders_the_same_slots() -> None:
    made = revision(spec())
    rebuilt = revision_of(replica_set(IDENTITY, Slot(3, 1), made))
    assert replica_set(IDENTITY, Slot(0, 0), rebuilt) == replica_set(IDENTITY, Slot(0, 0), made)


def test_a_slot_whose_record_was_removed_rebuilds_nothing() -> None:
    stripped = replica_set(IDENTITY, Slot(0, 0), revision(spec()))
    del stripped["metadata"]["annotations"][RECORD]
    with pytest.raises(KeyError):
        revision_of(stripped)


@pytest.mark.parametrize("data", [{}, {"inputs": {}}, {"raw": "somebody else's"}])
def test_data_of_somebody_else_is_not_read(data: dict[str, object]) -> None:
    with pytest.raises(KeyError):
        Revision.from_data("a", 1, data)


def test_a_milestone_is_never_lost() -> None:
    made = revision(spec()).reached(Milestone.COMPLETE)
    assert made.reached(Milestone.SERVED).milestone is Milestone.COMPLETE
    assert made.reached(Milestone.NONE).milestone is Milestone.COMPLETE
