"""What is known of the objects of one resource: watch events, lists and the answers to our own writes, put in order.

The API server's versions grow with each write, so of two states of one object the one with the higher
resourceVersion is newer (comparable as integers: KEP-5504). `seen` is the version up to which the watch has told
everything. That gives the rules for the answer to a write, which may arrive before or after its watch event:

- known object: newer wins;
- unknown object, version at or below `seen`: the watch has told of it and of its end already, so it is gone;
- unknown object, version above `seen`: news, kept although a list that began earlier does not show it;
- an object deleted by us is gone at once and stays so, by UID, until the watch has caught up;
- of two objects of one name the newer lives: a name is only free again once its holder is gone.

So a reader sees its own writes, and time never runs backwards. Only objects that the informer's selection covers may
be observed. Pure: no clock, no I/O.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from conch.kube.resources import KubeObject

OnChange = Callable[[KubeObject | None, KubeObject | None], None]
"""Called with (old, new): old is None for what appears, new is None for what is gone."""

IndexFunction = Callable[[KubeObject], Iterable[Hashable]]
"""The values under which an object is found."""


class Key(NamedTuple):
    """An object's place; the namespace of cluster-scoped objects is empty."""

    namespace: str
    name: str


def key_of(item: KubeObject) -> Key:
    """Where the object is."""
    metadata = item["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def uid_of(item: KubeObject) -> str:
    """Which object it is; never used twice, unlike its name."""
    uid: str = item["metadata"]["uid"]
    return uid


def version_of(item: KubeObject) -> int:
    """How recent this state of it is."""
    return int(item["metadata"]["resourceVersion"])


def owner_uids(item: KubeObject) -> Iterable[Hashable]:
    """An index function: the UIDs of all owners."""
    return [owner["uid"] for owner in item["metadata"].get("ownerReferences") or ()]


BY_OWNER: Final = "owner"


class Store:
    """The objects by place, by UID and by index.

    `on_change` is called inside the methods, after each single change, and must not raise.
    """

    def __init__(self, on_change: OnChange, indexes: Mapping[str, IndexFunction] | None = None) -> None:
        self._on_change = on_change
        self._index_functions = {BY_OWNER: owner_uids, **(indexes or {})}
        self._indexes: dict[str, dict[Hashable, dict[str, KubeObject]]] = {name: {} for name in self._index_functions}
        self._by_uid: dict[str, KubeObject] = {}
        self._uid_at: dict[Key, str] = {}
        self._deleted: dict[str, int] = {}
        self._seen = 0

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[KubeObject]:
        return iter(tuple(self._by_uid.values()))

    @property
    def seen(self) -> int:
        """The version up to which everything has been told; 0 before the first list."""
        return self._seen

    def get(self, namespace: str, name: str) -> KubeObject | None:
        """The object at a place."""
        uid = self._uid_at.get(Key(namespace, name))
        return None if uid is None else self._by_uid[uid]

    def by_uid(self, uid: str) -> KubeObject | None:
        """That very object."""
        return self._by_uid.get(uid)

    def by_index(self, index: str, value: Hashable) -> list[KubeObject]:
        """All objects that the index function gave this value."""
        return list(self._indexes[index].get(value, {}).values())

    def owned_by(self, uid: str) -> list[KubeObject]:
        """All objects with an owner of that UID."""
        return self.by_index(BY_OWNER, uid)

    def list_arrived(self, items: Iterable[KubeObject], version: int) -> None:
        """A whole list, as of `version`. What is missing from it is gone, unless it was made after the list."""
        if version < self._seen:
            self._forget_history()
        listed = {uid_of(item): item for item in items}
        for uid, known in tuple(self._by_uid.items()):
            if uid not in listed and version_of(known) <= version:
                self._drop(uid)
        for uid, known_version in tuple(self._deleted.items()):
            if uid not in listed and known_version <= version:
                del self._deleted[uid]
        for item in listed.values():
            self._put_newer(item)
        self._seen = version

    def event_arrived(self, item: KubeObject, *, deleted: bool) -> None:
        """The next change that the watch tells."""
        uid = uid_of(item)
        if deleted:
            self._deleted.pop(uid, None)
            self._drop(uid)
        else:
            self._put_newer(item)
        self._seen = max(self._seen, version_of(item))

    def bookmark_arrived(self, version: int) -> None:
        """The watch has told everything up to there."""
        self._seen = max(self._seen, version)

    def observe(self, item: KubeObject) -> None:
        """The answer to a write: the object as the API server has it now."""
        if uid_of(item) in self._by_uid or version_of(item) > self._seen:
            self._put_newer(item)

    def observe_deleted(self, uid: str) -> None:
        """The answer to a delete that left nothing behind."""
        known = self._by_uid.get(uid)
        if known is not None:
            self._deleted[uid] = version_of(known)
            self._drop(uid)

    def _put_newer(self, item: KubeObject) -> None:
        uid, key = uid_of(item), key_of(item)
        if uid in self._deleted:
            return
        holder = self._by_uid.get(self._uid_at.get(key, ""))
        if holder is not None and version_of(item) <= version_of(holder):
            return
        if holder is not None and uid_of(holder) != uid:
            self.observe_deleted(uid_of(holder))
            holder = None
        if holder is not None:
            self._unindex(uid, holder)
        self._by_uid[uid] = item
        self._uid_at[key] = uid
        self._index(uid, item)
        self._on_change(holder, item)

    def _drop(self, uid: str) -> None:
        known = self._by_uid.pop(uid, None)
        if known is None:
            return
        del self._uid_at[key_of(known)]
        self._unindex(uid, known)
        self._on_change(known, None)

    def _index(self, uid: str, item: KubeObject) -> None:
        for name, function in self._index_functions.items():
            for value in function(item):
                self._indexes[name].setdefault(value, {})[uid] = item

    def _unindex(self, uid: str, item: KubeObject) -> None:
        for name, function in self._index_functions.items():
            for value in set(function(item)):
                bucket = self._indexes[name][value]
                del bucket[uid]
                if not bucket:
                    del self._indexes[name][value]

    def _forget_history(self) -> None:
        """A list is never older than what was told before it, unless the cluster was restored from a backup.

        Then its versions have gone back, and ours compare with nothing.
        """
        self._deleted.clear()
        for uid in tuple(self._by_uid):
            self._drop(uid)
