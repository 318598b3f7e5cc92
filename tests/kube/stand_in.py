"""A server that misbehaves on command: what a real API server cannot be made to do on demand.

Answers are given in the order in which they were scripted, lists and single objects apart from watches.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from conch.kube.resources import KubeObject

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class StandIn:
    """Scripted answers, and the requests that got them."""

    server: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    watches: deque[Answer] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Gives the next answer; without one, a list is refused for good and a watch stays open."""
        raw = await request.read()
        query = dict(request.query)
        self.seen.append(
            Seen(request.method, request.path, query, dict(request.headers), orjson.loads(raw) if raw else None)
        )
        script = self.watches if "watch" in query else self.answers
        answer = script.popleft() if script else (silent_stream() if "watch" in query else refusal(400, "Unscripted"))
        return await answer(request)


def json_answer(body: Any, status: int = 200) -> Answer:
    """A plain answer."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

    return answer


def refusal(status: int, reason: str, *, retry_after_seconds: int | None = None, **more: Any) -> Answer:
    """A Status object, with Retry-After if asked for."""
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": status, **more}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, body=orjson.dumps(body), content_type="application/json")

    return answer


def cut() -> Answer:
    """The request is read and the connection closed without an answer: it may have been carried out."""

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def stream(*events: KubeObject, ending: Answer | None = None, tail: bytes = b"") -> Answer:
    """A watch that brings these events and a tail, and then ends, or goes on as `ending` does."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(orjson.dumps(event) + b"\n")
        if tail:
            await response.write(tail)
        if ending is not None:
            await ending(request)
        return response

    return answer


def silent_stream(*events: KubeObject) -> Answer:
    """A watch that brings these events and then nothing, yet stays open."""

    async def silence(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    return stream(*events, ending=silence)


def config_map(name: str, version: int, uid: str = "", **metadata: Any) -> KubeObject:
    """A ConfigMap at some resourceVersion."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": uid or f"uid-of-{name}",
            "resourceVersion": str(version),
            **metadata,
        },
    }


def config_map_list(version: int, *items: KubeObject, token: str = "") -> Answer:
    """One page of a list."""
    metadata = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
    return json_answer({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def event(type_: str, item: KubeObject) -> KubeObject:
    """A line of a watch."""
    return {"type": type_, "object": item}


def bookmark(version: int) -> KubeObject:
    """A line that only says how far the watch is."""
    return event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": str(version)}})


def expired() -> KubeObject:
    """The line with which a watch on a forgotten version ends."""
    return event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
