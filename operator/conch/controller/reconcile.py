"""The loop, on one screen: observe, decide, write, report. Level-triggered: the same whatever event woke it."""

from collections.abc import Callable
from datetime import datetime

from conch.controller.caches import Caches, Key
from conch.controller.decision import decide
from conch.controller.reporter import Reporter
from conch.controller.writer import ResourceGoneError, Writer


class Reconciler:
    """Brings one resource a step closer to what its spec asks for."""

    def __init__(self, caches: Caches, writer: Writer, reporter: Reporter, clock: Callable[[], datetime]) -> None:
        self._caches = caches
        self._writer = writer
        self._reporter = reporter
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """One step. Returns the seconds after which to look again though nothing happens, or None."""
        observation = self._caches.observe(key)
        if observation is None or observation.is_being_deleted:
            return None  # the garbage collector takes the children
        decision = decide(observation, (), self._clock())
        try:
            outcome = await self._writer.carry_out(observation, decision)
        except ResourceGoneError:
            return None
        if outcome.wrote:
            observation = self._caches.observe(key) or observation
            decision = decide(observation, outcome.conflicts, self._clock(), outcome.refusals)
        await self._reporter.report(observation, decision.status)
        return decision.look_again_seconds
