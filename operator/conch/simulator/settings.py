"""What the simulator itself can be told: its pace, its GPUs, and the faults it is to show.

Settings come from whoever runs the container: annotations of a pod, environment variables, a file. So keys may be
written in kebab-case and values may be strings.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from conch.simulator.latency import LatencyModel, read, shipped


class Settings(BaseModel):
    """Everything has a default, so `Settings()` is a healthy engine at the shipped pace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency: Annotated[LatencyModel, BeforeValidator(read)] = Field(default_factory=shipped)
    """A mapping, YAML text, or the path of a YAML file on the host."""
    speed: PositiveFloat = 1.0
    """Tokens come this many times faster than the latency model says; loading is not touched."""
    load_seconds: NonNegativeFloat | None = None
    """From start to ready; unset: the latency model's."""
    weights_seconds: NonNegativeFloat | None = None
    """Of one download; unset: the latency model's."""
    gpus: NonNegativeInt | None = None
    """GPUs of the container; unset: as many as NVIDIA_VISIBLE_DEVICES names, and any number when that is unset."""
    crash_after_seconds: PositiveFloat | None = None
    """The process dies of a segmentation fault that long after its start."""
    hang: bool = False
    """Loading never ends."""
    fail_load: str = ""
    """Loading fails in the end, with this reason in the log."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Settings as they were given. Raises ValueError that names the setting that cannot be understood."""
        return cls.model_validate({key.replace("-", "_"): value for key, value in given.items()})

    @property
    def pace(self) -> LatencyModel:
        """The latency model at the speed asked for."""
        return self.latency.faster(self.speed)

    @property
    def loading_seconds(self) -> float:
        """From the start of the server to its ready engine."""
        return self.latency.load_seconds if self.load_seconds is None else self.load_seconds

    @property
    def download_seconds(self) -> float:
        """From the start of a download to its end."""
        return self.latency.weights_seconds if self.weights_seconds is None else self.weights_seconds
