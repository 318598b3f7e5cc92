"""The ConfigMap of a revision: the engine's files. Immutable, because pods of old revisions restart too."""

from conch.manifests.identity import REVISION, Identity, Manifest, metadata, revision_name
from conch.revisions.revision import Revision


def config_map(identity: Identity, revision: Revision) -> Manifest:
    """The ConfigMap with the files of one revision."""
    child = metadata(identity, revision_name(identity, revision.hash))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**child, "labels": {**child["labels"], REVISION: revision.hash}},
        "immutable": True,
        "data": dict(revision.files),
    }
