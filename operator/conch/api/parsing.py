"""An LLMDeployment from JSON: strict, with problems told as an API server with this CRD would see them.

    document -> is it JSON -> defaults and nulls as the server treats them -> shape (pydantic) -> unique keys, CEL rules
             -> sets and maps in one order -> arithmetic

Unlike the server, which drops fields it does not know, an unknown field is a problem, in `metadata` too. `status` and
what a server adds to `metadata` are accepted and not looked at.
"""

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from conch.api.arithmetic import contradictions
from conch.api.canonical import canonical
from conch.api.defaulting import defaulted
from conch.api.deployment import API_VERSION, KIND, LLMDeployment, LLMDeploymentSpec
from conch.api.metadata import Metadata
from conch.api.objects import ApiObject
from conch.api.rules import problems
from conch.api.schema import structural_schema
from conch.api.wording import Path, at, worded

DEEPEST: Final = 64
"""Levels of nesting that are read. The resource has eight; what a server adds to metadata, a few more."""
_LARGEST_INTEGER: Final = 2**63 - 1

Parsed = TypeVar("Parsed", bound=ApiObject)


class InvalidResource(ValueError):
    """A document that is no valid LLMDeployment; `problems` has a sentence for each thing to change."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ContradictoryNumbers(InvalidResource):
    """Each number is valid, and a server takes them all; only Conch does the arithmetic that shows that they clash."""


def parse(document: Any) -> LLMDeployment:
    """The LLMDeployment of a JSON document. Raises InvalidResource, and nothing else, for whatever is wrong with it."""
    _refuse(_misidentified(document))
    metadata = _parsed(Metadata, document["metadata"], ("metadata",))
    written = {key: value for key, value in document.items() if key != "status"}
    deployment = _parsed(LLMDeployment, {**written, "metadata": _without_nulls(metadata)}, ())
    _refuse(contradictions(deployment.spec), ContradictoryNumbers)
    return deployment


def parse_spec(document: Any) -> LLMDeploymentSpec:
    """The spec alone, as a server hands it out. Raises InvalidResource, and nothing else."""
    spec = _parsed(LLMDeploymentSpec, document, ("spec",))
    _refuse(contradictions(spec), ContradictoryNumbers)
    return spec


def _parsed(cls: type[Parsed], document: Any, path: Path) -> Parsed:
    _refuse(_not_json(document, path))
    stored = defaulted(document, structural_schema(cls))
    try:
        parsed = cls.model_validate_json(json.dumps(stored), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidResource(tuple(worded(error, structural_schema(cls), path))) from error
    _refuse(_broken_rules(parsed, stored, path))
    return canonical(parsed)


def _refuse(found: Iterator[str], refusal: type[InvalidResource] = InvalidResource) -> None:
    wrong = tuple(found)
    if wrong:
        raise refusal(wrong)


def _misidentified(document: Any) -> Iterator[str]:
    """Why this is no LLMDeployment at all, or one without a name."""
    if not isinstance(document, Mapping):
        yield f"an LLMDeployment must be an object with apiVersion, kind, metadata and spec, not {_kind(document)}"
        return
    for field, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if document.get(field) != expected:
            yield f"{field} must be {expected}" + (f", not {document[field]!r:.80}" if field in document else "")
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        yield "metadata.name is required and must be text"


def _without_nulls(metadata: Metadata) -> dict[str, Any]:
    return metadata.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")


def _not_json(value: Any, path: Path) -> Iterator[str]:
    """What YAML can say and JSON cannot, or not every reader of JSON in the same way."""
    if len(path) > DEEPEST:
        yield f"{at(path[:8])}... is nested deeper than {DEEPEST} levels"
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str):
                yield f"{at(path)} has the key {key!r:.80}, which is not text: put it in quotes"
            else:
                yield from _not_json(key, path)
                yield from _not_json(member, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_json(item, (*path, index))
    elif (wrong := _unsound_scalar(value)) is not None:
        yield f"{at(path)} {wrong}"


def _unsound_scalar(value: Any) -> str | None:
    if isinstance(value, str):
        is_unicode = not any("\ud800" <= character <= "\udfff" for character in value)
        return None if is_unicode else "holds half a character (a surrogate): remove it"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"must be a finite number, not {value}"
    if isinstance(value, int):
        return None if abs(value) <= _LARGEST_INTEGER else "must be a number of at most 64 bits"
    return None if value is None else f"must be text, a number, a list or an object: put {value!r:.80} in quotes"


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", type(None): "nothing"}.get(type(value), type(value).__name__)


def _broken_rules(parsed: ApiObject, stored: Mapping[str, Any], path: Path) -> Iterator[str]:
    """The rules and unique keys of an object and of all inside it; absent objects have none, as on the server."""
    for name, info in type(parsed).model_fields.items():
        alias = str(info.alias)
        member, document = getattr(parsed, name), stored.get(alias)
        if document is None:
            continue
        if isinstance(member, ApiObject):
            yield from _broken_rules(member, document, (*path, alias))
        elif isinstance(member, tuple):
            yield from _broken_items(parsed, name, document, (*path, alias))
    yield from (f"{at(path)}: {problem}" if path else problem for problem in problems(parsed.rules, _visible(stored)))


def _broken_items(parent: ApiObject, field: str, documents: Sequence[Any], path: Path) -> Iterator[str]:
    for index, item in enumerate(getattr(parent, field)):
        if isinstance(item, ApiObject):
            yield from _broken_rules(item, documents[index], (*path, index))
    if field in parent.list_map_keys:
        key = parent.list_map_keys[field]
        yield from _duplicates([document[key] for document in documents], path, f".{key}")
    elif field in parent.list_sets:
        yield from _duplicates(documents, path, "")


def _duplicates(values: Sequence[Hashable], path: Path, suffix: str) -> Iterator[str]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield f"{at((*path, index))}{suffix} repeats {value!r}: each may be there once"


def _visible(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a rule may look at: of metadata only the name, as in the API server."""
    if "metadata" not in stored:
        return stored
    return {**stored, "metadata": {"name": stored["metadata"]["name"]}}
