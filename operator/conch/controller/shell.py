"""Kopf as the shell: process life, login and the watch of the resources. It writes nothing and reconciles nothing.

Kopf's own change handlers would annotate users' objects and handle every event by itself; a raw event handler that
feeds the cache has neither cost.
"""

import logging
from typing import Any

import kopf

from conch.api.deployment import GROUP, PLURAL, VERSION
from conch.kube.credentials import Login
from conch.kube.store import Store


class _NoDiffBase(kopf.DiffBaseStorage):
    """There are no change handlers, so there is nothing to compare with: saves Kopf five copies per event."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Likewise: no handler has progress to keep."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def shell(login: Login, resources: Store) -> kopf.OperatorRegistry:
    """The handlers: a login over the connections of the operator, and the watch that feeds `resources`."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def share_session(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(
            server=login.server, aiohttp_session=login.new_session(), default_namespace=login.default_namespace
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def observe(event: Any, **_: Any) -> None:
        resources.event_arrived(dict(event["object"]), deleted=event["type"] == "DELETED")

    return registry


def settings() -> kopf.OperatorSettings:
    """Least rights and least work: no scanning of CRDs and namespaces, no peering, no posting, nothing persisted."""
    configured = kopf.OperatorSettings()
    configured.scanning.disabled = True
    configured.peering.standalone = True
    configured.posting.enabled = False
    configured.watching.chunk_size = 500
    configured.persistence.diffbase_storage = _NoDiffBase()
    configured.persistence.progress_storage = _NoProgress()
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line per event says nothing
    return configured
