"""List and watch: every object of a kind, each change once, across broken connections and expired versions."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Literal

import aiohttp

from cluster.agent.api import Api, ApiError
from cluster.agent.objects import Object, uid

Change = Literal["ADDED", "MODIFIED", "DELETED"]
Handler = Callable[[Change, Object], None]

_PAUSE_SECONDS: Final = 0.5
_GONE: Final = 410
_log = logging.getLogger(__name__)


class Follower:
    """Calls `handle` for each object there is and for each change, for ever."""

    def __init__(self, api: Api, path: str, handle: Handler, selection: Mapping[str, str] | None = None) -> None:
        self._api = api
        self._path = path
        self._handle = handle
        self._selection = dict(selection or {})
        self._known: dict[str, Object] = {}
        self._version = ""

    async def run(self) -> None:
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiError as error:
                if error.code == _GONE:
                    self._version = ""
                    continue
                _log.warning("watch of %s: %s", self._path, error)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                _log.info("watch of %s: %r", self._path, error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _list(self) -> None:
        listed = await self._api.get(self._path, **self._selection)
        items = {uid(item): item for item in listed.get("items") or ()}
        for identity in self._known.keys() - items.keys():
            self._handle("DELETED", self._known[identity])
        for identity, item in items.items():
            self._handle("MODIFIED" if identity in self._known else "ADDED", item)
        self._known = items
        self._version = listed["metadata"]["resourceVersion"]

    async def _watch(self) -> None:
        async for event in self._api.watch(self._path, {**self._selection, "resourceVersion": self._version}):
            item = event["object"]
            self._version = item["metadata"]["resourceVersion"]
            match event["type"]:
                case "ADDED" | "MODIFIED" as change:
                    self._known[uid(item)] = item
                    self._handle(change, item)
                case "DELETED":
                    self._known.pop(uid(item), None)
                    self._handle("DELETED", item)
