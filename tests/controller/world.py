"""A world in which decisions take effect at once: enough of a cluster to iterate the pure decider in virtual time."""

import copy
import itertools
from datetime import timedelta
from typing import Any

from conch.controller.decision import Decision, decide
from conch.controller.observation import Observation
from conch.controller.status import timestamp
from controller.builders import NOW, OWNER_UID, pod_of

Object = dict[str, Any]


class World:
    """One resource, its children, and the decisions taken so far.

    Pods of `broken_revisions` never become ready. With `pods_linger` a removed pod terminates until `let_go`.
    """

    def __init__(self, resource: Object) -> None:
        self.resource = resource
        self.children: dict[tuple[str, str], Object] = {}
        self.broken_revisions: set[str] = set()
        self.now = NOW
        self.pods_linger = False
        self._uids = itertools.count(1)

    def observation(self) -> Observation:
        kinds: dict[str, list[Object]] = {}
        for (kind, _), child in self.children.items():
            kinds.setdefault(kind, []).append(child)
        return Observation(self.resource, {kind: tuple(children) for kind, children in kinds.items()})

    def decide(self) -> Decision:
        return decide(self.observation(), (), self.now)

    def step(self) -> Decision:
        """Decide, carry out, and let the clock run to the moment that the decision asks for."""
        decision = self.decide()
        for manifest in decision.applies:
            self._apply(copy.deepcopy(manifest))
        for mark in decision.marks:
            labels = self.children["Pod", mark.name]["metadata"]["labels"]
            self.children["Pod", mark.name]["metadata"]["labels"] = {**labels, **mark.patch["metadata"]["labels"]}
            self.children["Pod", mark.name]["metadata"]["annotations"] = mark.patch["metadata"]["annotations"]
        for removal in decision.removals:
            self._remove(removal.kind, removal.name)
        self.resource["status"] = decision.status
        self._pods_start()
        self.now += timedelta(seconds=decision.look_again_seconds or 1)
        return decision

    def settle(self, most_steps: int = 50) -> Decision:
        """Steps until a decision writes nothing."""
        for _ in range(most_steps):
            decision = self.step()
            if not (decision.applies or decision.marks or decision.removals) and not self._drains():
                return decision
        raise AssertionError(f"not settled after {most_steps} steps: {decision}")

    def edit(self, spec: Object) -> None:
        self.resource["spec"] = spec
        self.resource["metadata"]["generation"] += 1

    def names(self, kind: str) -> list[str]:
        return sorted(name for found, name in self.children if found == kind)

    def let_go(self) -> None:
        """Terminating pods end."""
        self.children = {
            key: child for key, child in self.children.items() if "deletionTimestamp" not in child["metadata"]
        }

    def condition(self, kind: str) -> Object | None:
        conditions = self.resource.get("status", {}).get("conditions", ())
        return next((condition for condition in conditions if condition["type"] == kind), None)

    def _apply(self, manifest: Object) -> None:
        key = (manifest["kind"], manifest["metadata"]["name"])
        metadata = {
            "uid": f"uid-{next(self._uids)}",
            "ownerReferences": [{"uid": OWNER_UID, "controller": True, "kind": "LLMDeployment", "name": "m"}],
        }
        known = self.children.get(key, {"metadata": metadata})
        self.children[key] = {**manifest, "metadata": {**known["metadata"], **manifest["metadata"]}}

    def _remove(self, kind: str, name: str) -> None:
        child = self.children.pop((kind, name))
        if kind == "ReplicaSet":
            for key, pod in list(self.children.items()):
                if key[0] == "Pod" and pod["metadata"]["ownerReferences"][0]["uid"] == child["metadata"]["uid"]:
                    if self.pods_linger:
                        pod["metadata"]["deletionTimestamp"] = timestamp(self.now)
                    else:
                        del self.children[key]

    def _pods_start(self) -> None:
        for (kind, name), child in list(self.children.items()):
            if kind == "ReplicaSet" and ("Pod", f"{name}-abcde") not in self.children:
                broken = child["metadata"]["labels"]["conch.dev/revision"] in self.broken_revisions
                self.children["Pod", f"{name}-abcde"] = pod_of(child, ready=not broken)

    def _drains(self) -> bool:
        return any(
            kind == "Pod" and child["metadata"]["labels"]["conch.dev/serving"] != "true"
            for (kind, _), child in self.children.items()
        )
