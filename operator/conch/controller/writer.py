"""Carries out a decision: writes children by server-side apply, marks pods, removes what is superfluous.

It decides nothing but whose an object is: a name that is taken by somebody else's object is left alone and reported.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, TypeVar

from conch.api.deployment import KIND
from conch.controller.caches import CHILDREN, LLM_DEPLOYMENT, Caches
from conch.controller.children import Removal
from conch.controller.decision import Decision, PodMark
from conch.controller.observation import Observation, controller_uid
from conch.kube.client import Client
from conch.kube.errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError, ServerError
from conch.kube.resources import CONFIG_MAP, CONTROLLER_REVISION, POD, KubeObject, Resource
from conch.manifests.identity import Manifest
from conch.rollout.fleet import Observed

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SLOT_KIND: Final = "ReplicaSet"


class ResourceGoneError(Exception):
    """The resource that a cache still shows is deleted, replaced, or goes with its namespace: nothing is created."""


class _NameTakenError(Exception):
    """A child's name belongs to somebody else; the message says to whom and what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision: whether anything was tried, and what stood in the way, in words.

    `conflicts` are names that objects of others hold, `refusals` children that the API server does not allow.
    """

    wrote: bool
    conflicts: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def is_blocked(self) -> bool:
        """Whether anything stood in the way."""
        return bool(self.conflicts or self.refusals)


class Writer:
    """Writes children; every answer goes into the caches, so that the next observation shows it."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches

    async def carry_out(self, observation: Observation, decision: Decision) -> Outcome:
        """Applies, marks and removes. Raises ResourceGoneError, or KubeError for what is worth another try.

        Slots come after what they need. While that cannot be had none is made and, what would replace it being in
        doubt, none is taken away.
        """
        if decision.applies and not any(observation.children.values()):
            await self._make_sure_it_exists(observation)
        slots = [manifest for manifest in decision.applies if manifest["kind"] == _SLOT_KIND]
        base = [manifest for manifest in decision.applies if manifest["kind"] != _SLOT_KIND]
        outcome = await self._apply_all(observation, base)
        if not outcome.is_blocked:
            outcome = await self._apply_all(observation, slots)
            await _settle(self._recover(manifest) for manifest in decision.recoveries)
            await _settle(self._mark(observation, mark) for mark in decision.marks)
            await _settle(self._remove(observation, removal) for removal in decision.removals)
        tried = decision.applies or decision.recoveries or decision.marks or decision.removals
        return replace(outcome, wrote=bool(tried))

    async def _make_sure_it_exists(self, observation: Observation) -> None:
        identity = observation.identity
        try:
            live = await self._client.get(LLM_DEPLOYMENT, identity.namespace, identity.name)
        except NotFoundError:
            self._caches.resources.observe_deleted(identity.uid)
            raise ResourceGoneError from None
        if live["metadata"]["uid"] != identity.uid or "deletionTimestamp" in live["metadata"]:
            self._caches.resources.observe(live)
            raise ResourceGoneError

    async def _apply_all(self, observation: Observation, manifests: Sequence[Manifest]) -> Outcome:
        """Applies side by side."""
        outcomes = await _settle(self._apply(observation, manifest) for manifest in manifests)
        return Outcome(
            bool(manifests),
            tuple(conflict for outcome in outcomes for conflict in outcome.conflicts),
            tuple(refusal for outcome in outcomes for refusal in outcome.refusals),
        )

    async def _apply(self, observation: Observation, manifest: Manifest) -> Outcome:
        observed = observation.child(manifest)
        try:
            if observed is None:
                observed, answer = await self._create(observation, manifest)
            else:
                answer = await self._take_back(observed, manifest)
        except _NameTakenError as taken:
            logger.warning("%s/%s: %s", observation.identity.namespace, observation.identity.name, taken)
            return Outcome(wrote=False, conflicts=(str(taken),))
        except (ForbiddenError, InvalidError, NotFoundError, ServerError) as refusal:
            if _goes_with_its_namespace(refusal):
                raise ResourceGoneError from refusal
            words = f"the API server refuses {manifest['kind']} {manifest['metadata']['name']}: {refusal.message}"
            logger.warning("%s/%s: %s", observation.identity.namespace, observation.identity.name, words)
            return Outcome(wrote=False, refusals=(words,))
        self._caches.informers[answer["kind"]].observe(answer)
        _log_change(observed, answer)
        return Outcome(wrote=True)

    async def _create(self, observation: Observation, manifest: Manifest) -> tuple[Observed | None, KubeObject]:
        """The new child; or the one that is ours although the cache, which selects by label, does not show it.

        Returns what was there before and the answer.
        """
        resource, metadata = CHILDREN[manifest["kind"]], manifest["metadata"]
        try:
            return None, await self._client.apply_new(resource, manifest)
        except ConflictError as taken:
            try:
                holder = await self._client.get(resource, metadata["namespace"], metadata["name"])
            except NotFoundError:
                raise taken from None
        if controller_uid(holder) != observation.identity.uid:
            _refuse(holder, observation)
        return holder, await self._take_back(holder, manifest)

    async def _take_back(self, observed: Observed, manifest: Manifest) -> KubeObject:
        resource, uid = CHILDREN[manifest["kind"]], observed["metadata"]["uid"]
        try:
            pinned = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
            return await self._client.apply_owned(resource, pinned)
        except InvalidError:
            if not _has_immutable_data(resource):
                raise
            # Somebody replaced it, and its data cannot be changed any more: make it anew.
            metadata = manifest["metadata"]
            with suppress(NotFoundError):
                await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=uid)
            return await self._client.apply_new(resource, manifest)

    async def _recover(self, manifest: Manifest) -> None:
        resource = CHILDREN[manifest["kind"]]
        try:
            answer = await self._client.apply_owned(resource, manifest)
        except (NotFoundError, ConflictError):  # it is gone: the garbage collector takes its pod
            return
        self._caches.informers[resource.kind].observe(answer)
        _log_change(None, answer)

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


