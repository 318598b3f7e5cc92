"""Which revisions are kept."""

import pytest

from conch.revisions.history import KEPT, next_number, superfluous
from conch.revisions.revision import Revision
from manifests.builders import revision, spec

MADE = revision(spec())


def numbered(*numbers: int) -> tuple[Revision, ...]:
    return tuple(Revision.from_data(f"hash-{number}", number, MADE.data()) for number in numbers)


def test_the_last_ten_are_kept() -> None:
    assert KEPT == 10
    assert superfluous(numbered(*range(1, 11)), ()) == ()
    assert [old.number for old in superfluous(numbered(*range(1, 14)), ())] == [1, 2, 3]


def test_order_is_by_number_not_by_place() -> None:
    assert [old.number for old in superfluous(numbered(*range(12, 0, -1)), ())] == [1, 2]


def test_what_is_in_use_is_kept_besides_the_last_ten() -> None:
    old = superfluous(numbered(*range(1, 14)), {"hash-2", "hash-13"})
    assert [revision.number for revision in old] == [1, 3]


@pytest.mark.parametrize(("numbers", "expected"), [((), 1), ((1, 2), 3), ((9, 4), 10)])
def test_the_next_number_is_beyond_all(numbers: tuple[int, ...], expected: int) -> None:
    assert next_number(numbered(*numbers)) == expected
