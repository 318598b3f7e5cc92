"""One spec for each meaning: lists whose order says nothing are sorted, as server-side apply may hand them out anyhow.

What is a set or a map to server-side apply (`list_sets`, `list_map_keys`, objects of texts) has no order that a user
could mean, so none may reach a revision's hash or a pod. Other lists, such as tolerations, stay as they are written.
"""

from operator import attrgetter
from typing import Any, TypeVar

from conch.api.objects import ApiObject

Object = TypeVar("Object", bound=ApiObject)


def canonical(parsed: Object) -> Object:
    """The same object with sets sorted and maps sorted by their key, at every depth."""
    return parsed.model_copy(update={name: _member(parsed, name) for name in type(parsed).model_fields})


def _member(parent: ApiObject, field: str) -> Any:
    value = getattr(parent, field)
    if isinstance(value, ApiObject):
        return canonical(value)
    if isinstance(value, dict):
        return dict(sorted(value.items()))
    if not isinstance(value, tuple):
        return value
    items = tuple(canonical(item) if isinstance(item, ApiObject) else item for item in value)
    if field in parent.list_map_keys:
        return tuple(sorted(items, key=attrgetter(parent.list_map_keys[field])))
    return tuple(sorted(items)) if field in parent.list_sets else items
