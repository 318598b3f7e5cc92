"""The next safe step of a fleet from what is to what is wanted. Pure: iterate it and every rollout can be foreseen.

With W wanted slots, `surge` and `unavailable` the limits:

- held slots (draining and terminating ones too) never exceed W + surge by a step: GPUs are not booked twice;
- serving slots are never taken below W - unavailable by a step;
- while the wanted revision has no ready slot, at least W - unavailable slots of revisions that have served are kept,
  ready or not: a bad change costs what the user allowed and no more;
- slots of a revision that never served, and is not wanted, are worth nothing and go first.

A slot leaves in two moves: taken out of the Service, then, `DRAIN_SECONDS` later, removed. Its pod finishes
its requests in its grace period.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from conch.manifests.identity import Slot
from conch.rollout.fleet import SlotView
from conch.rollout.limits import Limits

DRAIN_SECONDS: Final = 5
"""How long a slot is out of the Service before its pod is told to stop: endpoints have left every node by then."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the fleet should become. `proven` are the revisions that have served at some time."""

    revision: str
    replicas: int
    data: int
    limits: Limits
    proven: frozenset[str] = frozenset()

    @property
    def slots(self) -> int:
        """Slots wanted: replicas * data."""
        return self.replicas * self.data

    @property
    def least_serving(self) -> int:
        """Serving slots that no step goes below."""
        return max(0, self.slots - self.limits.max_unavailable)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: create, drain, restore and remove slots; when to look again; and why, in words for the user."""

    create: tuple[Slot, ...] = ()
    drain: tuple[Slot, ...] = ()
    restore: tuple[Slot, ...] = ()
    remove: tuple[Slot, ...] = ()
    look_again_seconds: float | None = None
    reason: str = ""

    @property
    def is_rest(self) -> bool:
        """Whether nothing is to be done now or soon."""
        return not (self.create or self.drain or self.restore or self.remove or self.look_again_seconds)


def next_step(fleet: Sequence[SlotView], wanted: Wanted, now: datetime) -> Step:
    """The step to take now. Taken again and again it ends in `wanted`, or waits for a slot to become ready."""
    alive = [view for view in fleet if not view.leaving]
    restored = _restored(alive, wanted)
    leaving = _to_leave(alive, wanted)
    drained, waiting = _drained(alive, restored, now)
    at_once = [view for view in leaving if not view.serves]
    return Step(
        create=_created(fleet, wanted, restored),
        drain=tuple(view.slot for view in leaving if view.serves),
        restore=tuple(view.slot for view in restored),
        remove=tuple(view.slot for view in (*at_once, *drained)),
        look_again_seconds=min(waiting, default=float(DRAIN_SECONDS) if any(v.serves for v in leaving) else None),
        reason=_reason(fleet, wanted),
    )


def _is_current(view: SlotView, wanted: Wanted) -> bool:
    return view.revision == wanted.revision and not view.orphan and view.slot.rank < wanted.data


def _stays(view: SlotView) -> bool:
    return view.draining_since is None


def _restored(alive: Sequence[SlotView], wanted: Wanted) -> list[SlotView]:
    """Draining slots of the wanted revision that are needed again; those that still serve first."""
    have = Counter(view.slot.rank for view in alive if _is_current(view, wanted) and _stays(view))
    restored = []
    for view in sorted(alive, key=lambda view: (not view.ready, view.slot)):
        if _is_current(view, wanted) and not _stays(view) and have[view.slot.rank] < wanted.replicas:
            have[view.slot.rank] += 1
            restored.append(view)
    return restored


def _drained(
    alive: Sequence[SlotView], restored: Sequence[SlotView], now: datetime
) -> tuple[list[SlotView], list[float]]:
    """Draining slots whose time in the endpoints is over, and the seconds that the others still have."""
    done, waiting = [], []
    for view in alive:
        if view.draining_since is None or view in restored:
            continue
        left = (view.draining_since + timedelta(seconds=DRAIN_SECONDS) - now).total_seconds()
        if left <= 0 or not view.ready:
            done.append(view)
        else:
            waiting.append(left)
    return done, waiting


def _to_leave(alive: Sequence[SlotView], wanted: Wanted) -> list[SlotView]:
    """The slots that begin to leave now: surplus ones and those of other revisions, as far as the limits allow."""
    staying = [view for view in alive if _stays(view)]
    current = [view for view in staying if _is_current(view, wanted)]
    others = [view for view in staying if not _is_current(view, wanted)]
    worthless = [view for view in others if view.revision not in wanted.proven]
    replaced = _first_to_go([view for view in others if view not in worthless])
    if not any(view.ready for view in current):
        replaced = replaced[: max(0, len(replaced) - wanted.least_serving)]
    return _affordable([*_surplus(current, wanted), *worthless, *replaced], staying, wanted)


def _first_to_go(views: Iterable[SlotView]) -> list[SlotView]:
    """Those that do not serve first, then the highest index."""
    return sorted(views, key=lambda view: (view.ready, -view.slot.replica))


def _surplus(current: Sequence[SlotView], wanted: Wanted) -> list[SlotView]:
    """Slots of the wanted revision beyond the wanted replicas."""
    surplus: list[SlotView] = []
    for rank in range(wanted.data):
        of_rank = _first_to_go(view for view in current if view.slot.rank == rank)
        surplus += of_rank[: max(0, len(of_rank) - wanted.replicas)]
    return surplus


def _affordable(leaving: Sequence[SlotView], staying: Sequence[SlotView], wanted: Wanted) -> list[SlotView]:
    """Those of `leaving` that do not serve, and as many serving ones as can go."""
    spare = max(0, sum(view.serves for view in staying) - wanted.least_serving)
    return [view for view in leaving if not view.serves] + [view for view in leaving if view.serves][:spare]


def _created(fleet: Sequence[SlotView], wanted: Wanted, restored: Sequence[SlotView]) -> tuple[Slot, ...]:
    """New slots, as many as are missing and as the limit leaves room for; a replica is filled before the next."""
    room = wanted.slots + wanted.limits.max_surge - len(fleet)
    kept = [view for view in fleet if not view.leaving and (_stays(view) or view in restored)]
    have = Counter(view.slot.rank for view in kept if _is_current(view, wanted))
    held = {view.slot for view in fleet}
    created: list[Slot] = []
    for _ in range(min(room, wanted.slots)):
        rank = min(range(wanted.data), key=have.__getitem__)
        if have[rank] >= wanted.replicas:
            break
        have[rank] += 1
        created.append(_lowest_free(rank, held.union(created)))
    return tuple(sorted(created))


def _lowest_free(rank: int, held: Collection[Slot]) -> Slot:
    return next(slot for replica in count() if (slot := Slot(replica, rank)) not in held)


def _reason(fleet: Sequence[SlotView], wanted: Wanted) -> str:
    current = [view for view in fleet if _is_current(view, wanted) and not view.leaving and _stays(view)]
    others = [view for view in fleet if not _is_current(view, wanted) and not view.leaving]
    ready = sum(view.serves for view in current)
    words = [f"{ready} of {wanted.slots} engines of revision {wanted.revision} serve"]
    if others:
        words.append(f"{sum(view.serves for view in others)} of {len(others)} older ones still serve")
    draining = sum(view.draining_since is not None or view.leaving for view in fleet)
    if draining:
        words.append(f"{draining} {'drains' if draining == 1 else 'drain'}")
    return ", ".join(words)
