"""How long to wait before trying again: exponential, capped, with full jitter.

    wait_seconds ~ uniform(0, min(cap_seconds, base_seconds * 2 ** failures))

Full jitter clears a crowd of clients that failed together fastest ("Exponential Backoff And Jitter", AWS Architecture
Blog, 2015).
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`base_seconds` bounds the first wait, `cap_seconds` every wait."""

    base_seconds: float
    cap_seconds: float

    def ceiling_seconds(self, failures: int) -> float:
        """The longest wait after that many earlier failures in a row."""
        doublings = min(failures, 62)  # beyond, the float overflows long after any cap
        return min(self.cap_seconds, self.base_seconds * 2.0**doublings)

    def draw_seconds(self, failures: int, chance: random.Random) -> float:
        """A wait after that many earlier failures in a row."""
        return chance.uniform(0, self.ceiling_seconds(failures))
