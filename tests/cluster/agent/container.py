"""One container of a pod through all its runs: image, start, probes, end, back-off, and the next run."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

import aiohttp

from cluster.agent import handlers
from cluster.agent.api import ApiError
from cluster.agent.backoff import Backoff
from cluster.agent.events import Severity
from cluster.agent.faults import Faults
from cluster.agent.grace import Grace
from cluster.agent.handlers import HandlerFailed, Target
from cluster.agent.images import Image
from cluster.agent.logs import ContainerLog
from cluster.agent.objects import Object
from cluster.agent.probes import Probes
from cluster.agent.references import MissingReference
from cluster.agent.runtime import RunningContainer, StartError
from cluster.agent.states import ContainerRecord, Running, Terminated, Waiting

_START_FAILED: Final = 128
_KILLED: Final = 137
_CRASH_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 1.0
# However little grace is left, a kubelet leaves this much between SIGTERM and SIGKILL.
_LEAST_GRACE_SECONDS: Final = 2.0
_MESSAGE_BYTES: Final = 4096
_log = logging.getLogger(__name__)


class Surroundings(Protocol):
    """The pod as its containers need it."""

    @property
    def spec(self) -> Object:
        """The pod's spec."""

    @property
    def address(self) -> str:
        """The pod's address."""

    @property
    def faults(self) -> Faults:
        """What is wrong with it on purpose."""

    @property
    def backoff_seconds(self) -> float:
        """The first wait of a back-off."""

    def image(self, name: str) -> Image | None:
        """None: cannot be pulled."""

    async def start(self, container: Object, image: Image, run: int, log: ContainerLog) -> RunningContainer:
        """Raises `StartError` and `MissingReference`."""

    def new_log(self, container: str, run: int) -> ContainerLog:
        """The log of one run."""

    def termination_message(self, container: Object, run: int) -> str:
        """What the run wrote to its termination message file."""

    def changed(self) -> None:
        """A record has changed."""

    def event(self, severity: Severity, reason: str, message: str) -> None:
        """Something that people should read."""


