"""Whatever a user and a cluster do, in whatever order: no step breaks a limit, and the rollout ends or says why not.

`check` in operator_in_memory holds of every step taken here.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from conch.api.rollout import RollingUpdate
from rollout.operator_in_memory import OperatorInMemory, is_ours
from rollout.simulated_cluster import Release, SimulatedCluster

RELEASES = (
    Release("a"),
    Release("b"),
    Release("c", data=2),
    Release("d", data=3, gpus_per_pod=2),
    Release("e", gpus_per_pod=4),
    Release("bad", works=False),
    Release("worse", data=2, works=False),
)
POLICIES = (
    None,
    *(
        RollingUpdate(max_surge=surge, max_unavailable=unavailable)
        for surge in (None, 0, 1, 2)
        for unavailable in (None, 0, 1, 2)
        if (surge, unavailable) != (0, 0)
    ),
)
MOST_GPUS = 200
"""Enough for any fleet of these rules with its surge, old pods included."""


class RolloutMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimulatedCluster(gpus=12)
        self.operator = OperatorInMemory(self.cluster, RELEASES[0], replicas=2)

    @rule(release=st.sampled_from(RELEASES))
    def the_user_changes_the_spec(self, release: Release) -> None:
        self.operator.release = release

    @rule(replicas=st.integers(0, 5))
    def somebody_scales(self, replicas: int) -> None:
        self.operator.replicas = replicas

    @rule(policy=st.sampled_from(POLICIES))
    def the_user_changes_the_limits(self, policy: RollingUpdate | None) -> None:
        self.operator.rolling_update = policy

    @rule()
    def the_operator_steps(self) -> None:
        self.operator.step()

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.cluster.run(seconds)

    @rule(seconds=st.integers(1, 30))
    def the_operator_works_for_a_while(self, seconds: int) -> None:
        for _ in range(seconds):
            self.operator.step()
            self.cluster.run(1)

    @rule(gpus=st.integers(0, 40))
    def nodes_come_and_go(self, gpus: int) -> None:
        self.cluster.gpus = gpus

    @precondition(lambda self: self.cluster.replica_sets)
    @rule(data=st.data())
    def a_node_drain_evicts_a_pod(self, data: st.DataObject) -> None:
        self.cluster.evict(data.draw(st.sampled_from(sorted(self.cluster.replica_sets))))

    @precondition(lambda self: self.cluster.replica_sets)
    @rule(data=st.data())
    def an_engine_crashes(self, data: st.DataObject) -> None:
        self.cluster.restart_engine(data.draw(st.sampled_from(sorted(self.cluster.replica_sets))))

    @precondition(lambda self: self.cluster.replica_sets)
    @rule(data=st.data())
    def a_user_deletes_a_replica_set(self, data: st.DataObject) -> None:
        self.cluster.delete_replica_set(data.draw(st.sampled_from(sorted(self.cluster.replica_sets))))

    @precondition(lambda self: self.cluster.replica_sets)
    @rule(data=st.data())
    def a_user_orphans_a_pod(self, data: st.DataObject) -> None:
        self.cluster.orphan_replica_set(data.draw(st.sampled_from(sorted(self.cluster.replica_sets))))

    @rule()
    def left_alone_it_comes_to_rest_and_says_why(self) -> None:
        step = self.operator.settle()
        assert step.is_rest
        if self.operator.is_complete:
            self._holds_just_the_gpus_it_needs()
        else:
            serving = sum(view.serves for view in self.cluster.observed() if is_ours(view, self.operator.wanted))
            assert not self.operator.release.works or self.operator.waits_for_gpus
            assert step.reason.startswith(
                f"{serving} of {self.operator.wanted.slots} engines of revision {self.operator.release.name} serve"
            )

    @precondition(lambda self: self.operator.release.works)
    @rule()
    def with_gpus_a_revision_that_works_is_rolled_out(self) -> None:
        self.cluster.gpus = MOST_GPUS
        self.operator.settle()
        assert self.operator.is_complete
        self._holds_just_the_gpus_it_needs()

    @rule()
    def a_spec_that_works_heals_whatever_is(self) -> None:
        self.operator.release = RELEASES[0]
        self.with_gpus_a_revision_that_works_is_rolled_out()

    def _holds_just_the_gpus_it_needs(self) -> None:
        release = self.operator.release
        assert self.cluster.gpus_asked_for() == release.gpus_per_pod * release.data * self.operator.replicas


TestRollout = RolloutMachine.TestCase
TestRollout.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
