"""Pydantic classes as the structural schemas of Kubernetes: what `kubectl explain` prints and the API server enforces.

The shape comes from the classes, the CEL rules and list types from their class variables. References are inlined; null
branches, titles, `const` and `additionalProperties: false`, which pydantic writes and a structural schema refuses, are
left out (kubernetes.io/docs, "Extend the Kubernetes API with CustomResourceDefinitions", "Specifying a structural
schema").

Only scalars that are not empty become defaults. A default is stored with the object and can never be told from a wish,
so what is computed later, empty lists, and objects whose members have defaults of their own are left out.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from conch.api.objects import ApiObject

Schema = dict[str, Any]

_INT32_LARGEST: Final = 2**31 - 1
_MEMBERS: Final = ("properties", "additionalProperties", "items")
_LEFT_OUT: Final = {"$defs", "$ref", "title"}
_ORDER: Final = (
    "description",
    "type",
    "format",
    "x-kubernetes-int-or-string",
    "anyOf",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "items",
    "additionalProperties",
    "required",
    "properties",
    "x-kubernetes-validations",
)


@cache
def structural_schema(cls: type[ApiObject]) -> Schema:
    """The schema of one class with all its parts inlined. Callers share the answer and must not change it.

    Raises ValueError for a constraint that a structural schema cannot hold, such as an exclusive bound.
    """
    document = cls.model_json_schema(by_alias=True, schema_generator=_Structural)
    return _inlined(document, document.get("$defs", {}))


class _Structural(GenerateJsonSchema):
    """Pydantic's generator with the words that only Kubernetes has, and without those that it refuses."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        document = super().model_schema(schema)
        cls = schema["cls"]
        document.pop("additionalProperties", None)
        if not issubclass(cls, ApiObject):
            return document
        for field, info in cls.model_fields.items():
            member = document["properties"][info.alias]
            if member.get("type") == "array":
                member.update(_list_type(cls, field))
        if cls.rules:
            document["x-kubernetes-validations"] = [rule.as_schema() for rule in cls.rules]
        return document

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        document = super().default_schema(schema)
        if not isinstance(document.get("default"), int | str) or document["default"] == "":
            document.pop("default", None)
        return document

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        document = super().int_schema(schema)
        wide = document.get("maximum", 0) > _INT32_LARGEST
        return {**document, "format": "int64" if wide else "int32"}

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        document = super().literal_schema(schema)
        if "const" in document:
            document["enum"] = [document.pop("const")]
        return document


def _list_type(cls: type[ApiObject], field: str) -> Schema:
    """How server-side apply merges a list: by key, as a set, or whole."""
    if field in cls.list_map_keys:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [cls.list_map_keys[field]]}
    return {"x-kubernetes-list-type": "set" if field in cls.list_sets else "atomic"}


def _inlined(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The node with its references replaced by what they name, and its keys in reading order."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, **node}
    if unknown := node.keys() - _LEFT_OUT - {*_ORDER}:
        raise ValueError(f"a structural schema of Kubernetes has no {', '.join(sorted(unknown))}: {node}")
    schema = {key: _inlined_member(key, node[key], definitions) for key in _ORDER if key in node}
    return {**schema, "description": _manual(schema)} if "description" in schema else schema


def _manual(schema: Schema) -> str:
    """The description on one line, with the range and the default, which `kubectl explain` does not show."""
    sentences = [" ".join(schema["description"].split())]
    if "minimum" in schema and "maximum" in schema:
        sentences.append(f"From {schema['minimum']} to {schema['maximum']}.")
    if "default" in schema:
        sentences.append(f"Default: {schema['default']}.")
    return " ".join(sentences)


def _inlined_member(key: str, value: Any, definitions: Mapping[str, Any]) -> Any:
    if key == "properties":
        return {name: _inlined(member, definitions) for name, member in value.items()}
    return _inlined(value, definitions) if key in _MEMBERS else value
