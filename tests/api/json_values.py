"""Strategies: any JSON, and documents of which one part was replaced by any JSON."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=40)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
        max_leaves=12,
    )


@st.composite
def mutated(draw: st.DrawFn, document: Any, under: Place = ()) -> Any:
    """The document with one value at or below `under` replaced by a likely or an arbitrary other one."""
    place = draw(st.sampled_from([place for place in _places(document, ()) if place[: len(under)] == under]))
    likely = st.sampled_from(
        [None, "", "x", 0, 1, -1, 10**6, 1.5, True, [], {}, ["x", "x"], {"x": "x"}, "nvidia.com/gpu"]
    )
    return _replaced(document, place, draw(likely | json_values()))


def _places(value: Any, place: Place) -> Iterator[Place]:
    yield place
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _places(member, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*place, index))


def _replaced(value: Any, place: Place, by: Any) -> Any:
    if not place:
        return by
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[place[0]] = _replaced(value[place[0]], place[1:], by)
    return copy
