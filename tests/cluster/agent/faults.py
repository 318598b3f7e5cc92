"""Faults on request: by annotations of a pod, from its start, or on a live one (`control`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cluster.agent.objects import Object, annotations

FAULT: Final = "agent.conch.test/fault"
START_SECONDS: Final = "agent.conch.test/start-seconds"
SIMULATOR_PREFIX: Final = "simulator.conch.test/"
_DEFAULT_START_SECONDS: Final = 10.0


class Fault(StrEnum):
    """What an annotation can ask for."""

    PULL_ERROR = "pull-error"
    """No image of the pod can be pulled."""
    CRASH = "crash"
    """The containers (not the init containers) exit with 1 soon after each start."""
    NEVER_READY = "never-ready"
    """The containers run, and their readiness fails whatever they answer."""
    SLOW_START = "slow-start"
    """The containers are created that many seconds late."""


@dataclass(slots=True)
class Faults:
    """What is wrong with one pod right now."""

    pulls_fail: bool = False
    crashes: bool = False
    unready: bool = False
    start_seconds: float = 0.0

    @classmethod
    def of(cls, pod: Object) -> "Faults":
        """The faults that the annotations ask for; several are separated by commas. Raises ValueError."""
        asked = {Fault(word.strip()) for word in annotations(pod).get(FAULT, "").split(",") if word.strip()}
        seconds = float(annotations(pod).get(START_SECONDS, _DEFAULT_START_SECONDS))
        return cls(
            pulls_fail=Fault.PULL_ERROR in asked,
            crashes=Fault.CRASH in asked,
            unready=Fault.NEVER_READY in asked,
            start_seconds=seconds if Fault.SLOW_START in asked else 0.0,
        )


def simulator_settings(pod: Object) -> dict[str, str]:
    """What a pod tells its simulator by annotations."""
    return {
        key.removeprefix(SIMULATOR_PREFIX): value
        for key, value in annotations(pod).items()
        if key.startswith(SIMULATOR_PREFIX)
    }
