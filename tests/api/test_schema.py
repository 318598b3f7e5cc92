"""The structural schema: nothing that Kubernetes refuses, a limit and a description on everything."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from conch.api.deployment import LLMDeployment
from conch.api.objects import ApiObject
from conch.api.rules import Rule
from conch.api.schema import Schema, structural_schema

SPEC = structural_schema(LLMDeployment)["properties"]["spec"]
STATUS = structural_schema(LLMDeployment)["properties"]["status"]


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below, with the path that `kubectl explain` would use."""
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from nodes(member, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from nodes(schema[inner], f"{path}[]")


ALL = dict([*nodes(SPEC, "spec"), *nodes(STATUS, "status")])


class Colour(StrEnum):
    """What it looks like."""

    RED = "Red"


class Part(ApiObject):
    """A part."""

    name: Annotated[str, Field(max_length=3, description="Its name.")]
    size: Annotated[int, Field(ge=1, le=2**40, description="Its size.")] = 7

    rules: ClassVar[tuple[Rule, ...]] = (Rule("self.size > 0", "size must be above 0", "'size is ' + self.name"),)


class Whole(ApiObject):
    """A whole
    of parts.
    """

    first_part: Annotated[Part | None, Field(description="The first.")] = None
    other: Part = Part(name="x")
    parts: Annotated[tuple[Part, ...], Field(max_length=2, description="More.")] = ()
    tags: Annotated[tuple[str, ...], Field(max_length=2, description="Once each.")] = ()
    colour: Annotated[Colour, Field(description="The colour.")] = Colour.RED
    only: Annotated[Literal["one"] | None, Field(description="Just one.")] = None
    note: Annotated[str, Field(max_length=5, description="A note.")] = ""

    list_map_keys: ClassVar[dict[str, str]] = {"parts": "name"}
    list_sets: ClassVar[frozenset[str]] = frozenset({"tags"})


PART = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"description": "Its name.", "type": "string", "maxLength": 3},
        "size": {
            "description": "Its size. From 1 to 1099511627776. Default: 7.",
            "type": "integer",
            "format": "int64",
            "default": 7,
            "minimum": 1,
            "maximum": 2**40,
        },
    },
    "x-kubernetes-validations": [
        {"rule": "self.size > 0", "message": "size must be above 0", "messageExpression": "'size is ' + self.name"}
    ],
}


def test_a_class_becomes_a_structural_schema() -> None:
    assert structural_schema(Whole) == {
        "description": "A whole of parts.",
        "type": "object",
        "properties": {
            "firstPart": {"description": "The first.", **PART},
            "other": {"description": "A part.", **PART},
            "parts": {
                "description": "More.",
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"description": "A part.", **PART},
            },
            "tags": {
                "description": "Once each.",
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string"},
            },
            "colour": {"description": "The colour. Default: Red.", "type": "string", "default": "Red", "enum": ["Red"]},
            "only": {"description": "Just one.", "type": "string", "enum": ["one"]},
            "note": {"description": "A note.", "type": "string", "maxLength": 5},
        },
    }


def test_no_constraint_is_dropped_silently() -> None:
    class Positive(ApiObject):
        size: Annotated[int, Field(gt=0)]

    with pytest.raises(ValueError, match="has no exclusiveMinimum"):
        structural_schema(Positive)


@pytest.mark.parametrize("path", ALL)
def test_everything_has_a_type_a_limit_and_a_list_type(path: str) -> None:
    schema = ALL[path]
    assert schema.get("type") in {"object", "array", "string", "integer"} or schema["x-kubernetes-int-or-string"]
    if schema.get("type") == "string":
        assert "maxLength" in schema or "enum" in schema
    if schema.get("type") == "array":
        assert schema["maxItems"] > 0
        assert schema["x-kubernetes-list-type"] in {"map", "set", "atomic"}
    if "additionalProperties" in schema:
        assert schema["maxProperties"] > 0
    if schema.get("type") == "integer":
        assert schema["format"] in {"int32", "int64"}


@pytest.mark.parametrize(
    "path", [path for path in ALL if path.startswith("spec") and ALL[path].get("type") == "integer"]
)
def test_every_number_a_user_writes_has_a_range(path: str) -> None:
    assert ALL[path]["minimum"] < ALL[path]["maximum"]


@pytest.mark.parametrize("path", [path for path in ALL if not path.endswith("[]")])
def test_everything_is_described_in_sentences(path: str) -> None:
    description = ALL[path]["description"]
    assert description[0].isupper()
    assert description.endswith(".")
    assert "\n" not in description


def test_only_constants_are_defaults() -> None:
    """Trap: what is computed later must have no default, for it would be stored and look like a wish."""
    assert {path: schema["default"] for path, schema in ALL.items() if "default" in schema} == {
        "spec.accelerator.extendedResource": "nvidia.com/gpu",
        "spec.engine.drainSeconds": 60,
        "spec.engine.kvCacheDataType": "Auto",
        "spec.engine.quantization": "FromCheckpoint",
        "spec.engine.type": "TritonVLLM",
        "spec.model.huggingFace.tokenSecretRef.key": "token",
        "spec.replicas": 1,
        "spec.rollout.type": "RollingUpdate",
    }


def test_no_reference_names_a_namespace() -> None:
    assert [path for path in ALL if path.rpartition(".")[2].lower() == "namespace"] == []


def test_quantities_are_integers_or_strings() -> None:
    schema = ALL["spec.pod.resources.requests[]"]
    assert schema["x-kubernetes-int-or-string"] is True
    assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "type" not in schema
