"""Carries out a decision: writes children by server-side apply, marks pods, removes what is superfluous.

It decides nothing but whose an object is: a name that is taken by somebody else's object is left alone and reported.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from conch.api.deployment import KIND
from conch.controller.caches import CHILDREN, LLM_DEPLOYMENT, Caches
from conch.controller.decision import Decision, PodMark, Removal
from conch.controller.observation import Observation, controller_uid
from conch.kube.client import Client
from conch.kube.errors import ConflictError, InvalidError, NotFoundError
from conch.kube.resources import CONFIG_MAP, CONTROLLER_REVISION, POD, KubeObject, Resource
from conch.manifests.identity import Manifest

logger = logging.getLogger(__name__)

_SLOT_KIND: Final = "ReplicaSet"


class ResourceGoneError(Exception):
    """The resource that a cache still shows is deleted or replaced: nothing may be created for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision: whether anything was written, and whose objects stood in the way, in words."""

    wrote: bool
    conflicts: tuple[str, ...]


class Writer:
    """Writes children; every answer goes into the caches, so that the next observation shows it."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches

    async def carry_out(self, observation: Observation, decision: Decision) -> Outcome:
        """Applies, marks and removes. Raises ResourceGoneError, or KubeError for what is worth another try."""
        if decision.applies and not any(observation.children.values()):
            await self._make_sure_it_exists(observation)
        slots = [manifest for manifest in decision.applies if manifest["kind"] == _SLOT_KIND]
        base = [manifest for manifest in decision.applies if manifest["kind"] != _SLOT_KIND]
        conflicts = [*await self._apply_all(observation, base), *await self._apply_all(observation, slots)]
        await asyncio.gather(*(self._mark(observation, mark) for mark in decision.marks))
        await asyncio.gather(*(self._remove(observation, removal) for removal in decision.removals))
        return Outcome(bool(decision.applies or decision.marks or decision.removals), tuple(conflicts))

    async def _make_sure_it_exists(self, observation: Observation) -> None:
        identity = observation.identity
        try:
            live = await self._client.get(LLM_DEPLOYMENT, identity.namespace, identity.name)
        except NotFoundError:
            raise ResourceGoneError from None
        if live["metadata"]["uid"] != identity.uid or "deletionTimestamp" in live["metadata"]:
            raise ResourceGoneError

    async def _apply_all(self, observation: Observation, manifests: list[Manifest]) -> list[str]:
        conflicts = await asyncio.gather(*(self._apply(observation, manifest) for manifest in manifests))
        return [conflict for conflict in conflicts if conflict is not None]

    async def _apply(self, observation: Observation, manifest: Manifest) -> str | None:
        resource = CHILDREN[manifest["kind"]]
        observed = observation.child(manifest) or await self._unlabelled(manifest)
        if observed is None:
            answer = await self._client.apply(resource, manifest)
        elif controller_uid(observed) != observation.identity.uid:
            return _conflict(observed, observation)
        else:
            answer = await self._take_back(observed, manifest)
        self._caches.informers[resource.kind].observe(answer)
        logger.info("Applied %s %s", resource.kind, _place(manifest))
        return None

    async def _unlabelled(self, manifest: Manifest) -> KubeObject | None:
        """The object that holds the name although the cache, which selects by label, does not show it."""
        metadata = manifest["metadata"]
        try:
            return await self._client.get(CHILDREN[manifest["kind"]], metadata["namespace"], metadata["name"])
        except NotFoundError:
            return None

    async def _take_back(self, observed: Any, manifest: Manifest) -> KubeObject:
        resource, uid = CHILDREN[manifest["kind"]], observed["metadata"]["uid"]
        try:
            pinned = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
            return await self._client.apply_owned(resource, pinned)
        except InvalidError:
            if not _has_immutable_data(resource):
                raise
            # Somebody replaced it, and its data cannot be changed any more: make it anew.
            metadata = manifest["metadata"]
            await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=uid)
            return await self._client.apply(resource, manifest)

    async def _mark(self, observation: Observation, mark: PodMark) -> None:
        patch = {**mark.patch, "metadata": {**mark.patch["metadata"], "uid": mark.uid}}
        try:
            answer = await self._client.merge_patch(POD, observation.identity.namespace, mark.name, patch)
        except (NotFoundError, ConflictError):  # it is gone: there is nothing left to mark
            return
        self._caches.informers[POD.kind].observe(answer)
        logger.info("Marked pod %s/%s: %s", observation.identity.namespace, mark.name, mark.patch["metadata"]["labels"])

    async def _remove(self, observation: Observation, removal: Removal) -> None:
        resource, namespace = CHILDREN[removal.kind], observation.identity.namespace
        informer = self._caches.informers[removal.kind]
        try:
            answer = await self._client.delete(resource, namespace, removal.name, uid=removal.uid)
        except (NotFoundError, ConflictError):  # it is gone, or its name belongs to another object now
            informer.observe_deleted(removal.uid)
            return
        if answer is None:
            informer.observe_deleted(removal.uid)
        else:
            informer.observe(answer)
        logger.info("Removed %s %s/%s", removal.kind, namespace, removal.name)


def _has_immutable_data(resource: Resource) -> bool:
    return resource in (CONFIG_MAP, CONTROLLER_REVISION)


def _conflict(observed: Any, observation: Observation) -> str:
    metadata = observed["metadata"]
    owner = next((owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")), None)
    if owner is not None and owner["kind"] == KIND and owner["name"] == observation.identity.name:
        # A deleted resource of the same name: the garbage collector is on its way.
        raise ConflictError(
            409, {"message": f"{observed['kind']} {metadata['name']} of a deleted namesake still exists"}
        )
    holder = f"{owner['kind']} {owner['name']}" if owner else "nobody that Conch knows"
    return (
        f"{observed['kind']} {metadata['name']} exists and belongs to {holder}: rename the LLMDeployment, "
        f"or delete it with 'kubectl delete {observed['kind'].lower()} -n {metadata['namespace']} {metadata['name']}'"
    )


def _place(manifest: Manifest) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
