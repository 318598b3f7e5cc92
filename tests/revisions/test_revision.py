"""A revision survives being stored, and being rebuilt from what runs."""

import json

import pytest

from conch.api.deployment import LLMDeploymentSpec
from conch.manifests.controller_revision import controller_revision, stored_revision
from conch.manifests.identity import RECORD, Slot
from conch.manifests.replica_set import replica_set, revision_of
from conch.revisions.revision import Revision
from manifests.builders import IDENTITY, SPECS, revision, spec


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_it_is_read_back_from_its_data(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted)
    data = json.loads(json.dumps(made.data()))
    assert Revision.from_data(made.hash, made.number, data) == made


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
@pytest.mark.parametrize(("served", "rolled_out"), [(False, False), (True, False), (True, True), (False, True)])
def test_it_is_read_back_from_its_controller_revision(
    wanted: LLMDeploymentSpec, served: bool, rolled_out: bool
) -> None:
    made = revision(wanted).numbered(7).known_to(have_served=served, be_rolled_out=rolled_out)
    assert stored_revision(json.loads(json.dumps(controller_revision(IDENTITY, made)))) == made


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_it_is_rebuilt_from_a_slot_that_runs_it(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted).numbered(7)
    running = json.loads(json.dumps(replica_set(IDENTITY, Slot(3, 1), made)))
    assert revision_of(running) == made


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


def test_what_was_seen_is_kept_until_it_is_asked_for_once_more() -> None:
    made = revision(spec()).known_to(have_served=True, be_rolled_out=True)
    assert made.known_to() == made
    again = made.numbered(8)
    assert (again.served, again.rolled_out) == (True, False)
