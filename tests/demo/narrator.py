"""Tells what happens to resources, a line per change: revision, replicas, conditions with their reasons."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from cluster.cluster import Cluster

Object = dict[str, Any]


class Narrator:
    """Looks at all LLMDeployments of a namespace twice a second and prints what has changed since."""

    def __init__(self, cluster: Cluster, namespace: str, console: Console) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._console = console
        self._told: dict[tuple[str, str], str] = {}
        self._started = time.monotonic()
        self._ended = threading.Event()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tells while the context is open."""
        thread = threading.Thread(target=self._tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def heading(self, text: str) -> None:
        """What the next lines are about."""
        self._console.print(f"\n[bold]{text}[/bold]")

    def say(self, text: str) -> None:
        """A line of the story itself."""
        self._console.print(f"{self._clock()} {text}", markup=False, highlight=False)

    def _clock(self) -> str:
        return f"{time.monotonic() - self._started:6.1f} s"

    def _tell(self) -> None:
        while not self._ended.wait(0.5):
            seen = set()
            for resource in self._resources():
                seen.add(resource["metadata"]["name"])
                for topic, line in lines(resource):
                    self._tell_once(resource["metadata"]["name"], topic, line)
            for name in {name for name, _ in self._told} - seen:
                self._forget(name)

    def _resources(self) -> list[Object]:
        answer = self._cluster.kubectl("--namespace", self._namespace, "get", "llmdeployments", "--output", "json")
        found: list[Object] = json.loads(answer)["items"]
        return found

    def _tell_once(self, name: str, topic: str, line: str) -> None:
        if self._told.get((name, topic)) != line:
            self._told[name, topic] = line
            self.say(f"{name:10} {line}")

    def _forget(self, name: str) -> None:
        self._told = {key: line for key, line in self._told.items() if key[0] != name}
        self.say(f"{name:10} is gone")


def lines(resource: Object) -> Iterator[tuple[str, str]]:
    """What there is to tell of a resource, by topic."""
    status = resource.get("status", {})
    if plan := status.get("plan"):
        yield (
            "plan",
            f"plan: {plan['podsPerReplica']} pod(s) of {plan['gpusPerPod']} GPU(s) per replica "
            f"(tensor {plan['tensor']}, pipeline {plan['pipeline']}, data {plan['data']}), Triton {plan['release']}",
        )
    if revision := status.get("revision"):
        yield "revision", f"revision: {revision.get('updated')}"
    if engines := status.get("engines"):
        yield (
            "engines",
            f"engines: {engines['ready']} of {engines['desired']} serve, {engines['draining']} drain; "
            f"replicas: {status.get('readyReplicas', 0)} of {resource['spec']['replicas']}",
        )
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    for kind in ("Ready", "Reconciling", "Stalled", "CapacityAvailable"):
        if condition := conditions.get(kind):
            yield kind, f"{kind}={condition['status']} {condition['reason']}: {condition['message']}"
