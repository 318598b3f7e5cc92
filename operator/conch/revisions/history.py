"""Which revisions are kept: all that a slot still runs, the one asked for, and the last ten for going back."""

from collections.abc import Collection, Iterable
from typing import Final

from conch.revisions.revision import Revision

KEPT: Final = 10


def next_number(revisions: Iterable[Revision]) -> int:
    """The number that makes a revision the latest."""
    return max((revision.number for revision in revisions), default=0) + 1


def superfluous(revisions: Collection[Revision], in_use: Collection[str]) -> tuple[Revision, ...]:
    """The revisions to delete: beyond the last ten and not in use (`in_use` holds hashes). Oldest first."""
    oldest_first = sorted(revisions, key=lambda revision: revision.number)
    old = oldest_first[: max(0, len(oldest_first) - KEPT)]
    return tuple(revision for revision in old if revision.hash not in in_use)
