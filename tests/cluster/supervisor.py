"""The first process inside the namespaces: starts the components, watches them, obeys the control socket.

Nothing is restarted by itself: a component that ends unasked is a failure that tests must see. The kernel ends
everything here when this process ends.

    python -m cluster.supervisor STATE_FOLDER
"""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from cluster import components, control_plane_node, credentials, network
from cluster.components import Component
from cluster.control import Answer, Request, decode_request, encode
from cluster.credentials import Credentials
from cluster.failure import ClusterFailure
from cluster.prerequisites import search_path
from cluster.process import Process, reap
from cluster.readiness import answers, nodes_are_ready, wait_until
from cluster.state import Settings, StateFolder


class Supervisor:
    """Holds the processes. `api` talks to the API server, `probes` to the components' own ports."""

    def __init__(self, state: StateFolder, api: aiohttp.ClientSession, probes: aiohttp.ClientSession) -> None:
        self._state = state
        self._api = api
        self._probes = probes
        self._processes: dict[str, Process] = {}
        self._phase = "starting"
        self._failures: list[str] = []

    async def run(self, settings: Settings) -> None:
        """For ever; a failed start remains, to be asked about."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        async with await asyncio.start_unix_server(self._converse, self._state.control_socket.name):
            try:
                await self._start_all(settings)
                self._phase = "ready"
            except (ClusterFailure, aiohttp.ClientError, TimeoutError) as failure:
                self._phase = "failed"
                self._report(str(failure) or type(failure).__name__)
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await control_plane_node.renew(self._api, datetime.now(UTC))
                await asyncio.sleep(control_plane_node.RENEW_SECONDS)

    async def _start_all(self, settings: Settings) -> None:
        await self._start_together(components.store(self._state, settings))
        await control_plane_node.register(self._api)
        await self._start_together(components.clients(self._state, settings))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        await self._wait_while_all_run("the controllers make ServiceAccounts", lambda: answers(self._api, account))
        await self._wait_while_all_run("the agent's nodes are ready", lambda: nodes_are_ready(self._api))

    async def _start_together(self, group: Iterable[Component]) -> None:
        started = [Process(component, self._state.logs / f"{component.name}.log") for component in group]
        self._processes |= {process.component.name: process for process in started}
        await asyncio.gather(*(self._wait_until_it_works(process) for process in started))

    async def _wait_while_all_run(self, what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
        async def so() -> bool:
            for name, process in self._processes.items():
                if not process.running:
                    raise ClusterFailure(f"{name} does not start.")
            return await is_so()

        await wait_until(what, so)

    async def _wait_until_it_works(self, process: Process) -> None:
        url = process.component.ready_url

        async def works() -> bool:
            if not process.running:
                raise ClusterFailure(f"{process.component.name} does not start.")
            return url is None or await answers(self._probes, url)

        await wait_until(f"{process.component.name} works (see {process.log})", works)

    def _reap(self) -> None:
        for process in reap(self._processes.values()):
            if not process.asked_to_end:
                self._report(f"{process.component.name} is {process.state}. Its last words:\n{process.tail()}")

    def _report(self, failure: str) -> None:
        self._failures.append(failure)
        print(f"CLUSTER: {failure}", file=sys.stderr, flush=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that only wants to know who listens says nothing.
        if line := await reader.readline():
            refusal = await self._obey(decode_request(line))
            states = {name: process.state for name, process in self._processes.items()}
            writer.write(encode(Answer(self._phase, states, tuple(self._failures), refusal)))
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        writer.close()

    async def _obey(self, request: Request) -> str:
        """Does what is asked; returns why not, empty if done."""
        if request.verb == "status":
            return ""
        process = self._processes.get(request.name)
        if process is None:
            return f"No component is called {request.name}: {', '.join(self._processes)}."
        try:
            await self._act(request, process)
        except ClusterFailure as failure:
            return str(failure)
        return ""

    async def _act(self, request: Request, process: Process) -> None:
        match request.verb:
            case "start" if process.running:
                raise ClusterFailure(f"{request.name} runs already.")
            case "start":
                process.start()
                await self._wait_until_it_works(process)
            case "stop":
                await process.end(signal.SIGTERM)
            case "kill":
                await process.end(signal.SIGKILL)
            case "pause":
                process.send(signal.SIGSTOP)
            case "resume":
                process.send(signal.SIGCONT)


@asynccontextmanager
async def sessions(state: StateFolder) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """For the API server, and for probes. The components' own certificates are self-signed, hence not checked."""
    files = Credentials(state.credentials)
    api = aiohttp.ClientSession(
        components.API_SERVER_URL,
        headers={"Authorization": f"Bearer {files.token(credentials.SUPERVISOR)}"},
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=files.authority)),
        timeout=aiohttp.ClientTimeout(total=10),
    )
    probes = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False), timeout=aiohttp.ClientTimeout(total=2))
    async with api, probes:
        yield api, probes


async def supervise(state: StateFolder) -> None:
    """Runs the cluster of that folder, in the namespaces that this process is in."""
    network.set_up()
    async with sessions(state) as (api, probes):
        await Supervisor(state, api, probes).run(Settings.read(state.settings))


if __name__ == "__main__":
    folder = StateFolder(Path(sys.argv[1]))
    os.environ["PATH"] = search_path()
    # The control socket is bound by its bare name, for its path may be too long.
    os.chdir(folder.root)
    try:
        asyncio.run(supervise(folder))
    except ClusterFailure as failure:
        sys.exit(f"CLUSTER: {failure}")
