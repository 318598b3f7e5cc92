"""What the API server does to an object before it validates it: nulls go, defaults of the schema come.

Offline the same is done by the same schema, so that rules see the object that a server would judge. A null in a list
stays, as there, and is a wrong type (apiextensions-apiserver, pkg/apiserver/schema/defaulting).
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from conch.api.schema import Schema


def defaulted(document: Any, schema: Schema) -> Any:
    """A copy of the document with defaults filled in and nulls of optional fields left out."""
    if isinstance(document, list) and "items" in schema:
        return [defaulted(item, schema["items"]) for item in document]
    if isinstance(document, Mapping) and "additionalProperties" in schema:
        return {name: value for name, value in document.items() if value is not None}
    if not isinstance(document, Mapping) or "properties" not in schema:
        return document
    members = schema["properties"]
    return {name: deepcopy(member["default"]) for name, member in members.items() if "default" in member} | {
        name: defaulted(value, members.get(name, {}))
        for name, value in document.items()
        if value is not None or name not in members
    }
