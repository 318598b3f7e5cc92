"""The operator's loop over a simulated cluster, checking what every single step must hold."""

from dataclasses import dataclass, field

from conch.api.rollout import RollingUpdate
from conch.rollout.fleet import SlotView
from conch.rollout.limits import limits
from conch.rollout.step import Step, Wanted, next_step
from rollout.simulated_cluster import Phase, Release, SimulatedCluster

PATIENCE_SECONDS = 60
"""Longer than a load, a drain and a grace period together: a cluster that stood still so long stands still."""


@dataclass
class OperatorInMemory:
    """What a user asked for, the cluster it runs on, and all that was done, as text."""

    cluster: SimulatedCluster
    release: Release
    replicas: int = 1
    rolling_update: RollingUpdate | None = None
    history: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            revision=self.release.name,
            replicas=self.replicas,
            data=self.release.data,
            limits=limits(self.rolling_update, self.replicas * self.release.data),
            proven=frozenset(self.cluster.served),
        )

    def step(self) -> Step:
        """Take one step and check it."""
        fleet, wanted = self.cluster.observed(), self.wanted
        step = next_step(fleet, wanted, self.cluster.now)
        check(step, fleet, wanted)
        self.history += actions(step)
        self.cluster.carry_out(step, self.release)
        return step

    def settle(self) -> Step:
        """Steps and seconds in turn until nothing moves any more; what is done on the way is bounded."""
        begin, quiet_seconds = len(self.history), 0
        most_actions = 2 * len(self.cluster.observed()) + 2 * (self.wanted.slots + self.wanted.limits.max_surge)
        while quiet_seconds < PATIENCE_SECONDS:
            before = (len(self.history), self._cluster_state())
            step = self.step()
            assert len(self.history) - begin <= most_actions, f"does not end: {self.history[begin:]}"
            self.cluster.run(1)
            quiet_seconds = quiet_seconds + 1 if (len(self.history), self._cluster_state()) == before else 0
        return step

    @property
    def is_complete(self) -> bool:
        """Whether just the wanted slots exist, all of the wanted revision, and every one serves."""
        fleet, wanted = self.cluster.observed(), self.wanted
        ranks = sorted(view.slot.rank for view in fleet)
        return ranks == sorted(list(range(wanted.data)) * wanted.replicas) and all(
            view.serves and view.revision == wanted.revision and not view.orphan for view in fleet
        )

    def _cluster_state(self) -> list[tuple[object, ...]]:
        return [(pod.slot, pod.release, pod.phase, pod.draining_since) for pod in self.cluster.pods]

    @property
    def waits_for_gpus(self) -> bool:
        return any(pod.phase is Phase.PENDING for pod in self.cluster.pods)


def actions(step: Step) -> list[str]:
    """Slots as text: '+0-0' created, '~0-0' drained, '^0-0' restored, '-0-0' removed."""
    kinds = (("+", step.create), ("~", step.drain), ("^", step.restore), ("-", step.remove))
    return [f"{sign}{slot}" for sign, slots in kinds for slot in slots]


def check(step: Step, fleet: tuple[SlotView, ...], wanted: Wanted) -> None:
    """What holds of every step, whatever the cluster does."""
    assert step.reason
    held = {view.slot: view for view in fleet}
    acted = [*step.create, *step.drain, *step.restore, *step.remove]
    assert len(acted) == len(set(acted)), "one slot, one action"
    assert not held.keys() & set(step.create), "a new slot takes a place that nothing holds"
    assert not any(held[slot].leaving for slot in (*step.drain, *step.restore, *step.remove))
    if step.create:
        assert len(held) + len(step.create) <= wanted.slots + wanted.limits.max_surge, "GPUs are booked twice"

    taken = {*step.drain, *step.remove}
    assert not any(held[slot].serves for slot in step.remove), "nothing is removed while clients are sent to it"
    if any(held[slot].serves for slot in taken):
        assert sum(view.serves for view in fleet if view.slot not in taken) >= wanted.least_serving

    ours = [view for view in fleet if is_ours(view, wanted)]
    if not any(view.ready and view.draining_since is None for view in ours):
        proven = {view.slot for view in fleet if _is_proven_other(view, wanted)}
        if proven & taken:
            assert len(proven - taken) >= wanted.least_serving, "more is given up to a revision that never served"


def is_ours(view: SlotView, wanted: Wanted) -> bool:
    """Whether the slot is one of those that are wanted."""
    return view.revision == wanted.revision and not view.orphan and not view.leaving and view.slot.rank < wanted.data


def _is_proven_other(view: SlotView, wanted: Wanted) -> bool:
    stays = view.draining_since is None and not view.leaving
    return stays and view.revision in wanted.proven and not is_ours(view, wanted)
