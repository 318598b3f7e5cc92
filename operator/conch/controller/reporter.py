"""Tells users what was decided: the status, written only when it differs, and events, told only on transitions."""

from typing import Any, Final

from conch.api.conditions import ConditionType
from conch.api.conditions import Status as Truth
from conch.api.deployment import API_VERSION, KIND
from conch.controller.caches import LLM_DEPLOYMENT, Caches
from conch.controller.observation import Observation
from conch.controller.status import Status
from conch.kube.client import Client
from conch.kube.errors import ConflictError, NotFoundError
from conch.kube.recorder import Happening, Recorder
from conch.manifests.coverage import covers

_TOLD: Final = (ConditionType.READY, ConditionType.STALLED, ConditionType.CAPACITY_AVAILABLE)


class Reporter:
    """Writes status and events of resources."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder

    async def report(self, observation: Observation, status: Status) -> None:
        """Writes the status if it differs from the observed one, then tells what has changed."""
        before = observation.resource.get("status", {})
        if _is_reported(before, status):
            return
        identity = observation.identity
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": identity.name, "namespace": identity.namespace, "uid": identity.uid},
            "status": status,
        }
        try:
            answer = await self._client.apply_status(LLM_DEPLOYMENT, document)
        except (NotFoundError, ConflictError):  # deleted meanwhile: there is nobody to tell
            return
        self._caches.resources.observe(answer)
        for happening in transitions(before, status):
            self._recorder.tell(document, happening)


def transitions(before: Status, after: Status) -> list[Happening]:
    """What an event tells: conditions whose status or reason changed."""
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    return [
        Happening(_severity(condition), condition["reason"], "Reconcile", condition["message"])
        for condition in after["conditions"]
        if condition["type"] in _TOLD and _is_news(old.get(condition["type"]), condition)
    ]


def _is_reported(before: Status, after: Status) -> bool:
    types = [[condition["type"] for condition in status.get("conditions", ())] for status in (before, after)]
    return types[0] == types[1] and covers(before, after) and before.keys() == after.keys()


def _is_news(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    if old is None:
        worth_telling = Truth.FALSE if new["type"] == ConditionType.CAPACITY_AVAILABLE else Truth.TRUE
        return bool(new["status"] == worth_telling)
    return bool((old["status"], old["reason"]) != (new["status"], new["reason"]))


def _severity(condition: dict[str, Any]) -> Any:
    bad = Truth.TRUE if condition["type"] == ConditionType.STALLED else Truth.FALSE
    return "Warning" if condition["status"] == bad and condition["type"] != ConditionType.READY else "Normal"
