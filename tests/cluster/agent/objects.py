"""Kubernetes objects as the API server speaks them, and the few readings of them that every part needs."""

from datetime import UTC, datetime
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]


def timestamp(moment: datetime) -> str:
    """Kubernetes' `Time`: UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime) -> str:
    """Kubernetes' `MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def full_name(item: Object) -> str:
    """`namespace/name`."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def uid(item: Object) -> str:
    """The identity of this very object; a namesake has another."""
    return str(item["metadata"]["uid"])


def annotations(item: Object) -> dict[str, str]:
    """Never None."""
    return item["metadata"].get("annotations") or {}


def is_deleted(pod: Object) -> bool:
    """Whether somebody asked for its end."""
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Object) -> bool:
    """Whether it has come to its end by itself and will never run again."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
