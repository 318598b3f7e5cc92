"""Tells users what was decided: the status, written only when it differs, and events, told only on transitions."""

from typing import Any, Final

from conch.api.conditions import ConditionType
from conch.api.conditions import Status as Truth
from conch.api.deployment import API_VERSION, KIND
from conch.controller.caches import LLM_DEPLOYMENT, Caches
from conch.controller.observation import Observation
from conch.controller.status import Status
from conch.kube.client import Client
from conch.kube.errors import NotFoundError
from conch.kube.recorder import Happening, Recorder
from conch.kube.resources import KubeObject

_TOLD: Final = (ConditionType.READY, ConditionType.STALLED, ConditionType.CAPACITY_AVAILABLE)


class Reporter:
    """Writes status and events of resources."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder

    async def report(self, observation: Observation, status: Status) -> None:
        """Writes the status if it differs from the observed one, then tells what has changed.

        Raises ConflictError when the resource is no longer as observed, so that no successor of the same name gets it.
        """
        before = observation.resource.get("status", {})
        if _is_reported(before, status):
            return
        try:
            answer = await self._write(observation, status)
        except NotFoundError:  # deleted meanwhile: there is nobody to tell
            return
        self._caches.resources.observe(answer)
        for happening in transitions(before, status):
            self._recorder.tell(answer, happening)

    async def _write(self, observation: Observation, status: Status) -> KubeObject:
        identity, version = observation.identity, observation.resource["metadata"]["resourceVersion"]
        # A UID guards no status: the API server takes metadata from the live object before it compares.
        metadata = {"name": identity.name, "namespace": identity.namespace, "resourceVersion": version}
        document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
        answer = await self._client.apply_status(LLM_DEPLOYMENT, document)
        if _is_reported(answer["status"], status):
            return answer
        # Others wrote fields that we do not state, and an apply leaves those to them.
        metadata = {"resourceVersion": answer["metadata"]["resourceVersion"]}
        patch = {"metadata": metadata, "status": replacement(answer["status"], status)}
        return await self._client.merge_patch_status(LLM_DEPLOYMENT, identity.namespace, identity.name, patch)


def transitions(before: Status, after: Status) -> list[Happening]:
    """What an event tells: conditions whose status or reason changed."""
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [
        Happening(_severity(condition), condition["reason"], "Reconcile", condition["message"])
        for condition in after["conditions"]
        if condition["type"] in _TOLD and _is_news(old.get(condition["type"]), condition)
    ]


def replacement(before: Status, after: Status) -> Status:
    """The JSON merge patch (RFC 7386) that leaves of `before` exactly `after`."""
    gone = dict.fromkeys(before.keys() - after.keys())
    return gone | {
        key: replacement(before[key], value) if isinstance(value, dict) and isinstance(before.get(key), dict) else value
        for key, value in after.items()
    }


def _is_reported(before: Status, after: Status) -> bool:
    return _by_type(before) == _by_type(after)


def _by_type(status: Status) -> Status:
    """The API server keeps conditions as a map, whose order says nothing."""
    return {**status, "conditions": {condition["type"]: condition for condition in status.get("conditions", ())}}


def _is_news(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    if old is None:
        worth_telling = Truth.FALSE if new["type"] == ConditionType.CAPACITY_AVAILABLE else Truth.TRUE
        return bool(new["status"] == worth_telling)
    return bool((old["status"], old["reason"]) != (new["status"], new["reason"]))


def _severity(condition: dict[str, Any]) -> Any:
    bad = Truth.TRUE if condition["type"] == ConditionType.STALLED else Truth.FALSE
    return "Warning" if condition["status"] == bad and condition["type"] != ConditionType.READY else "Normal"
