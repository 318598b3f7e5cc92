"""Which arguments each vLLM release takes in model.json, and whether given ones would be accepted.

The vLLM backend calls `AsyncEngineArgs(**model_json)`, so an unknown key is a TypeError and the pod crash-loops after
its GPUs were taken. The tables beside this module are read from the source archive of each release; `refresh` writes
them. Types are coarse: what lies inside an object or a list is not checked.
"""

import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

DEEPEST: Final = 8
"""Levels of lists and objects in one value; vLLM's own have three."""

_WORDS: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}

_BOUNDS: Final[Mapping[str, tuple[str, Callable[[float, float], bool]]]] = {
    "minimum": ("at least", operator.ge),
    "exclusiveMinimum": ("greater than", operator.gt),
    "maximum": ("at most", operator.le),
    "exclusiveMaximum": ("less than", operator.lt),
}


@dataclass(frozen=True, slots=True)
class FieldType:
    """What one field of AsyncEngineArgs takes, as far as JSON can say it."""

    annotation: str
    """As the source has it."""
    types: frozenset[str]
    """JSON Schema's names; "null" among them when the field may be null."""
    choices: tuple[Any, ...]
    """The only values other than null; empty when any value of the types will do."""
    suggestions: tuple[Any, ...]
    """Values that are known, while others are admitted too (names of plugins, say)."""
    bounds: Mapping[str, float]
    """JSON Schema's minimum, maximum, exclusiveMinimum, exclusiveMaximum."""
    default: Any
    """None also where the source gives no literal."""

    def objection(self, value: object) -> str | None:
        """Why the field does not take this value, in words that follow the field's name; None when it does."""
        if not self._takes_type_of(value):
            return f"must be {self._expected()}, not {_shown(value)}"
        if value is None:
            return None
        if self.choices and value not in self.choices:
            return f"must be {_one_of(self.choices)}, not {_shown(value)}"
        return self._outside(value) if isinstance(value, int | float) else None

    def _takes_type_of(self, value: object) -> bool:
        kind = _type(value)
        return kind in self.types or (kind == "integer" and "number" in self.types)

    def _outside(self, value: float) -> str | None:
        for name, bound in self.bounds.items():
            words, holds = _BOUNDS[name]
            if not holds(value, bound):
                return f"must be {words} {bound}, not {value}"
        return None

    def _expected(self) -> str:
        if self.choices:
            return _one_of(self.choices)
        return " or ".join(_WORDS[kind] for kind in sorted(self.types - {"null"}))


@cache
def fields(version: str) -> Mapping[str, FieldType]:
    """The arguments of that vLLM release by name. Raises KeyError for a release without a table."""
    resource = files(__package__).joinpath(f"{version}.json")
    if not resource.is_file():
        raise KeyError(version)
    table = json.loads(resource.read_text())["fields"]
    return MappingProxyType({name: _field(entry) for name, entry in table.items()})


def problems(version: str, document: Mapping[str, object]) -> tuple[str, ...]:
    """Why that release would refuse this model.json, in words for the user; empty when nothing speaks against it.

    Raises KeyError for a release without a table.
    """
    known = fields(version)
    found = []
    for name, value in document.items():
        objection = known[name].objection(value) if name in known else None
        if name not in known:
            found.append(_unknown(name, known))
        elif objection:
            found.append(f"{name} {objection}")
    return tuple(found)


def typed_value(version: str, name: str, text: str) -> Any:
    """A value that was given as text, in the type the argument has in that release.

    A text that is JSON of one of the argument's types is that; else it is the string itself. Raises ValueError that
    says what is wrong, and KeyError for a release without a table.
    """
    known = fields(version)
    if name not in known:
        raise ValueError(_unknown(name, known))
    field, parsed = known[name], _json(text)
    is_text = isinstance(parsed, str) or (field.objection(parsed) and "string" in field.types)
    value = text if is_text else parsed
    objection = _unsound(value) or field.objection(value)
    if objection:
        raise ValueError(objection)
    return value


def _field(entry: Mapping[str, Any]) -> FieldType:
    return FieldType(
        annotation=entry["annotation"],
        types=frozenset(entry["types"]),
        choices=tuple(entry.get("choices", ())),
        suggestions=tuple(entry.get("suggestions", ())),
        bounds={bound: entry[bound] for bound in _BOUNDS if bound in entry},
        default=entry.get("default"),
    )


def _unknown(name: str, known: Mapping[str, FieldType]) -> str:
    close = get_close_matches(name, [field for field in known if not field.startswith("_")], n=2)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{name} is not an argument of this release{hint}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def _unsound(value: Any, depth: int = 0) -> str | None:
    """Why Python's reader took what JSON does not have (NaN, Infinity), or what no engine nests so deep."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"must have finite numbers only, not {value}: JSON has no others"
    if depth == DEEPEST and isinstance(value, Mapping | list):
        return f"must be nested at most {DEEPEST} levels deep"
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((wrong for member in members if (wrong := _unsound(member, depth + 1)) is not None), None)


def _type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def _one_of(choices: tuple[Any, ...]) -> str:
    shown = [str(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _shown(value: object) -> str:
    return f'the string "{value}"' if isinstance(value, str) else json.dumps(value)
