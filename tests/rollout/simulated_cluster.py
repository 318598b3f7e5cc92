"""A cluster in memory with a clock of its own: what the rollout's steps meet, and nothing more.

ReplicaSets make pods and replace lost ones, pods wait for GPUs, load, become ready or fail for ever, and take their
grace period to end. Pods hold their GPUs until they are gone, as in a real cluster. Nothing here knows the rollout's
rules: `observed` is folded by the code under test, and `carry_out` does what a step says.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from conch.manifests.identity import Slot
from conch.rollout.fleet import SlotView, fleet
from conch.rollout.step import Step
from rollout.observed import NOON, Object, pod, replica_set

LOAD_SECONDS = 20
GRACE_SECONDS = 15


@dataclass(frozen=True)
class Release:
    """One revision as the cluster sees it: what its pods need, and whether they ever become ready."""

    name: str
    data: int = 1
    gpus_per_pod: int = 1
    works: bool = True


class Phase(Enum):
    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    TERMINATING = "terminating"


@dataclass
class Pod:
    slot: Slot
    release: Release
    phase: Phase
    since: datetime
    draining_since: datetime | None = None
    controlled: bool = True

    @property
    def holds_gpus(self) -> bool:
        return self.phase is not Phase.PENDING


@dataclass
class SimulatedCluster:
    """ReplicaSets by slot and all pods; `served` are the revisions of which a pod was ever ready."""

    gpus: int
    now: datetime = NOON
    replica_sets: dict[Slot, Release] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    served: set[str] = field(default_factory=set)

    def observed(self) -> tuple[SlotView, ...]:
        return fleet(
            [replica_set(slot, release.name) for slot, release in self.replica_sets.items()],
            [self._observed_pod(pod) for pod in self.pods],
        )

    def carry_out(self, step: Step, release: Release) -> None:
        for slot in step.create:
            self.replica_sets[slot] = release
        for slot in step.drain:
            self._mark(slot, self.now)
        for slot in step.restore:
            self._mark(slot, None)
        for slot in step.remove:
            self.delete_replica_set(slot)
            for orphan in self._alive(slot):
                self._terminate(orphan)

    def run(self, seconds: int) -> None:
        """Let time pass, second by second, for ReplicaSets, scheduler, kubelets and engines."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self._end_terminating()
            self._replace_missing()
            self._schedule()
            self._load()

    def delete_replica_set(self, slot: Slot) -> None:
        self.replica_sets.pop(slot, None)
        for lost in self._alive(slot):
            if lost.controlled:
                self._terminate(lost)

    def orphan_replica_set(self, slot: Slot) -> None:
        """What `kubectl delete --cascade=orphan` does."""
        self.replica_sets.pop(slot)
        for left in self._alive(slot):
            left.controlled = False

    def evict(self, slot: Slot) -> None:
        for lost in self._alive(slot):
            self._terminate(lost)

    def restart_engine(self, slot: Slot) -> None:
        """The engine crashes: its pod stays, with its GPUs, and loads again."""
        for crashed in self._alive(slot):
            if crashed.phase is Phase.READY:
                crashed.phase, crashed.since = Phase.LOADING, self.now

    def gpus_asked_for(self) -> int:
        return sum(pod.release.gpus_per_pod for pod in self.pods if pod.phase is not Phase.TERMINATING)

    def _alive(self, slot: Slot) -> Iterator[Pod]:
        return (pod for pod in self.pods if pod.slot == slot and pod.phase is not Phase.TERMINATING)

    def _mark(self, slot: Slot, draining_since: datetime | None) -> None:
        for marked in self._alive(slot):
            marked.draining_since = draining_since

    def _terminate(self, ending: Pod) -> None:
        ending.phase, ending.since = Phase.TERMINATING, self.now

    def _end_terminating(self) -> None:
        ended = self.now - timedelta(seconds=GRACE_SECONDS)
        self.pods = [pod for pod in self.pods if pod.phase is not Phase.TERMINATING or pod.since > ended]

    def _replace_missing(self) -> None:
        for slot, release in self.replica_sets.items():
            if not any(self._alive(slot)):
                self.pods.append(Pod(slot, release, Phase.PENDING, self.now))

    def _schedule(self) -> None:
        for waiting in self.pods:
            free = self.gpus - sum(pod.release.gpus_per_pod for pod in self.pods if pod.holds_gpus)
            if waiting.phase is Phase.PENDING and waiting.release.gpus_per_pod <= free:
                waiting.phase, waiting.since = Phase.LOADING, self.now

    def _load(self) -> None:
        loaded = self.now - timedelta(seconds=LOAD_SECONDS)
        for loading in self.pods:
            if loading.phase is Phase.LOADING and loading.release.works and loading.since <= loaded:
                loading.phase = Phase.READY
                self.served.add(loading.release.name)

    def _observed_pod(self, seen: Pod) -> Object:
        return pod(
            seen.slot,
            seen.release.name,
            ready=seen.phase is Phase.READY,
            draining_since=seen.draining_since,
            terminating=seen.phase is Phase.TERMINATING,
            controlled=seen.controlled,
        )
