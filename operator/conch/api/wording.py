"""What pydantic found wrong, in words for the person who wrote the YAML: the path in camelCase, and what to change."""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from conch.api.schema import Schema

Path = tuple[str | int, ...]

_LONGEST_VALUE: Final = 60


def at(path: Path) -> str:
    """A path as users write it: spec.pod.env[0].name, spec.pod.labels["example.com/team"]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part)}]"
    return text


def worded(error: ValidationError, schema: Schema, path: Path) -> Iterator[str]:
    """A sentence for each problem. `schema` is that of the document which stands at `path`."""
    for details in error.errors(include_url=False):
        place: Path = details["loc"]
        if details["type"] == "extra_forbidden":
            yield _unknown_field((*path, *place), _members(schema, place[:-1]))
        else:
            yield f"{at((*path, *place))} {_demand(details)}"


def _demand(details: ErrorDetails) -> str:
    word = _WORDS.get(details["type"])
    return word(details) if word else details["msg"].lower()


def _unknown_field(path: Path, members: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(path[-1]), members, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(members)}"
    return f"unknown field {at(path)}; {hint}"


def _members(schema: Schema, place: Path) -> Sequence[str]:
    """The fields that exist at a place of the document."""
    for part in place:
        schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
    return tuple(schema.get("properties", ()))


def _limit(text: str) -> Callable[[ErrorDetails], str]:
    """Words with the numbers of pydantic's own context in them, and what was found."""
    return lambda details: f"{text.format_map(details.get('ctx', {}))}, not {_found(details['input'])}"


def _text(details: ErrorDetails) -> str:
    value = details["input"]
    is_scalar = isinstance(value, bool | int | float)
    return f'must be text: write "{json.dumps(value)}" in quotes' if is_scalar else f"must be text, not {_found(value)}"


def _choice(details: ErrorDetails) -> str:
    value, expected = details["input"], details["ctx"]["expected"]
    quoting = ", in quotes" if not isinstance(value, str) and f"'{value}'" in expected else ""
    return f"must be {expected}{quoting}, not {_found(value)}"


def _quantity(details: ErrorDetails) -> str:
    value = details["input"]
    quoting = f': write "{value}" in quotes' if isinstance(value, float) else f", not {_found(value)}"
    return details["msg"] + quoting


def _pattern(details: ErrorDetails) -> str:
    return f"is {_found(details['input'])} and must match {details['ctx']['pattern']}"


def _length(details: ErrorDetails) -> str:
    value, context = details["input"], details["ctx"]
    if not value:
        return "must not be empty"
    bound = f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"
    return f"must have {bound} {'characters' if isinstance(value, str) else 'entries'}, not {len(value)}"


def _found(value: Any) -> str:
    """A value as the user wrote it, cut when long; the contents of lists and objects are left out."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


_WORDS: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda _: "is required",
    "int_type": _limit("must be a whole number"),
    "int_from_float": _limit("must be a whole number"),
    "string_type": _text,
    "model_type": _limit("must be an object"),
    "dict_type": _limit("must be an object"),
    "tuple_type": _limit("must be a list"),
    "greater_than_equal": _limit("must be at least {ge}"),
    "less_than_equal": _limit("must be at most {le}"),
    "string_too_short": _length,
    "string_too_long": _length,
    "too_long": _length,
    "string_pattern_mismatch": _pattern,
    "enum": _choice,
    "literal_error": _choice,
    "quantity": _quantity,
}
"""Every kind of problem that the classes can meet, and what to say of it; others keep pydantic's own words."""
