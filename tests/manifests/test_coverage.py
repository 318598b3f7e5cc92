"""When an observed object counts as rendered."""

from typing import Any

import pytest

from conch.manifests.coverage import covers, stamped

OWNED = {"ownerReferences": [{"uid": "1", "controller": True}]}

CASES: dict[str, tuple[Any, Any, bool]] = {
    "equal": ({"a": 1}, {"a": 1}, True),
    "defaults that the server adds are no difference": ({"a": 1, "b": 2}, {"a": 1}, True),
    "a leaf that is missing is": ({}, {"a": 1}, False),
    "a leaf that was changed is": ({"a": 2}, {"a": 1}, False),
    "defaults inside a list are no difference": ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
    "an item more in a list is": ({"a": [1, 2]}, {"a": [1]}, False),
    "an item less is": ({"a": []}, {"a": [1]}, False),
    "another order is": ({"a": [2, 1]}, {"a": [1, 2]}, False),
    "an object where a text was rendered is": ({"a": {}}, {"a": "b"}, False),
    "a text where an object was rendered is": ({"a": "b"}, {"a": {"c": 1}}, False),
    "further owners are none": ({"ownerReferences": [{"uid": "2"}, {"uid": "1", "controller": True}]}, OWNED, True),
    "a missing owner is": ({"ownerReferences": [{"uid": "2"}]}, OWNED, False),
    "no owners at all is": ({}, OWNED, False),
}


@pytest.mark.parametrize(("observed", "rendered", "expected"), CASES.values(), ids=CASES.keys())
def test_covers(observed: Any, rendered: Any, expected: bool) -> None:
    assert covers(observed, rendered) is expected


def test_a_field_that_is_no_longer_rendered_is_a_difference() -> None:
    before = stamped({"metadata": {"name": "m"}, "spec": {"a": 1, "b": 2}})
    now = stamped({"metadata": {"name": "m"}, "spec": {"a": 1}})
    assert covers(before, before)
    assert not covers(before, now)