def _refuse(holder: KubeObject, observation: Observation) -> NoReturn:
    """Raises what the holder of a child's name, which is not ours, means for us."""
    kind, name = holder["kind"], holder["metadata"]["name"]
    owner = next((owner for owner in holder["metadata"].get("ownerReferences", ()) if owner.get("controller")), None)
    if owner is not None and owner["kind"] == KIND and owner["name"] == observation.identity.name:
        # A deleted resource of the same name: the garbage collector is on its way.
        raise ConflictError(409, {"message": f"{kind} {name} of a deleted namesake still exists"})
    owned_by = f"{owner['kind']} {owner['name']}" if owner else "nobody that Conch knows"
    raise _NameTakenError(
        f"{kind} {name} exists and belongs to {owned_by}: rename the LLMDeployment, "
        f"or delete it with 'kubectl delete {kind.lower()} -n {observation.identity.namespace} {name}'"
    )


def _goes_with_its_namespace(refusal: ApiError) -> bool:
    """Whether nothing can be created because the namespace is being deleted, or is gone already."""
    causes = refusal.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes) or (
        isinstance(refusal, NotFoundError) and refusal.details.get("kind") == "namespaces"
    )


def _log_change(before: Observed | None, after: KubeObject) -> None:
    if before is None or _said(before) != _said(after):
        metadata, done = after["metadata"], "Created" if before is None else "Updated"
        logger.info("%s %s %s/%s", done, after["kind"], metadata["namespace"], metadata["name"])


def _said(item: Observed) -> dict[str, Any]:
    """What writers say of an object, without the status and the API server's book-keeping."""
    counted = {"managedFields", "resourceVersion", "generation"}
    metadata = {name: value for name, value in item["metadata"].items() if name not in counted}
    return {**item, "metadata": metadata, "status": None}


async def _settle(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, once all have ended: no write may outlive the reconcile that began it, even if one fails."""
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise failures[0]
    return [result for result in results if not isinstance(result, BaseException)]
