"""The ReplicaSet of a slot: one pod of one revision for life, which heals by itself while the operator is away."""

import json
from typing import Any

from conch.manifests.identity import (
    RECORD,
    REVISION,
    Identity,
    Manifest,
    Slot,
    metadata,
    slot_labels,
    slot_name,
    slot_selector,
)
from conch.revisions.inputs import canonical_json
from conch.revisions.revision import Revision


def replica_set(identity: Identity, slot: Slot, revision: Revision) -> Manifest:
    """The ReplicaSet that keeps the one pod of a slot running."""
    record = {**revision.record(), "number": revision.number}
    child = metadata(identity, slot_name(identity, slot), {RECORD: canonical_json(record)})
    template = dict(revision.template)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {**child, "labels": {**child["labels"], **slot_labels(slot), REVISION: revision.hash}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": slot_selector(identity, slot)},
            "template": {**template, "metadata": _with_slot(template["metadata"], slot)},
        },
    }


def _with_slot(template_metadata: Manifest, slot: Slot) -> Manifest:
    return {**template_metadata, "labels": {**template_metadata["labels"], **slot_labels(slot)}}


def revision_of(manifest: dict[str, Any]) -> Revision:
    """The revision that an observed ReplicaSet runs, rebuilt from its record and its template.

    Raises KeyError or ValueError when somebody removed the record.
    """
    record = json.loads(manifest["metadata"]["annotations"][RECORD])
    template = manifest["spec"]["template"]
    slot_keys = slot_labels(Slot(0, 0)).keys()
    kept = {key: value for key, value in template["metadata"]["labels"].items() if key not in slot_keys}
    return Revision.from_data(
        manifest["metadata"]["labels"][REVISION],
        record["number"],
        {**record, "template": {**template, "metadata": {**template["metadata"], "labels": kept}}},
    )
