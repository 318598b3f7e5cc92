"""Runs the node agent: `python -m cluster.agent --help`."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from ipaddress import IPv4Interface
from pathlib import Path

from cluster.agent import node
from cluster.agent.agent import Agent
from cluster.agent.api import Api, connect
from cluster.agent.control import ControlServer
from cluster.agent.events import Events
from cluster.agent.images import Images
from cluster.agent.pod import Machine
from cluster.agent.pod_network import Addresses, Bridge, Partition
from cluster.agent.process import ProcessRuntime
from cluster.agent.references import References
from cluster.agent.simulated import SimulatorRuntime


async def run(given: argparse.Namespace, api: Api) -> None:
    """Until SIGTERM, which ends the agent as abruptly as a power cut ends a machine."""
    specs = node.read(given.nodes) if given.nodes else node.DEFAULT
    gateway: IPv4Interface = given.gateway
    machine = Machine(
        api=api,
        references=References(api),
        events=Events(api),
        images=Images.read(given.images) if given.images else Images(),
        runtimes={"simulator": SimulatorRuntime(), "process": ProcessRuntime()},
        bridge=Bridge(given.bridge, str(gateway.ip), gateway.network.prefixlen, Addresses(gateway.network, first=2)),
        partition=Partition(),
        folder=given.state,
        backoff_seconds=given.backoff_seconds,
    )
    agent = Agent(specs, machine)
    control = ControlServer(agent)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(agent.run()), group.create_task(control.run())]
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel_all, work)


def _cancel_all(work: list["asyncio.Task[None]"]) -> None:
    for task in work:
        task.cancel()


async def main() -> None:
    """Paths of the command line are taken from where it is given, not from where the agent then works."""
    parser = argparse.ArgumentParser(prog="python -m cluster.agent", description="Plays the nodes of a cluster.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder for volumes, logs and the control socket")
    parser.add_argument("--bridge", required=True, help="bridge for pods with a network namespace of their own")
    parser.add_argument("--gateway", type=IPv4Interface, default=IPv4Interface("10.245.0.1/24"), help="its address")
    parser.add_argument("--nodes", type=Path, help="YAML file of the nodes (see cluster.agent.node)")
    parser.add_argument("--images", type=Path, help="YAML file of the images (see cluster.agent.images)")
    parser.add_argument("--backoff-seconds", type=float, default=1.0, help="first back-off; a real kubelet's is 10")
    given = parser.parse_args()
    for name in ("kubeconfig", "state", "nodes", "images"):
        path = getattr(given, name)
        setattr(given, name, path.absolute() if path else None)
    given.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(given.state)
    async with connect(given.kubeconfig) as api:
        await run(given, api)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(main())
