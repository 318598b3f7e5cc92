"""How the resource's Python classes behave: frozen, camelCase outside, strict about unknown fields, with CEL rules."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from conch.api.rules import Rule


class ApiObject(BaseModel):
    """A JSON object of the API. Unknown fields are an error: nothing a user writes is dropped silently."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        use_enum_values=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    list_map_keys: ClassVar[dict[str, str]] = {}
    """Fields that are lists of objects, each with its key (in camelCase): no key twice, and server-side apply merges by
    it."""
    list_sets: ClassVar[frozenset[str]] = frozenset()
    """Fields that are lists of texts, each text once. Other lists are replaced whole by server-side apply."""
