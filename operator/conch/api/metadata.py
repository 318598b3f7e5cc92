"""`metadata` of a document that a user wrote: known fields only, for a typo would put a deployment into another place.

The API server validates metadata itself, so this is for reading offline. What a server adds is taken as it is
(k8s.io/apimachinery/pkg/apis/meta/v1, ObjectMeta).
"""

from typing import Annotated, Any

from pydantic import Field

from conch.api.objects import ApiObject

Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label (RFC 1123)."""


class Metadata(ApiObject):
    """Standard metadata of an object."""

    name: str
    namespace: Namespace | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: Any = None
    generate_name: Any = None

    # Filled in by servers, and there in what 'kubectl get --output=yaml' prints.
    creation_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    deletion_timestamp: Any = None
    generation: Any = None
    managed_fields: Any = None
    resource_version: Any = None
    self_link: Any = None
    uid: Any = None
