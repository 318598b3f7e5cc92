"""Watch events, lists and answers to own writes in every order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conch.kube.resources import KubeObject
from conch.kube.store import Store, uid_of, version_of
from kube.stand_in import config_map

Change = tuple[str, int, str]
"""(what happened, at which version, to which UID)"""


@dataclass
class Changes:
    """Callbacks as they came."""

    seen: list[Change] = field(default_factory=list)

    def __call__(self, old: KubeObject | None, new: KubeObject | None) -> None:
        item = new or old
        assert item is not None
        kind = "added" if old is None else "removed" if new is None else "changed"
        self.seen.append((kind, version_of(item), uid_of(item)))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def store(changes: Changes) -> Store:
    """A store after an empty list at version 10."""
    store = Store(changes)
    store.list_arrived([], 10)
    return store


def test_an_answer_before_its_watch_event(store: Store, changes: Changes) -> None:
    store.observe(config_map("a", 11))
    assert store.get("default", "a") is not None
    store.event_arrived(config_map("a", 11), deleted=False)
    assert changes.seen == [("added", 11, "uid-of-a")]


def test_an_answer_after_its_watch_event(store: Store, changes: Changes) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.event_arrived(config_map("a", 12), deleted=False)
    store.observe(config_map("a", 11))
    assert changes.seen == [("added", 11, "uid-of-a"), ("changed", 12, "uid-of-a")]


def test_an_answer_after_the_deletion_makes_no_ghost(store: Store) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.event_arrived(config_map("a", 12), deleted=True)
    store.observe(config_map("a", 11))
    assert len(store) == 0


def test_an_answer_to_what_came_and_went_during_a_relist_makes_no_ghost(store: Store) -> None:
    store.list_arrived([], 20)
    store.observe(config_map("a", 15))
    assert len(store) == 0


def test_an_answer_newer_than_the_list_that_lacks_it_is_kept(store: Store, changes: Changes) -> None:
    store.observe(config_map("a", 21))
    store.list_arrived([], 20)
    assert store.get("default", "a") is not None
    store.event_arrived(config_map("a", 21), deleted=False)
    assert changes.seen == [("added", 21, "uid-of-a")]


def test_a_list_without_a_known_object_tells_the_missed_delete(store: Store, changes: Changes) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.list_arrived([], 20)
    assert changes.seen[-1] == ("removed", 11, "uid-of-a")


def test_what_we_deleted_stays_away_until_the_watch_tells_of_it(store: Store, changes: Changes) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.observe_deleted("uid-of-a")
    store.event_arrived(config_map("a", 12), deleted=False)
    assert store.get("default", "a") is None
    store.event_arrived(config_map("a", 13), deleted=True)
    assert changes.seen == [("added", 11, "uid-of-a"), ("removed", 11, "uid-of-a")]


def test_what_we_deleted_stays_away_although_an_older_list_shows_it(store: Store) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.observe_deleted("uid-of-a")
    store.list_arrived([config_map("a", 12)], 20)
    assert len(store) == 0


def test_what_we_made_and_deleted_during_a_list_stays_away(store: Store) -> None:
    store.observe(config_map("a", 21))
    store.observe_deleted("uid-of-a")
    store.list_arrived([], 20)
    store.event_arrived(config_map("a", 21), deleted=False)
    assert len(store) == 0


def test_a_predecessor_stays_away_when_its_successor_goes_too(store: Store) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.observe(config_map("a", 14, uid="second"))
    store.observe_deleted("second")
    store.event_arrived(config_map("a", 12), deleted=False)
    assert len(store) == 0


def test_a_successor_replaces_what_it_succeeds(store: Store, changes: Changes) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.observe(config_map("a", 13, uid="second"))
    store.event_arrived(config_map("a", 12), deleted=True)
    store.event_arrived(config_map("a", 13, uid="second"), deleted=False)
    assert changes.seen == [("added", 11, "uid-of-a"), ("removed", 11, "uid-of-a"), ("added", 13, "second")]
    found = store.get("default", "a")
    assert found is not None
    assert uid_of(found) == "second"


def test_deleting_a_predecessor_spares_the_successor(store: Store) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.observe_deleted("uid-of-a")
    store.observe(config_map("a", 13, uid="second"))
    store.event_arrived(config_map("a", 12), deleted=True)
    assert store.by_uid("second") is not None


def test_a_cluster_restored_from_a_backup_is_believed(store: Store) -> None:
    store.event_arrived(config_map("a", 11), deleted=False)
    store.event_arrived(config_map("b", 12), deleted=False)
    store.list_arrived([config_map("a", 5)], 9)
    assert [(uid_of(item), version_of(item)) for item in store] == [("uid-of-a", 5)]


def test_objects_are_found_by_owner_and_by_further_indexes() -> None:
    store = Store(Changes(), {"colour": lambda item: [item["metadata"].get("labels", {}).get("colour")]})
    owners = [{"uid": "owner-1"}, {"uid": "owner-2"}]
    store.list_arrived([config_map("a", 1, ownerReferences=owners, labels={"colour": "red"}), config_map("b", 2)], 2)
    assert [uid_of(item) for item in store.owned_by("owner-2")] == ["uid-of-a"]
    assert [uid_of(item) for item in store.by_index("colour", "red")] == ["uid-of-a"]
    store.event_arrived(config_map("a", 3, labels={"colour": "blue"}), deleted=False)
    assert store.owned_by("owner-2") == []
    assert store.by_index("colour", "red") == []
    assert [uid_of(item) for item in store.by_index("colour", "blue")] == ["uid-of-a"]


class Interleavings(RuleBasedStateMachine):
    """An API server with its history; the store hears of it by a watch, by lists and by answers, as late as may be.

    Whatever the order: no object goes back in time, none comes back from the dead, callbacks tell exactly what changed,
    and once everything has been heard the store is the truth.
    """

    names = st.sampled_from(["a", "b"])
    colours = st.sampled_from(["red", "blue"])

    def __init__(self) -> None:
        super().__init__()
        self.version = 1
        self.live: dict[str, KubeObject] = {}
        self.history: list[tuple[KubeObject, bool]] = []
        self.told = 0
        self.listing: tuple[list[KubeObject], int] | None = None
        self.answers: list[KubeObject] = []
        self.delete_answers: list[str] = []
        self.mirror: dict[str, KubeObject] = {}
        self.newest: dict[str, int] = {}
        self.gone: set[str] = set()
        self.store = Store(self.changed, {"colour": lambda item: [item["metadata"]["labels"]["colour"]]})

    def changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        item = new or old
        assert item is not None
        uid = uid_of(item)
        assert self.mirror.get(uid) == old, "old is what was told before"
        if new is None:
            del self.mirror[uid]
            self.gone.add(uid)
            assert all(uid_of(alive) != uid for alive in self.live.values()), "told of an end that was not"
            return
        assert uid not in self.gone, "came back from the dead"
        assert version_of(new) > self.newest.get(uid, 0), "went back in time"
        self.newest[uid] = version_of(new)
        self.mirror[uid] = new

    @rule(name=names, colour=colours, ours=st.booleans())
    def write(self, name: str, colour: str, ours: bool) -> None:
        self.version += 1
        current = self.live.get(name)
        uid = uid_of(current) if current else f"{name}-{self.version}"
        self.live[name] = config_map(name, self.version, uid=uid, labels={"colour": colour})
        self.history.append((self.live[name], False))
        if ours:
            self.answers.append(self.live[name])

    @rule(name=names, ours=st.booleans())
    def delete(self, name: str, ours: bool) -> None:
        if name not in self.live:
            return
        uid = uid_of(self.live[name])
        self.version += 1
        labels = self.live.pop(name)["metadata"]["labels"]
        self.history.append((config_map(name, self.version, uid=uid, labels=labels), True))
        if ours and self.store.by_uid(uid) is not None:  # we only delete what we see
            self.delete_answers.append(uid)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answer_arrives(self, data: st.DataObject) -> None:
        answer = self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))
        self.store.observe(answer)
        shown = self.store.by_uid(uid_of(answer))
        over = all(uid_of(alive) != uid_of(answer) for alive in self.live.values())
        assert over or (shown is not None and version_of(shown) >= version_of(answer)), "own write not read"

    @precondition(lambda self: self.delete_answers)
    @rule(data=st.data())
    def delete_answer_arrives(self, data: st.DataObject) -> None:
        uid = self.delete_answers.pop(data.draw(st.integers(0, len(self.delete_answers) - 1)))
        self.store.observe_deleted(uid)
        assert self.store.by_uid(uid) is None

    @precondition(lambda self: self.listing is None and self.store.seen and self.told < len(self.history))
    @rule()
    def event_arrives(self) -> None:
        item, deleted = self.history[self.told]
        self.told += 1
        self.store.event_arrived(item, deleted=deleted)

    @precondition(lambda self: self.listing is None and self.store.seen and self.told == len(self.history))
    @rule()
    def bookmark_arrives(self) -> None:
        self.store.bookmark_arrived(self.version)

    @precondition(lambda self: self.listing is None)
    @rule()
    def list_begins(self) -> None:
        self.listing = (list(self.live.values()), self.version)

    @precondition(lambda self: self.listing is not None)
    @rule()
    def list_arrives(self) -> None:
        assert self.listing is not None
        items, version = self.listing
        self.listing = None
        self.store.list_arrived(items, version)
        self.told = sum(version_of(item) <= version for item, _ in self.history)

    @invariant()
    def callbacks_tell_everything(self) -> None:
        assert {uid_of(item): item for item in self.store} == self.mirror
        for item in self.store:
            assert self.store.get("default", item["metadata"]["name"]) == item
            assert item in self.store.by_index("colour", item["metadata"]["labels"]["colour"])
        coloured = sum(len(self.store.by_index("colour", colour)) for colour in ("red", "blue"))
        assert coloured == len(self.store)

    def teardown(self) -> None:
        if self.listing is not None:
            self.list_arrives()
        elif not self.store.seen:
            self.list_begins()
            self.list_arrives()
        while self.told < len(self.history):
            self.event_arrives()
        for answer in self.answers:
            self.store.observe(answer)
        for uid in self.delete_answers:
            self.store.observe_deleted(uid)
        assert {uid_of(item): item for item in self.store} == {uid_of(item): item for item in self.live.values()}
        assert not self.store._deleted, "the memory of deletes ends with the watch's telling"


Interleavings.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
TestInterleavings = Interleavings.TestCase
