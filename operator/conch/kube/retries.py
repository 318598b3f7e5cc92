"""Whether a failed request is sent again, and after how long. Pure.

A request that may have been carried out is only repeated when repeating it changes nothing: reads, server-side apply,
merge patches and deletes, but not a create or a replace.
"""

import random
from dataclasses import dataclass
from typing import Final

from conch.kube.backoff import Backoff
from conch.kube.errors import ApiError, InvalidError, KubeError, UnreachableError

_BACKOFF: Final = Backoff(base_seconds=0.25, cap_seconds=5.0)
_REFUSED_UNTOUCHED: Final = 429
_MAY_HAVE_HAPPENED: Final = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `attempts` in all; no wait is begun that would end later than `patience_seconds` after the first."""

    attempts: int = 6
    patience_seconds: float = 30.0
    backoff: Backoff = _BACKOFF

    def wait_seconds(
        self, failure: KubeError, *, repeatable: bool, attempts: int, elapsed_seconds: float, chance: random.Random
    ) -> float | None:
        """How long to wait before the next attempt, or None to give up; a Retry-After is the least."""
        if attempts >= self.attempts or not _worth_repeating(failure, repeatable=repeatable):
            return None
        asked_seconds = failure.retry_after_seconds or 0.0 if isinstance(failure, ApiError) else 0.0
        wait_seconds = asked_seconds + self.backoff.draw_seconds(attempts - 1, chance)
        return wait_seconds if elapsed_seconds + wait_seconds <= self.patience_seconds else None


def _worth_repeating(failure: KubeError, *, repeatable: bool) -> bool:
    match failure:
        case InvalidError():
            return False
        case UnreachableError(sent=sent):
            return repeatable or not sent
        case ApiError(status=status):
            return status == _REFUSED_UNTOUCHED or (repeatable and status in _MAY_HAVE_HAPPENED)
        case _:
            return False
