"""`spec.rollout`: how a change reaches the running engines."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from conch.api.objects import ApiObject
from conch.api.rules import Rule


class RolloutType(StrEnum):
    """The ways to roll out a change."""

    ROLLING_UPDATE = "RollingUpdate"


class RollingUpdate(ApiObject):
    """How many engines may be above or below the wanted number while a change rolls out."""

    max_surge: Annotated[
        int | None,
        Field(
            ge=0,
            le=1024,
            description="Engines that may run beyond the wanted number; each needs free GPUs of its own. Unset beside "
            "a maxUnavailable: 0, or 1 when that is 0. Both unset: 1 for a single engine, 0 for more.",
        ),
    ] = None
    max_unavailable: Annotated[
        int | None,
        Field(
            ge=0,
            le=1024,
            description="Engines that may be missing from the wanted number; their GPUs are reused in place. Unset "
            "beside a maxSurge: 0, or 1 when that is 0. Both unset: 0 for a single engine, 1 for more.",
        ),
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.maxSurge) && has(self.maxUnavailable)) || self.maxSurge + self.maxUnavailable > 0",
            "maxSurge and maxUnavailable must not both be 0, because then nothing could ever be replaced",
        ),
    )


class Rollout(ApiObject):
    """How a change of model, engine, parallelism, accelerator or pod is brought to the running engines."""

    type: Annotated[RolloutType, Field(description="RollingUpdate replaces engines a few at a time.")] = (
        RolloutType.ROLLING_UPDATE
    )
    rolling_update: Annotated[RollingUpdate | None, Field(description="Limits of a rolling update.")] = None
