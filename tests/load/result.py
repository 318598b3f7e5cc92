"""What a client saw of its requests."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class LoadResult:
    """Requests by outcome: whole answers, and losses by what the client saw."""

    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """All requests that were sent."""
        return self.answered + self.lost_total

    @property
    def lost_total(self) -> int:
        """Requests without a whole answer."""
        return sum(self.lost.values())

    def as_json(self) -> dict[str, Any]:
        """The result as the last line of the log says it."""
        return {"sent": self.sent, "answered": self.answered, "lost": self.lost_total, "losses": dict(self.lost)}
