"""The ControllerRevision that keeps a revision: its data never changes, its number says which was asked for last."""

from typing import Any

from conch.manifests.identity import REVISION, Identity, Manifest, metadata, revision_name
from conch.revisions.revision import Revision


def controller_revision(identity: Identity, revision: Revision) -> Manifest:
    """The child that stores a revision."""
    child = metadata(identity, revision_name(identity, revision.hash))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**child, "labels": {**child["labels"], REVISION: revision.hash}},
        "revision": revision.number,
        "data": revision.data(),
    }


def stored_revision(manifest: dict[str, Any]) -> Revision:
    """The revision in an observed ControllerRevision. Raises KeyError or TypeError for data that is not ours."""
    return Revision.from_data(manifest["metadata"]["labels"][REVISION], manifest["revision"], manifest["data"])
