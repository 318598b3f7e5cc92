"""One pod from its binding to its end: network, volumes, init containers, containers, and its deletion."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import aiohttp

from cluster.agent.api import Api, ApiError
from cluster.agent.container import Container, cancel
from cluster.agent.downward import PodFacts
from cluster.agent.environment import environment, expand
from cluster.agent.events import Events, Severity
from cluster.agent.faults import Faults, simulator_settings
from cluster.agent.grace import Grace
from cluster.agent.images import Image, Images
from cluster.agent.logs import ContainerLog
from cluster.agent.mounts import Mount, Mounts, mounts_of
from cluster.agent.node import GPU, Node, NoDevices
from cluster.agent.objects import Object, full_name, has_ended, is_deleted, uid
from cluster.agent.pod_network import Attachment, Bridge, NetworkError, Partition
from cluster.agent.references import MissingReference, References
from cluster.agent.runtime import Launch, RunningContainer, Runtime
from cluster.agent.states import initial_records
from cluster.agent.status import PodState, Refusal
from cluster.agent.status_writer import StatusWriter
from cluster.agent.volumes import Volumes

_RETRY_SECONDS: Final = 1.0
_LEAST_GRACE_SECONDS: Final = 1
_MESSAGE_PATH: Final = "/dev/termination-log"
# By restart policy: whether a container runs again after this exit code.
_RESTARTS: Final[Mapping[str, Callable[[int], bool]]] = {
    "Always": lambda code: True,
    "OnFailure": lambda code: code != 0,
    "Never": lambda code: False,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Machine:
    """What all pods of the agent share."""

    api: Api
    references: References
    events: Events
    images: Images
    runtimes: dict[str, Runtime]
    bridge: Bridge
    partition: Partition
    folder: Path
    backoff_seconds: float


class Pod:
    """A pod that is bound to one of our nodes. `over` is called with it when nothing of it is left."""

    def __init__(self, pod: Object, node: Node, machine: Machine, over: Callable[["Pod"], None]) -> None:
        self.pod = pod
        self.node = node
        self.faults = _faults(pod)
        self.folder = machine.folder / "pods" / uid(pod)
        self._machine = machine
        self._over = over
        self._attachment = Attachment()
        self._gpus: dict[str, str] = {}
        self._started = datetime.now(UTC)
        self._refusal: Refusal | None = None
        self._ended = False
        self._grace: Grace | None = None
        self._volumes = Volumes(self.folder / "volumes", machine.references, self._facts)
        self._writer = StatusWriter(machine.api, pod, self._state)
        self._writing: asyncio.Task[None] | None = None
        self._living: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.logs: dict[tuple[str, int], ContainerLog] = {}
        policy = self.spec.get("restartPolicy", "Always")
        # An init container has to succeed once, whatever a finished container means to the pod.
        init_policy = "Never" if policy == "Never" else "OnFailure"
        self.init = tuple(
            Container(record.spec, self, _RESTARTS[record.spec.get("restartPolicy", init_policy)], record)
            for record in initial_records(pod, "initContainers", "initContainerStatuses")
        )
        self.containers = tuple(
            Container(record.spec, self, _RESTARTS[policy], record)
            for record in initial_records(pod, "containers", "containerStatuses")
        )

    # What containers need (`container.Surroundings`).

    @property
    def spec(self) -> Object:
        spec: Object = self.pod["spec"]
        return spec

    @property
    def address(self) -> str:
        return self._attachment.address

    @property
    def backoff_seconds(self) -> float:
        return self._machine.backoff_seconds

    def image(self, name: str) -> Image | None:
        return self._machine.images.find(name)

    def new_log(self, container: str, run: int) -> ContainerLog:
        log = ContainerLog(self.folder / "logs" / container / f"{run}.log")
        self.logs[container, run] = log
        self.logs.pop((container, run - 2), None)
        return log

    def changed(self) -> None:
        self._writer.changed()

    def event(self, severity: Severity, reason: str, message: str) -> None:
        self._machine.events.record(self.pod, severity, reason, message)

    def termination_message(self, container: Object, run: int) -> str:
        try:
            return (self._run_folder(container, run) / "termination-log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    async def start(self, container: Object, image: Image, run: int, log: ContainerLog) -> RunningContainer:
        variables = {**image.environment, **(await environment(container, self._facts(), self._machine.references))}
        variables = {"HOSTNAME": self.spec.get("hostname") or self.pod["metadata"]["name"], **variables}
        if container["name"] in self._gpus:
            variables["NVIDIA_VISIBLE_DEVICES"] = self._gpus[container["name"]]
        folder = self._run_folder(container, run)
        folder.mkdir(parents=True, exist_ok=True)
        message = folder / "termination-log"
        message.touch()
        path = PurePosixPath(container.get("terminationMessagePath") or _MESSAGE_PATH)
        mounts = (*mounts_of(container, self._volumes.folders, variables), Mount(path, message, read_only=False))
        launch = Launch(
            pod=self.pod,
            container=container,
            command=tuple(expand(word, variables) for word in image.command_of(container)),
            environment=variables,
            address=self.address,
            network=self._attachment.namespace,
            mounts=Mounts(mounts, folder / "scratch"),
            log=log.write,
            settings={**image.settings, **simulator_settings(self.pod)},
            folder=folder,
        )
        return await self._machine.runtimes[image.runtime].start(launch)

    # What the agent tells it.

    def begin(self) -> None:
        """Starts it. One that was deleted before this agent knew it is only put away."""
        self._writing = asyncio.create_task(self._writer.run(), name=f"status of {full_name(self.pod)}")
        if is_deleted(self.pod):
            self.update(self.pod)
        elif has_ended(self.pod):
            self._ended = True
        else:
            self._living = asyncio.create_task(self._live(), name=f"pod {full_name(self.pod)}")
            self._living.add_done_callback(_report_failure)

    def update(self, pod: Object) -> None:
        """The object has changed; its end may have been asked for, or asked for sooner."""
        self.pod = pod
        self._writer.seen(pod)
        if is_deleted(pod):
            self._leave(pod["metadata"].get("deletionGracePeriodSeconds", 30))

    def removed(self, pod: Object) -> None:
        """The object is gone, by force or by us: what still runs ends now."""
        self.pod = pod
        self._leave(_LEAST_GRACE_SECONDS)

    async def freeze(self) -> None:
        """From now on it neither answers nor refuses; open connections hang."""
        await self._machine.partition.add(self.address)
        await self._attachment.set_link("down")

    async def thaw(self) -> None:
        """Takes `freeze` back."""
        await self._attachment.set_link("up")
        await self._machine.partition.remove(self.address)

    async def abandon(self) -> None:
        """Its node has died: everything ends at once, and nobody is told. What it held stays taken: `put_away`."""
        for task in (self._writing, self._living, self._leaving):
            await cancel(task)
        for container in (*self.init, *self.containers):
            container.crash()
            await cancel(container.task)

    async def put_away(self) -> None:
        """Gives back what it held on this machine, and takes away what it left."""
        await self._release()
        await self._machine.partition.remove(self.address)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def container(self, name: str) -> Container:
        """Raises KeyError."""
        return {one.record.name: one for one in (*self.containers, *self.init)}[name]

    # The course of its life.

    async def _live(self) -> None:
        try:
            self._take_gpus()
        except NoDevices as error:
            await self._refuse(Refusal("UnexpectedAdmissionError", str(error)))
            return
        self.changed()
        # In kubelet's order: a pod whose volumes cannot be had has no sandbox, and says so in its conditions.
        await self._mount()
        await self._connect()
        freshening = asyncio.create_task(self._volumes.keep_fresh(), name=f"volumes of {full_name(self.pod)}")
        freshening.add_done_callback(_report_failure)
        try:
            if await self._initialize():
                await asyncio.gather(*(container.begin() for container in self.containers))
        finally:
            freshening.cancel()
        # A pod that is leaving is told about by whoever takes it away.
        if self._grace is None:
            await self._stop_sidecars()
            await self._finish()

    async def _connect(self) -> None:
        """Gives it an address, and a network namespace if what it runs needs one."""
        images = [self.image(container["image"]) for container in self.spec["containers"]]
        if self.spec.get("hostNetwork"):
            self._attachment.share(self.node.spec.address)
        elif any(image and self._machine.runtimes[image.runtime].has_network for image in images):
            await self._join_bridge()
        else:
            self._attachment.take(self.node.addresses)
        self.changed()

    async def _join_bridge(self) -> None:
        while True:
            try:
                await self._attachment.join(self._machine.bridge)
                return
            except NetworkError as error:
                self.event("Warning", "FailedCreatePodSandBox", str(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _mount(self) -> None:
        while True:
            try:
                await self._volumes.prepare()
                return
            except MissingReference as missing:
                self.event("Warning", "FailedMount", str(missing))
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                _log.info("volumes of %s: %r", full_name(self.pod), error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _initialize(self) -> bool:
        """Runs init containers one after the other. False: one has failed for good, or the pod is leaving."""
        for container in self.init:
            done = container.begin()
            if container.record.is_sidecar:
                await container.has_started.wait()
                continue
            await done
            if self._grace or not container.record.succeeded:
                return False
        return True

    async def _stop_sidecars(self) -> None:
        for container in reversed(self.init):
            if container.record.is_sidecar:
                await container.stop(Grace(self.spec.get("terminationGracePeriodSeconds", 30)))

    async def _finish(self) -> None:
        """Nothing will run again: what it held is free, what it wrote can be read until it is deleted."""
        self._ended = True
        await self._release()
        await self._writer.write()

    async def _refuse(self, refusal: Refusal) -> None:
        self._refusal, self._ended = refusal, True
        self.event("Warning", refusal.reason, refusal.message)
        await self._writer.write()

    def _leave(self, grace_seconds: float) -> None:
        if self._grace is None:
            self._grace = Grace(grace_seconds)
            self._leaving = asyncio.create_task(self._stop(self._grace), name=f"end of {full_name(self.pod)}")
            self._leaving.add_done_callback(_report_failure)
        else:
            self._grace.shorten(grace_seconds)

    async def _stop(self, grace: Grace) -> None:
        await self._stop_containers(grace)
        await cancel(self._living)
        await self._release()
        self._ended = True
        # What this agent never ran it has nothing to say about.
        if self._living is None or await self._writer.write():
            await self._delete()
        await cancel(self._writing)
        await self.put_away()
        self._over(self)

    async def _stop_containers(self, grace: Grace) -> None:
        """Containers together, then sidecars, the last to start first."""
        for container in self.containers:
            if container.task and not container.task.done():
                self.event("Normal", "Killing", f"Stopping container {container.record.name}")
        await asyncio.gather(*(container.stop(grace) for container in self.containers))
        for container in reversed(self.init):
            await container.stop(grace)
        grace.cancel()

    async def _delete(self) -> None:
        metadata = self.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid(self.pod)}}
        while True:
            try:
                await self._machine.api.delete(path, options)
                return
            except ApiError as error:
                if error.code in (404, 409):
                    return
                _log.warning("deletion of %s: %s", full_name(self.pod), error)
            except (aiohttp.ClientError, TimeoutError) as error:
                _log.info("deletion of %s: %r", full_name(self.pod), error)
            await asyncio.sleep(_RETRY_SECONDS)

    def _take_gpus(self) -> None:
        """GPUs by number for each container, as a device plugin hands them out; init containers use the same ones."""
        wanted = {name: count for name, count in map(_gpus, self.spec["containers"]) if count}
        free = iter(self.node.take_gpus(uid(self.pod), sum(wanted.values())))
        self._gpus = {name: ",".join(str(next(free)) for _ in range(count)) for name, count in wanted.items()}

    async def _release(self) -> None:
        """Gives GPUs, address and network back; the status goes on naming the address."""
        self.node.give_gpus_back(uid(self.pod))
        await self._attachment.release()

    def _run_folder(self, container: Object, run: int) -> Path:
        return self.folder / "containers" / str(container["name"]) / str(run)

    def _facts(self) -> PodFacts:
        return PodFacts(self.pod, self.address, self.node.spec.address, self.node.spec.capacity)

    def _state(self) -> PodState:
        return PodState(
            pod=self.pod,
            host_address=self.node.spec.address,
            started=self._started,
            address=self.address,
            init=tuple(container.record for container in self.init),
            containers=tuple(container.record for container in self.containers),
            over=self._ended,
            refusal=self._refusal,
        )


def _gpus(container: Object) -> tuple[str, int]:
    limits = (container.get("resources") or {}).get("limits") or {}
    return container["name"], int(limits.get(GPU, 0))


def _faults(pod: Object) -> Faults:
    try:
        return Faults.of(pod)
    except ValueError as error:
        _log.error("pod %s: %s", full_name(pod), error)
        return Faults()


def _report_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("%s failed", task.get_name(), exc_info=error)
