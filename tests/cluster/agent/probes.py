"""Startup, readiness and liveness probes of one run of a container, really called.

The first call comes at once (after `initialDelaySeconds`), the next ones by the period. Until the startup probe has
succeeded the others rest.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cluster.agent import handlers
from cluster.agent.handlers import HandlerFailed, Target
from cluster.agent.objects import Object


class Listener(Protocol):
    """Whom the outcomes concern."""

    def started(self) -> None:
        """Past the startup probe."""

    def ready(self, is_ready: bool) -> None:
        """Readiness, whenever it changes."""

    def failed(self, kind: str, message: str) -> None:
        """One failed call."""

    def unhealthy(self, kind: str, message: str, grace_seconds: int | None) -> None:
        """The container has to be restarted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A probe's numbers, with the API's defaults."""

    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Object) -> "Timing":
        return cls(
            initial_delay_seconds=probe.get("initialDelaySeconds") or 0,
            period_seconds=probe.get("periodSeconds") or 10,
            timeout_seconds=probe.get("timeoutSeconds") or 1,
            successes=probe.get("successThreshold") or 1,
            failures=probe.get("failureThreshold") or 3,
        )


@dataclass(slots=True)
class Tally:
    """Counts calls in a row; a verdict is reached when there are enough of one kind."""

    timing: Timing
    verdict: bool | None = None
    streak: int = 0
    last: bool | None = None

    def count(self, success: bool) -> bool | None:
        """The verdict after one more call, None if it is not the time for one."""
        self.streak = self.streak + 1 if success == self.last else 1
        self.last = success
        if self.streak >= (self.timing.successes if success else self.timing.failures):
            self.verdict = success
            return success
        return None


class Probes:
    """The probes of one run; `is_blocked` says whether readiness is to fail whatever the container answers."""

    def __init__(self, target: Target, listener: Listener, is_blocked: Callable[[], bool]) -> None:
        self._target = target
        self._listener = listener
        self._is_blocked = is_blocked
        self.recheck: Final = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        probes = self._target.container
        if "startupProbe" in probes and not await self._startup(probes["startupProbe"]):
            return
        self._listener.started()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readiness(probes.get("readinessProbe")))
            if "livenessProbe" in probes:
                group.create_task(self._liveness(probes["livenessProbe"]))

    async def _startup(self, probe: Object) -> bool:
        timing = Timing.of(probe)
        tally = Tally(timing)
        await asyncio.sleep(timing.initial_delay_seconds)
        while True:
            failure = await self._call("Startup", probe, timing)
            if tally.count(failure is None) is not None:
                if failure is None:
                    return True
                self._listener.unhealthy("startup", failure, probe.get("terminationGracePeriodSeconds"))
                return False
            await asyncio.sleep(timing.period_seconds)

    async def _readiness(self, probe: Object | None) -> None:
        if probe is None:
            while True:
                self.recheck.clear()
                self._listener.ready(not self._is_blocked())
                await self.recheck.wait()
        timing = Timing.of(probe)
        tally = Tally(timing)
        await asyncio.sleep(timing.initial_delay_seconds)
        while True:
            self.recheck.clear()
            blocked = self._is_blocked()
            failure = "made unready" if blocked else await self._call("Readiness", probe, timing)
            verdict = tally.count(failure is None)
            if blocked:
                # Whoever asks for an unready pod does not wait for a threshold.
                tally.verdict, verdict = False, False
            if verdict is not None:
                self._listener.ready(verdict)
            try:
                async with asyncio.timeout(timing.period_seconds):
                    await self.recheck.wait()
            except TimeoutError:
                pass

    async def _liveness(self, probe: Object) -> None:
        timing = Timing.of(probe)
        tally = Tally(timing)
        await asyncio.sleep(timing.initial_delay_seconds)
        while True:
            failure = await self._call("Liveness", probe, timing)
            if tally.count(failure is None) is False:
                assert failure is not None
                self._listener.unhealthy("liveness", failure, probe.get("terminationGracePeriodSeconds"))
                return
            await asyncio.sleep(timing.period_seconds)

    async def _call(self, kind: str, probe: Object, timing: Timing) -> str | None:
        """Why the call failed, None if it succeeded."""
        try:
            async with asyncio.timeout(timing.timeout_seconds):
                await handlers.run(probe, self._target)
            return None
        except TimeoutError:
            failure = f"no answer within {timing.timeout_seconds:g} s: context deadline exceeded"
        except HandlerFailed as error:
            failure = str(error)
        self._listener.failed(kind, failure)
        return failure
