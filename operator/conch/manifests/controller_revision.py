"""The ControllerRevision that keeps a revision: its data never changes, its number says which was asked for last."""

from typing import Any

from conch.manifests.identity import REVISION, ROLLED_OUT, SERVED, Identity, Manifest, metadata, revision_name
from conch.revisions.revision import Revision


def controller_revision(identity: Identity, revision: Revision) -> Manifest:
    """The child that stores a revision."""
    seen = {SERVED: revision.served, ROLLED_OUT: revision.rolled_out}
    annotations = {key: "true" for key, is_so in seen.items() if is_so}
    child = metadata(identity, revision_name(identity, revision.hash), annotations)
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
    seen = observed.get("annotations", {})
    revision = Revision.from_data(observed["labels"][REVISION], manifest["revision"], manifest["data"])
    return revision.known_to(have_served=seen.get(SERVED) == "true", be_rolled_out=seen.get(ROLLED_OUT) == "true")
