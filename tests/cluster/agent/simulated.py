"""Containers that run inside the agent: engine simulators, each on its pod's own address."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.agent.runtime import Launch, RunningContainer, StartError

if TYPE_CHECKING:
    from conch.simulator.container import RunningContainer as Simulator


class SimulatedContainer:
    """A simulator as a container."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    async def wait(self) -> int:
        return await self._simulator.wait()

    def terminate(self) -> None:
        self._simulator.terminate()

    def kill(self) -> None:
        self._simulator.kill()

    async def execute(self, command: Sequence[str]) -> int:
        """There is no other program in a simulated container."""
        return 126


class SimulatorRuntime:
    """Runs `conch.simulator`, imported when the first of them starts."""

    has_network = False

    async def start(self, launch: Launch) -> RunningContainer:
        from conch.simulator.container import ContainerSpec, run_container

        launch.mounts.lay_out()
        spec = ContainerSpec(
            image=launch.container["image"],
            command=launch.command,
            env=launch.environment,
            address=launch.address,
            root=launch.mounts.resolve,
            log=launch.log,
            is_pid_one=not launch.pod["spec"].get("shareProcessNamespace", False),
            settings=launch.settings,
        )
        try:
            return SimulatedContainer(run_container(spec))
        except (FileNotFoundError, ValueError, IndexError) as error:
            raise StartError(f"failed to start containerd task: {error}") from error
