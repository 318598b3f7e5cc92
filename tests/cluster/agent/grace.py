"""The time that something has left before it is killed. It can only become shorter."""

import asyncio
from collections.abc import Awaitable
from typing import Any


class Grace:
    """Runs from now; `expired` is set at its end."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.expired = asyncio.Event()
        self._end = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._end, self.expired.set)

    def shorten(self, seconds: float) -> None:
        """Not more than `seconds` from now."""
        end = self._loop.time() + seconds
        if end < self._end:
            self._timer.cancel()
            self._end = end
            self._timer = self._loop.call_at(end, self.expired.set)

    def extended_to(self, seconds: float) -> "Grace":
        """This one, or one that leaves at least `seconds` from now."""
        return self if self._end - self._loop.time() >= seconds else Grace(seconds)

    async def wait_for(self, work: Awaitable[Any]) -> bool:
        """Whether the work ends in time; work that does not is cancelled."""
        task = asyncio.ensure_future(work)
        end = asyncio.ensure_future(self.expired.wait())
        try:
            await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            end.cancel()
            task.cancel()

    def cancel(self) -> None:
        """No longer needed."""
        self._timer.cancel()
