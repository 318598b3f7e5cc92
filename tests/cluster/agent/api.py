"""The API server as the agent needs it: JSON over one shared connection pool. Independent of the code under test."""

import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from cluster.agent.objects import Object

MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
# A watch event is one line, and an object may be 1.5 MiB.
_LINE_BYTES: Final = 4 << 20
_CONNECTIONS: Final = 64


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Api:
    """Paths begin with `/api` or `/apis`. Every method raises `ApiError`, or aiohttp's errors if nobody answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **params: str) -> Object:
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: Object) -> Object:
        return await self._request("POST", path, json=body)

    async def patch(self, path: str, body: Object, kind: str, **params: str) -> Object:
        """`kind` is one of the content types above."""
        return await self._request("PATCH", path, params=params, data=json.dumps(body), headers={"Content-Type": kind})

    async def delete(self, path: str, body: Object) -> None:
        await self._request("DELETE", path, json=body)

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Object]:
        """Watch events until the server closes; a refusal is raised, one inside the stream too."""
        query = {**params, "watch": "true", "allowWatchBookmarks": "true"}
        async with self._session.get(path, params=query, timeout=_NO_TIMEOUT) as response:
            await _raise_refusal(response)
            async for line in response.content:
                event: Object = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event

    async def _request(self, method: str, path: str, **arguments: Any) -> Object:
        async with self._session.request(method, path, **arguments) as response:
            await _raise_refusal(response)
            answer: Object = await response.json()
            return answer


async def _raise_refusal(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text
    raise ApiError(response.status, message)


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """The API server of the current context; bearer tokens only, as the local cluster writes them."""
    cluster, token = _current(kubeconfig)
    async with aiohttp.ClientSession(
        cluster["server"],
        headers={"Authorization": f"Bearer {token}", "User-Agent": "node-agent"},
        connector=aiohttp.TCPConnector(ssl=_trust(cluster), limit=_CONNECTIONS),
        timeout=_TIMEOUT,
        read_bufsize=_LINE_BYTES,
    ) as session:
        yield Api(session)


def _current(kubeconfig: Path) -> tuple[Object, str]:
    """The cluster and the token of the current context."""
    content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    context = _named(content["contexts"], content["current-context"])["context"]
    token: str = _named(content["users"], context["user"])["user"]["token"]
    return _named(content["clusters"], context["cluster"])["cluster"], token


def _trust(cluster: Object) -> ssl.SSLContext:
    if "certificate-authority-data" in cluster:
        data = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
        return ssl.create_default_context(cadata=data)
    if cluster.get("insecure-skip-tls-verify"):
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=cluster.get("certificate-authority"))


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)
