"""What the user set is honoured; where nothing is set one slot surges and more go in place."""

import pytest

from conch.api.rollout import RollingUpdate
from conch.rollout.limits import Limits, limits

CASES = {
    "unset, one slot: surge, because it must not stop serving": (None, None, 1, Limits(1, 0)),
    "unset, no slot: as one slot": (None, None, 0, Limits(1, 0)),
    "unset, three slots: in place, one at a time": (None, None, 3, Limits(0, 1)),
    "unavailable 1 on a single slot: in place, with a gap": (None, 1, 1, Limits(0, 1)),
    "surge 0 on a single slot: in place, with a gap": (0, None, 1, Limits(0, 1)),
    "surge 0 and unavailable 1 on a single slot: as written": (0, 1, 1, Limits(0, 1)),
    "surge 2 on three slots: nothing unavailable": (2, None, 3, Limits(2, 0)),
    "unavailable 2 on three slots: no surge": (None, 2, 3, Limits(0, 2)),
    "unavailable 0: one must be surged, else nothing moves": (None, 0, 3, Limits(1, 0)),
    "both set: both honoured": (1, 2, 3, Limits(1, 2)),
}


@pytest.mark.parametrize(("surge", "unavailable", "slots", "expected"), CASES.values(), ids=CASES.keys())
def test_limits(surge: int | None, unavailable: int | None, slots: int, expected: Limits) -> None:
    assert limits(RollingUpdate(max_surge=surge, max_unavailable=unavailable), slots) == expected


@pytest.mark.parametrize(("slots", "expected"), [(1, Limits(1, 0)), (2, Limits(0, 1))])
def test_no_rolling_update_at_all_is_as_unset(slots: int, expected: Limits) -> None:
    assert limits(None, slots) == expected
