"""Kubelet's back-off: the first repetition comes at once, then waits that double up to thirty times the first."""

from typing import Final

# Kubelet: 10 s up to 300 s, forgotten after twice that.
_LONGEST: Final = 30
_FORGET: Final = 2


class Backoff:
    """Waits of one container or image, in seconds; times are those of any steady clock."""

    def __init__(self, base_seconds: float) -> None:
        self._base_seconds = base_seconds
        self._next_seconds = 0.0
        self._failed_at = 0.0

    def failed(self, now: float) -> float:
        """Counts a failure; returns how long to wait before the next attempt."""
        longest = self._base_seconds * _LONGEST
        if now - self._failed_at > longest * _FORGET:
            self._next_seconds = 0.0
        wait = self._next_seconds
        self._failed_at = now + wait
        self._next_seconds = min(longest, wait * 2) or self._base_seconds
        return wait
