"""Whether an observed object is as it was rendered: every rendered leaf is there, and no leaf that no longer is.

The API server adds defaults and other writers add fields; neither is a difference. The hash of the last rendered
manifest, kept as an annotation, tells a field that was rendered once and no longer is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from conch.manifests.identity import APPLIED, Manifest
from conch.revisions.inputs import canonical_json


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with its own hash among its annotations."""
    digest = hashlib.sha256(canonical_json(manifest).encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), APPLIED: digest}}}


def covers(observed: Any, rendered: Any) -> bool:
    """Whether every leaf of `rendered` is in `observed`. Lists are equal in length and order, owners excepted."""
    match rendered:
        case Mapping():
            return isinstance(observed, Mapping) and all(
                _covers_owners(observed.get(key, ()), value)
                if key == "ownerReferences"
                else key in observed and covers(observed[key], value)
                for key, value in rendered.items()
            )
        case list() | tuple():
            return (
                isinstance(observed, Sequence)
                and len(observed) == len(rendered)
                and all(covers(mine, yours) for mine, yours in zip(observed, rendered, strict=True))
            )
        case _:
            return bool(observed == rendered)


def _covers_owners(observed: Sequence[Any], rendered: Sequence[Any]) -> bool:
    by_uid = {owner["uid"]: owner for owner in observed}
    return all(covers(by_uid.get(owner["uid"], {}), owner) for owner in rendered)
