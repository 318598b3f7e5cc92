"""The engine in real time: the event loop drives a `Batch` while there is work; without work there is no timer.

What an iteration does becomes visible when it ends: tokens to those who wait for them, numbers to the metrics.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import count
from typing import Final, Protocol

from conch.simulator.batch import Batch, Iteration, Limits, Request, Token
from conch.simulator.latency import LatencyModel

_LATENESS_SECONDS: Final = 1.0
"""How far the engine may run behind the wall clock before it gives that time up as lost. Below it, a timer that fires
late does not slow the engine down: it catches up."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """What one token says about its request, in seconds; None where it says nothing."""

    time_to_first_token: float | None = None
    gap: float | None = None
    """Since the token before."""
    end_to_end: float | None = None


class EngineObserver(Protocol):
    """Sees the engine's work as it happens."""

    def token(self, token: Token, latencies: Latencies) -> None:
        """A token has appeared."""

    def worked(self, iteration: Iteration) -> None:
        """An iteration has ended."""


@dataclass(slots=True)
class _Generation:
    arrived_at: float
    last_token_at: float
    tokens: asyncio.Queue[Token]


class Engine:
    """One running engine. Times are the event loop's, in seconds."""

    def __init__(self, limits: Limits, latency: LatencyModel, observer: EngineObserver) -> None:
        """An idle engine: it holds no task and no timer."""
        self._batch = Batch(limits, latency)
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._ids = count()
        self._generations: dict[int, _Generation] = {}
        self._driver: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """Requests that have not got their last token."""
        return len(self._generations)

    async def generate(self, prompt_tokens: int, output_tokens: int) -> AsyncGenerator[Token, None]:
        """The request's tokens as they appear. Leaving the iterator early (`aclose`) aborts the request.

        Raises ValueError for a request that can never run.
        """
        request = Request(next(self._ids), prompt_tokens, output_tokens)
        self._batch.submit(request)
        now = self._loop.time()
        generation = _Generation(now, now, asyncio.Queue())
        self._generations[request.id] = generation
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive(now))
        try:
            while True:
                token = await generation.tokens.get()
                yield token
                if token.is_last:
                    return
        finally:
            self._batch.cancel(request.id)
            self._generations.pop(request.id, None)

    def close(self) -> None:
        """Stops at once; generations in flight get no further token."""
        if self._driver is not None:
            self._driver.cancel()

    async def _drive(self, now: float) -> None:
        while (iteration := self._batch.step(now)) is not None:
            await asyncio.sleep(iteration.ends_at - self._loop.time())
            self._deliver(iteration)
            now = max(iteration.ends_at, self._loop.time() - _LATENESS_SECONDS)
        self._driver = None

    def _deliver(self, iteration: Iteration) -> None:
        self._observer.worked(iteration)
        for token in iteration.tokens:
            generation = self._generations.get(token.request.id)
            if generation is None:
                continue  # aborted during this iteration
            self._observer.token(token, _latencies(token, generation, iteration.ends_at))
            generation.last_token_at = iteration.ends_at
            generation.tokens.put_nowait(token)
            if token.is_last:
                del self._generations[token.request.id]


def _latencies(token: Token, generation: _Generation, now: float) -> Latencies:
    return Latencies(
        time_to_first_token=now - generation.arrived_at if token.is_first else None,
        gap=None if token.is_first else now - generation.last_token_at,
        end_to_end=now - generation.arrived_at if token.is_last else None,
    )
