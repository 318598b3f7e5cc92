"""The ControllerRevision that keeps a revision: its data never changes, its number says which was asked for last."""

from typing import Any

from conch.manifests.identity import MILESTONE, REVISION, Identity, Manifest, metadata, revision_name
from conch.revisions.revision import Milestone, Revision


def controller_revision(identity: Identity, revision: Revision) -> Manifest:
    """The child that stores a revision."""
    reached = {MILESTONE: revision.milestone.name} if revision.milestone else None
    child = metadata(identity, revision_name(identity, revision.hash), reached)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**child, "labels": {**child["labels"], REVISION: revision.hash}},
        "revision": revision.number,
        "data": revision.data(),
    }


def stored_revision(manifest: dict[str, Any]) -> Revision:
    """The revision in an observed ControllerRevision. Raises KeyError or TypeError for data that is not ours."""
    observed = manifest["metadata"]
    milestone = Milestone[observed.get("annotations", {}).get(MILESTONE, Milestone.NONE.name)]
    return Revision.from_data(observed["labels"][REVISION], manifest["revision"], manifest["data"]).reached(milestone)
