"""What a watch brings: lines of JSON, each a change to one object, a bookmark, or the error that ends it."""

from collections.abc import AsyncGenerator, AsyncIterator
from enum import StrEnum
from typing import NamedTuple

import orjson

from conch.kube.errors import api_error
from conch.kube.resources import KubeObject


class WatchEventType(StrEnum):
    """The types of `metav1.WatchEvent`, less ERROR, which is raised."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class WatchEvent(NamedTuple):
    """One line of a watch. A bookmark's object has a resourceVersion and nothing else worth reading."""

    type: WatchEventType
    object: KubeObject

    @property
    def resource_version(self) -> str:
        """Everything up to this version has been told by this watch."""
        version: str = self.object["metadata"]["resourceVersion"]
        return version


async def watch_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[WatchEvent, None]:
    """Decodes a stream. A last line that was cut off is dropped: the next watch will bring it whole.

    Raises the `ApiError` that an ERROR line carries; 410, as `GoneError`, is the usual one.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _decode(line)


def _decode(line: bytes) -> WatchEvent:
    event = orjson.loads(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise api_error(status.get("code", 500), status)
    return WatchEvent(WatchEventType(event["type"]), event["object"])
