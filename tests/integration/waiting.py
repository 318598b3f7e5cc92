"""Waiting for the cluster: until something holds, with what was last seen in the failure's message."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], holds: Callable[[T], bool], seconds: float, every_seconds: float = 0.25) -> T:
    """What `look` saw when it first held. Fails with the last view when the time is over."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not so after {seconds} s; last seen: {_shown(seen)}")
        time.sleep(every_seconds)


def stays(look: Callable[[], T], holds: Callable[[T], bool], seconds: float) -> None:
    """Fails with what was seen when something stops holding within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        if not holds(seen):
            raise AssertionError(f"no longer so: {_shown(seen)}")
        time.sleep(0.25)


def _shown(seen: object) -> str:
    text = str(seen)
    return text if len(text) < 2000 else f"{text[:2000]}..."
