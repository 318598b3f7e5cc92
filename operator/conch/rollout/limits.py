"""How far a rollout may leave the wanted number of engines, in slots."""

from dataclasses import dataclass

from conch.api.rollout import RollingUpdate


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `max_surge` slots more, and `max_unavailable` serving slots fewer, than wanted. Not both are 0."""

    max_surge: int
    max_unavailable: int


def limits(rolling_update: RollingUpdate | None, wanted_slots: int) -> Limits:
    """The limits of a rollout: what the user set, and a rule where nothing is set.

    One engine is surged, because it must not stop serving; more are replaced in place, one at a time, because a fleet
    rarely has GPUs to spare.
    """
    surge = rolling_update.max_surge if rolling_update else None
    unavailable = rolling_update.max_unavailable if rolling_update else None
    if surge is None and unavailable is None:
        return Limits(1, 0) if wanted_slots <= 1 else Limits(0, 1)
    if surge is None:
        return Limits(0, unavailable) if unavailable else Limits(1, 0)
    if unavailable is None:
        return Limits(surge, 0) if surge else Limits(0, 1)
    return Limits(surge, unavailable)
