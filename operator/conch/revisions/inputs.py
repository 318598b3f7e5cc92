"""The inputs of a revision: everything the user set that decides what an engine pod is, and its hash.

Values equal to their schema default are left out, and so is every object that is empty then: the operator only ever
sees a spec that the API server has filled with defaults, so nothing else could tell a new field from a changed one.
The order of sets and maps and the notation of quantities are no inputs either: parsing leaves one of each.
`replicas` and `rollout` decide how many engines there are and how they change, not what they are: not inputs.
"""

import hashlib
import json
from typing import Any, Final

from conch.api.deployment import LLMDeploymentSpec

NOT_INPUTS: Final = {"replicas", "rollout"}
HASH_LENGTH: Final = 10


def inputs(spec: LLMDeploymentSpec) -> dict[str, Any]:
    """The inputs as JSON, in the resource's own camelCase."""
    document = spec.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json", exclude=NOT_INPUTS)
    pruned: dict[str, Any] = _without_empty_objects(document)
    return pruned


def inputs_hash(document: dict[str, Any]) -> str:
    """Ten hexadecimal characters that name the revision of these inputs."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()[:HASH_LENGTH]


def canonical_json(document: dict[str, Any]) -> str:
    """The one text of a JSON document: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_empty_objects(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    members = {key: _without_empty_objects(member) for key, member in value.items()}
    return {key: member for key, member in members.items() if member != {}}
