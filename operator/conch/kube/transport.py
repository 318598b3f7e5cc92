"""One request to the API server: sent, timed, counted, retried, its refusal turned into an error.

Stands between the credentials' session and the client's verbs; knows HTTP and Status objects, no kinds.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from conch.kube.errors import KubeError, UnreachableError, WatchStalledError, api_error
from conch.kube.metrics import KubeMetrics
from conch.kube.resources import KubeObject
from conch.kube.retries import RetryPolicy

logger = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 10.0
_NO_CODE: Final = "none"
_NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError)


def no_fence() -> None:
    """Every write may go out."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request before it is sent. `target` is the metric's resource label, such as `pods` or `pods/status`."""

    verb: str
    method: str
    path: str
    target: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    repeatable: bool = True

    @property
    def is_write(self) -> bool:
        """Whether it changes anything, and so has to pass the fence."""
        return self.method != "GET"


class Transport:
    """Sends calls over one shared session.

    `fence` is called right before each attempt of a write and raises `FencedError` to hold it back: a Lease cannot
    stop a request in flight, so the last look is as late as possible.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        metrics: KubeMetrics,
        *,
        retry: RetryPolicy | None = None,
        fence: Callable[[], None] = no_fence,
        request_timeout_seconds: float = 30.0,
    ) -> None:
        self._session = session
        self._server = server.rstrip("/")
        self._metrics = metrics
        self._retry = retry or RetryPolicy()
        self._fence = fence
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_seconds, sock_connect=_CONNECT_SECONDS)
        self._chance = random.Random()  # noqa: S311 - spreads load, guards nothing

    async def request(self, call: Call) -> KubeObject:
        """The decoded answer. Raises `ApiError`, `UnreachableError` or `FencedError` once retrying is over."""
        started = time.monotonic()
        attempts = 0
        while True:
            if call.is_write:
                self._fence()
            attempts += 1
            try:
                return await self._attempt(call)
            except KubeError as failure:
                wait_seconds = self._retry.wait_seconds(
                    failure,
                    repeatable=call.repeatable,
                    attempts=attempts,
                    elapsed_seconds=time.monotonic() - started,
                    chance=self._chance,
                )
                if wait_seconds is None:
                    raise
                logger.debug("%s %s failed (%s); again in %.2f s", call.verb, call.path, failure, wait_seconds)
            await asyncio.sleep(wait_seconds)

    @asynccontextmanager
    async def stream(self, call: Call, *, silence_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """An open answer as chunks of bytes, cut where the network cut them; one attempt only.

        Raises `WatchStalledError` when nothing arrives for `silence_seconds`.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence_seconds)
        try:
            async with self._open(call, timeout) as response:
                await self._check(call, response)
                yield response.content.iter_any()
        except aiohttp.SocketTimeoutError as silence:
            raise WatchStalledError(f"{call.path} brought nothing for {silence_seconds:g} s") from silence
        except _NO_ANSWER as cut:
            raise _unreachable(call, cut) from cut

    async def _attempt(self, call: Call) -> KubeObject:
        started = time.monotonic()
        try:
            async with self._open(call, self._timeout) as response:
                await self._check(call, response)
                answer: KubeObject = orjson.loads(await response.read())
                return answer
        except _NO_ANSWER as cut:
            self._metrics.requests.labels(call.verb, call.target, _NO_CODE).inc()
            raise _unreachable(call, cut) from cut
        finally:
            self._metrics.request_seconds.labels(call.verb, call.target).observe(time.monotonic() - started)

    def _open(self, call: Call, timeout: aiohttp.ClientTimeout) -> Any:
        return self._session.request(
            call.method,
            self._server + call.path,
            params=call.params,
            data=None if call.body is None else orjson.dumps(call.body),
            headers={"Accept": "application/json", "Content-Type": call.content_type},
            timeout=timeout,
            allow_redirects=False,
        )

    async def _check(self, call: Call, response: aiohttp.ClientResponse) -> None:
        self._metrics.requests.labels(call.verb, call.target, str(response.status)).inc()
        if response.status < 300:
            return
        body = _status_object(await response.read())
        raise api_error(response.status, body, _retry_after_seconds(response))


def _unreachable(call: Call, cut: Exception) -> UnreachableError:
    """Only a connection that never came up proves that nothing was sent."""
    sent = not isinstance(cut, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return UnreachableError(f"{call.verb} {call.path}: {cut or type(cut).__name__}", sent=sent)


def _status_object(raw: bytes) -> KubeObject:
    """The Status in a refusal; a proxy in between answers in text or HTML, of which the start is kept."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    return body if isinstance(body, dict) else {"message": raw[:200].decode(errors="replace")}


def _retry_after_seconds(response: aiohttp.ClientResponse) -> float | None:
    """The API server always sends whole seconds; the date form is for caches and ignored."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
