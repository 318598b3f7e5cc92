"""The agent: nodes that it keeps alive, and the pods that the scheduler has bound to them."""

import asyncio
import logging
from collections.abc import Iterable

from cluster.agent.claims import Claims
from cluster.agent.container import cancel
from cluster.agent.heartbeat import Heartbeat
from cluster.agent.node import Node, NodeSpec
from cluster.agent.objects import Object, has_ended, is_deleted, uid
from cluster.agent.pod import Machine, Pod
from cluster.agent.server import KubeletServer
from cluster.agent.watch import Change, Follower

_log = logging.getLogger(__name__)


class Agent:
    """Runs all nodes in one event loop."""

    def __init__(self, specs: Iterable[NodeSpec], machine: Machine) -> None:
        self._machine = machine
        self._nodes = {spec.name: Node(spec) for spec in specs}
        self._heartbeats: dict[str, asyncio.Task[None]] = {}
        self._objects: dict[str, Object] = {}
        self._pods: dict[str, Pod] = {}
        self._lost: dict[str, list[Pod]] = {}
        self._server = KubeletServer(self.find)

    async def run(self) -> None:
        """For ever."""
        machine = self._machine
        await self._server.start((node.spec for node in self._nodes.values()), machine.folder)
        bound = Follower(machine.api, "/api/v1/pods", self._pod_changed, {"fieldSelector": "spec.nodeName!="})
        async with asyncio.TaskGroup() as group:
            for name in self._nodes:
                self._begin_heartbeat(name)
            group.create_task(machine.references.run())
            group.create_task(machine.events.run())
            group.create_task(Claims(machine.api, machine.folder / "claims").run())
            group.create_task(bound.run())

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name that is on a living node."""
        for pod in self._pods.values():
            metadata = pod.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return pod
        return None

    def pods(self) -> list[Pod]:
        """All pods on living nodes."""
        return list(self._pods.values())

    async def lose(self, name: str) -> None:
        """The node dies: no heartbeats, and its pods neither answer nor refuse. Raises KeyError."""
        node = self._nodes[name]
        if name in self._lost:
            return
        await cancel(self._heartbeats.pop(name))
        lost = self._lost[name] = [pod for pod in self._pods.values() if pod.node is node]
        # First the silence, then the end of the processes, whose sockets would otherwise say goodbye.
        for pod in lost:
            if pod.address:
                await pod.freeze()
        for pod in lost:
            del self._pods[uid(pod.pod)]
            await pod.abandon()

    async def bring_back(self, name: str) -> None:
        """The node starts again, with the pods that are still its own. Raises KeyError."""
        if name in self._heartbeats:
            return
        for pod in self._lost.pop(name):
            await pod.put_away()
        node = self._nodes[name] = Node(self._nodes[name].spec)
        self._begin_heartbeat(name)
        for item in list(self._objects.values()):
            if item["spec"]["nodeName"] == name:
                self._begin(item, node)

    def _begin_heartbeat(self, name: str) -> None:
        task = asyncio.create_task(Heartbeat(self._machine.api, self._nodes[name].spec).run(), name=f"node {name}")
        self._heartbeats[name] = task

    def _pod_changed(self, change: Change, item: Object) -> None:
        node = self._nodes.get(item["spec"]["nodeName"])
        if node is None:
            return
        pod = self._pods.get(uid(item))
        if change == "DELETED":
            self._objects.pop(uid(item), None)
            if pod:
                pod.removed(item)
            return
        self._objects[uid(item)] = item
        if pod:
            pod.update(item)
        elif node.name in self._heartbeats:
            self._begin(item, node)

    def _begin(self, item: Object, node: Node) -> None:
        # One that has ended holds nothing; it is ours only when somebody waits for its deletion.
        if has_ended(item) and not is_deleted(item):
            return
        pod = self._pods[uid(item)] = Pod(item, node, self._machine, self._forget)
        pod.begin()

    def _forget(self, pod: Pod) -> None:
        if self._pods.get(uid(pod.pod)) is pod:
            del self._pods[uid(pod.pod)]
