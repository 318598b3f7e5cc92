"""ConfigMaps, Secrets and claims that pods name: read when needed, and told of when they change.

Nothing is cached, as a cache could be older than the pod that names an object that has just been made.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final, Literal

from cluster.agent.api import Api, ApiError
from cluster.agent.objects import Object
from cluster.agent.watch import Change, Follower

Kind = Literal["configmap", "secret"]

_PLURALS: Final[dict[Kind, str]] = {"configmap": "configmaps", "secret": "secrets"}


class MissingReference(Exception):
    """What a pod names is not there; the text is the one a kubelet gives."""


class References:
    """Reads objects by name. `watched` is called with kind, namespace and name of what changed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._subscribers: defaultdict[tuple[Kind, str, str], set[Callable[[], None]]] = defaultdict(set)

    async def run(self) -> None:
        """Tells subscribers of changes, for ever."""
        async with asyncio.TaskGroup() as group:
            for kind, plural in _PLURALS.items():
                group.create_task(Follower(self._api, f"/api/v1/{plural}", self._handler(kind)).run())

    def subscribe(self, kind: Kind, namespace: str, name: str, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` at each change of that object until the returned function is called."""
        key = (kind, namespace, name)
        self._subscribers[key].add(changed)

        def cancel() -> None:
            self._subscribers[key].discard(changed)
            if not self._subscribers[key]:
                del self._subscribers[key]

        return cancel

    async def read(self, kind: Kind, namespace: str, name: str) -> Object:
        """Raises `MissingReference`."""
        try:
            return await self._api.get(f"/api/v1/namespaces/{namespace}/{_PLURALS[kind]}/{name}")
        except ApiError as error:
            if error.code != 404:
                raise
            raise MissingReference(f'{kind} "{name}" not found') from error

    async def claim(self, namespace: str, name: str) -> Object:
        """A PersistentVolumeClaim; raises `MissingReference`."""
        try:
            return await self._api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
        except ApiError as error:
            if error.code != 404:
                raise
            raise MissingReference(f'persistentvolumeclaim "{name}" not found') from error

    async def volume(self, name: str) -> Object:
        """A PersistentVolume."""
        return await self._api.get(f"/api/v1/persistentvolumes/{name}")

    async def services(self, namespace: str, **selection: str) -> list[Object]:
        """The Services of a namespace."""
        listed = await self._api.get(f"/api/v1/namespaces/{namespace}/services", **selection)
        found: list[Object] = listed["items"]
        return found

    async def token(self, namespace: str, account: str, request: Object) -> Object:
        """A new token of a ServiceAccount: the status of the TokenRequest."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
        status: Object = (await self._api.create(path, body))["status"]
        return status

    def _handler(self, kind: Kind) -> Callable[[Change, Object], None]:
        def handle(change: Change, item: Object) -> None:
            key = (kind, item["metadata"]["namespace"], item["metadata"]["name"])
            for changed in tuple(self._subscribers.get(key, ())):
                changed()

        return handle
