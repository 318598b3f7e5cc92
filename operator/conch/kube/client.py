"""The verbs of the Kubernetes API on plain dicts.

Server-side apply writes children and status under one field manager. Two kinds of safety come from the objects
themselves: one that carries `metadata.uid` is only written while it has that UID, and one that carries
`metadata.resourceVersion` only while it has that version; both fail with `ConflictError`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from conch.kube.resources import KubeObject, Resource
from conch.kube.transport import Call, Transport
from conch.kube.watching import WatchEvent, watch_events

FIELD_MANAGER: Final = "conch"

_PAGE_OBJECTS: Final = 500
_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_MERGE: Final = "application/merge-patch+json"
# The API server sends a bookmark every minute, or every second one where nothing happens (seen with 1.37).
_SILENCE_SECONDS: Final = 150.0

PropagationPolicy = Literal["Background", "Foreground", "Orphan"]


class Page(NamedTuple):
    """A part of a list. All pages of one list show the state at the same resourceVersion."""

    items: list[KubeObject]
    resource_version: str


class Client:
    """Reads and writes objects; every method raises the errors of `conch.kube.errors`."""

    def __init__(self, transport: Transport, *, watch_silence_seconds: float = _SILENCE_SECONDS) -> None:
        self._transport = transport
        self._silence_seconds = watch_silence_seconds

    async def get(self, resource: Resource, namespace: str | None, name: str) -> KubeObject:
        """The object as it is now."""
        return await self._transport.request(Call("get", "GET", resource.path(namespace, name), resource.plural))

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        page_objects: int = _PAGE_OBJECTS,
    ) -> AsyncGenerator[Page, None]:
        """All objects in pages, from one namespace or from every one.

        Raises `GoneError` when paging takes so long (minutes) that the API server has forgotten the first page.
        """
        params = {"limit": str(page_objects)} | _selection(label_selector)
        while True:
            path = resource.path(namespace)
            answer = await self._transport.request(Call("list", "GET", path, resource.plural, params))
            metadata = answer["metadata"]
            yield Page([_typed(resource, item) for item in answer["items"]], metadata["resourceVersion"])
            if not (token := metadata.get("continue")):
                return
            params = params | {"continue": token}

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        timeout_seconds: int,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Every change after `resource_version`, and bookmarks, until the API server ends it after the timeout.

        Raises `GoneError` when the version is too old, `WatchStalledError` when the stream goes silent, and
        `UnreachableError` when it is cut.
        """
        params = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_seconds),
        } | _selection(label_selector)
        call = Call("watch", "GET", resource.path(namespace), resource.plural, params)
        async with (
            self._transport.stream(call, silence_seconds=self._silence_seconds) as chunks,
            aclosing(watch_events(chunks)) as events,
        ):
            async for event in events:
                yield event

    async def create(self, resource: Resource, item: KubeObject) -> KubeObject:
        """A new object; `AlreadyExistsError` if its name is taken. Not repeated once it may have been carried out."""
        params = _writing() | {"fieldManager": FIELD_MANAGER}
        path = resource.path(item["metadata"].get("namespace"))
        return await self._transport.request(
            Call("create", "POST", path, resource.plural, params, item, repeatable=False)
        )

    async def replace(self, resource: Resource, item: KubeObject) -> KubeObject:
        """Compare and swap: the whole object, on condition of the `resourceVersion` that it carries.

        Not repeated once it may have been carried out: a repetition would meet its own new version as a conflict.
        """
        params = _writing() | {"fieldManager": FIELD_MANAGER}
        return await self._transport.request(
            Call("update", "PUT", _path_of(resource, item), resource.plural, params, item, repeatable=False)
        )

    async def apply(self, resource: Resource, item: KubeObject) -> KubeObject:
        """Server-side apply that takes no field from anyone: `ConflictError.field_conflicts` names their owners.

        It creates what is missing, but cannot tell a namesake apart: see whose the answer is.
        """
        return await self._apply(resource, item, force=False)

    async def apply_new(self, resource: Resource, item: KubeObject) -> KubeObject:
        """Server-side apply that only creates: `ConflictError` if the name is taken, whoever has it."""
        # The API server creates what is missing whatever version is asked for, and no object has that of etcd's start.
        pinned = {**item, "metadata": {**item["metadata"], "resourceVersion": "1"}}
        return await self._apply(resource, pinned, force=False)

    async def apply_owned(self, resource: Resource, item: KubeObject) -> KubeObject:
        """Server-side apply by force, for what is known to be ours: takes back each field that others changed."""
        return await self._apply(resource, item, force=True)

    async def apply_status(self, resource: Resource, item: KubeObject) -> KubeObject:
        """Server-side apply of the status alone, by force; the object has to exist.

        Only `metadata.resourceVersion` tells a successor of the same name apart: the API server ignores a UID here.
        """
        return await self._apply(resource, item, force=True, subresource="status")

    async def merge_patch(self, resource: Resource, namespace: str | None, name: str, patch: KubeObject) -> KubeObject:
        """JSON merge patch (RFC 7386) for a single field of an object that others own, such as a label of a pod.

        Give `metadata.uid` in the patch to be sure which object is meant.
        """
        return await self._merge_patch(Call("patch", "PATCH", resource.path(namespace, name), resource.plural), patch)

    async def merge_patch_status(self, resource: Resource, namespace: str, name: str, patch: KubeObject) -> KubeObject:
        """JSON merge patch of the status alone: it can take away what others wrote there, which no apply can."""
        path = resource.path(namespace, name, "status")
        return await self._merge_patch(Call("patch", "PATCH", path, f"{resource.plural}/status"), patch)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        propagation: PropagationPolicy = "Background",
        grace_period_seconds: int | None = None,
    ) -> KubeObject | None:
        """Deletes that very object. Returns it if the API server shows it as terminating, None if it is gone.

        `NotFoundError` if there is no object of that name, `ConflictError` if there is one with another UID. Pods are
        returned even when gone at once; the watch tells.
        """
        options: KubeObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        path = resource.path(namespace, name)
        answer = await self._transport.request(Call("delete", "DELETE", path, resource.plural, body=options))
        return None if answer["kind"] == "Status" else answer

    async def _merge_patch(self, call: Call, patch: KubeObject) -> KubeObject:
        params = _writing() | {"fieldManager": FIELD_MANAGER}
        return await self._transport.request(replace(call, params=params, body=patch, content_type=_MERGE))

    async def _apply(
        self, resource: Resource, item: KubeObject, *, force: bool, subresource: str | None = None
    ) -> KubeObject:
        target = f"{resource.plural}/{subresource}" if subresource else resource.plural
        params = _writing() | {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        path = _path_of(resource, item, subresource)
        return await self._transport.request(Call("apply", "PATCH", path, target, params, item, content_type=_APPLY))


def _writing() -> dict[str, str]:
    """Fields that the API server does not know are an error, never dropped in silence."""
    return {"fieldValidation": "Strict"}


def _selection(label_selector: str) -> dict[str, str]:
    return {"labelSelector": label_selector} if label_selector else {}


def _path_of(resource: Resource, item: KubeObject, subresource: str | None = None) -> str:
    metadata = item["metadata"]
    return resource.path(metadata.get("namespace"), metadata["name"], subresource)


def _typed(resource: Resource, item: KubeObject) -> KubeObject:
    """Items of a list come without their type, events of a watch with it; here both have it."""
    item.setdefault("apiVersion", resource.api_version)
    item.setdefault("kind", resource.kind)
    return item