class Container:
    """Runs until it has ended for good or is stopped. `record` is what is known of it."""

    def __init__(
        self, spec: Object, pod: Surroundings, restarts: Callable[[int], bool], record: ContainerRecord
    ) -> None:
        self.record = record
        self._spec = spec
        self._pod = pod
        self._restarts = restarts
        self._crashes = Backoff(pod.backoff_seconds)
        self._pulls = Backoff(pod.backoff_seconds)
        self._running: RunningContainer | None = None
        self._probes: Probes | None = None
        self._log: ContainerLog | None = None
        self._killing: asyncio.Task[None] | None = None
        self._stopping = False
        self._killed_for_memory = False
        self.has_started = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Starts running it in the background."""
        self.task = asyncio.create_task(self._run(), name=f"container {self._spec['name']}")
        return self.task

    async def stop(self, grace: Grace) -> None:
        """Ends it: preStop, SIGTERM, and SIGKILL when the grace is over. It does not run again."""
        self._stopping = True
        if self.task is None:
            return
        if self._running is None:
            self.task.cancel()
        else:
            await self._end(self._running, grace)
        await asyncio.wait({self.task})

    def crash(self) -> None:
        """Ends this run at once, as if the program had died."""
        if self._running:
            self._running.kill()

    def run_out_of_memory(self) -> None:
        """Ends this run as the kernel does when the memory limit is hit."""
        self._killed_for_memory = self._running is not None
        self.crash()

    def recheck(self) -> None:
        """Readiness may have changed by a fault."""
        if self._probes:
            self._probes.recheck.set()

    # Probes call these.

    def started(self) -> None:
        self._set(started=True)
        self.has_started.set()

    def ready(self, is_ready: bool) -> None:
        if is_ready != self.record.ready:
            self._set(ready=is_ready)

    def failed(self, kind: str, message: str) -> None:
        self._pod.event("Warning", "Unhealthy", f"{kind} probe failed: {message}")

    def unhealthy(self, kind: str, message: str, grace_seconds: int | None) -> None:
        self._pod.event("Normal", "Killing", f"Container {self._spec['name']} failed {kind} probe, will be restarted")
        if grace_seconds is None:
            grace_seconds = self._pod.spec.get("terminationGracePeriodSeconds", 30)
        if self._running and not self._stopping:
            self._killing = asyncio.create_task(self._end(self._running, Grace(grace_seconds)))

    # The course of things.

    async def _run(self) -> None:
        while True:
            await self._run_once()
            assert isinstance(self.record.state, Terminated)
            if self._stopping or not self._restarts(self.record.state.exit_code):
                return
            await self._back_off(self.record.state)

    async def _run_once(self) -> None:
        image = await self._pull()
        await asyncio.sleep(self._pod.faults.start_seconds if self._spec in self._pod.spec["containers"] else 0)
        # The count is that of finished runs of this container.
        run = self.record.restarts + 1 if self.record.container_id else 0
        log = self._log = self._pod.new_log(self._spec["name"], run)
        since = datetime.now(UTC)
        try:
            running = await self._start(image, run, log)
        except StartError as error:
            self._record_start(image, run)
            self._record_end(_START_FAILED, "StartError", str(error), since)
            self._pod.event("Warning", "Failed", f"Error: {error}")
            log.close()
            return
        except BaseException:
            log.close()
            raise
        self._record_start(image, run)
        self._set(state=Running(since))
        code = await self._accompany(running)
        log.close()
        self._killed_for_memory, out_of_memory = False, self._killed_for_memory
        reason = "OOMKilled" if out_of_memory else "Completed" if code == 0 else "Error"
        self._record_end(code, reason, self._last_words(run, log, code), since)

    async def _pull(self) -> Image:
        """Tries until the image is there."""
        name = self._spec["image"]
        while True:
            image = None if self._pod.faults.pulls_fail else self._pod.image(name)
            if image is not None:
                return image
            failure = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": not found'
            self._set(state=Waiting("ErrImagePull", failure))
            self._pod.event("Warning", "Failed", f'Failed to pull image "{name}": {failure}')
            await asyncio.sleep(min(_RETRY_SECONDS, self._pod.backoff_seconds))
            self._set(state=Waiting("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {failure}'))
            self._pod.event("Normal", "BackOff", f'Back-off pulling image "{name}"')
            await asyncio.sleep(self._pulls.failed(asyncio.get_running_loop().time()))

    async def _start(self, image: Image, run: int, log: ContainerLog) -> RunningContainer:
        """Waits for what the environment refers to."""
        while True:
            try:
                return await self._pod.start(self._spec, image, run, log)
            except MissingReference as missing:
                self._set(state=Waiting("CreateContainerConfigError", str(missing)))
                self._pod.event("Warning", "Failed", f"Error: {missing}")
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                self._set(state=Waiting("CreateContainerConfigError", str(error)))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _accompany(self, running: RunningContainer) -> int:
        """Runs probes beside the container until it ends; returns its exit code."""
        self._running = running
        target = Target(self._spec, self._pod.address, running)
        self._probes = Probes(target, self, lambda: self._pod.faults.unready)
        probing = asyncio.create_task(self._probes.run(), name=f"probes of {self._spec['name']}")
        crash = None
        if self._pod.faults.crashes and self._spec in self._pod.spec["containers"]:
            crash = asyncio.get_running_loop().call_later(_CRASH_SECONDS, self._crash_on_request)
        try:
            code = await running.wait()
            return 1 if self._pod.faults.crashes and code == _KILLED and not self._stopping else code
        except BaseException:
            running.kill()
            raise
        finally:
            if crash:
                crash.cancel()
            self._running, self._probes = None, None
            probing.cancel()
            await asyncio.wait({probing})
            if not probing.cancelled() and (error := probing.exception()):
                _log.error("probes of %s ended", self._spec["name"], exc_info=error)

    def _crash_on_request(self) -> None:
        if self._log:
            self._log.write("crashing, as the pod's annotation asks for")
        self.crash()

    async def _end(self, running: RunningContainer, grace: Grace) -> None:
        hook = (self._spec.get("lifecycle") or {}).get("preStop")
        ended = asyncio.create_task(running.wait())
        try:
            if hook and not grace.expired.is_set():
                await grace.wait_for(self._pre_stop(hook, running, ended))
            running.terminate()
            if not await grace.extended_to(_LEAST_GRACE_SECONDS).wait_for(asyncio.wait({ended})):
                running.kill()
            await asyncio.wait({ended})
        finally:
            ended.cancel()

    async def _pre_stop(self, hook: Object, running: RunningContainer, ended: "asyncio.Task[int]") -> None:
        work = asyncio.create_task(handlers.run(hook, Target(self._spec, self._pod.address, running)))
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        except HandlerFailed as failure:
            self._pod.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}")
        finally:
            work.cancel()

    async def _back_off(self, ended: Terminated) -> None:
        wait = self._crashes.failed(asyncio.get_running_loop().time())
        self._set(last=ended)
        if wait:
            name = self._spec["name"]
            message = f"back-off {wait:g}s restarting failed container={name}"
            self._set(state=Waiting("CrashLoopBackOff", message))
            self._pod.event("Warning", "BackOff", f"Back-off restarting failed container {name}")
        await asyncio.sleep(wait)

    def _last_words(self, run: int, log: ContainerLog, code: int) -> str:
        message = self._pod.termination_message(self._spec, run)
        if not message and code != 0 and self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return log.last_lines()
        return message.encode()[:_MESSAGE_BYTES].decode(errors="replace")

    def _record_start(self, image: Image, run: int) -> None:
        previous = self.record.state
        self._set(
            restarts=run,
            container_id=f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}",
            image_id=f"{self._spec['image']}@sha256:{uuid.uuid5(uuid.NAMESPACE_URL, self._spec['image']).hex * 2}",
            last=previous if isinstance(previous, Terminated) else self.record.last,
        )

    def _record_end(self, code: int, reason: str, message: str, since: datetime) -> None:
        state = Terminated(code, reason, message, since, datetime.now(UTC))
        self._set(state=state, ready=False, started=False)
        self.has_started.clear()

    def _set(self, **changes: object) -> None:
        record = replace(self.record, **changes)  # type: ignore[arg-type]
        if record != self.record:
            self.record = record
            self._pod.changed()


async def cancel(task: "asyncio.Task[None] | None") -> None:
    """Cancels a task and waits for its end."""
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
