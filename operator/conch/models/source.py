"""Where a model comes from and where an engine finds it: spec.model resolved to a commit and a path in the pod.

Downloaded weights lie as `huggingface_hub` lays out its cache, so that deployments which share a claim share files:
`<cache>/models--<organisation>--<name>/snapshots/<commit>`.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from conch.api.model import Model

WEIGHTS_FOLDER: Final = PurePosixPath("/weights")
"""Where the cache, or the claim that holds the model, is mounted."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be run: its origin in words, its commit where it has one, its folder inside the pod."""

    source: str
    commit: str | None
    served_name: str
    path: PurePosixPath


def resolve(model: Model, deployment_name: str) -> ResolvedModel:
    """The model of a deployment. Needs no network: revisions are full commits."""
    served_name = model.served_name or deployment_name
    if model.hugging_face is not None:
        hub = model.hugging_face
        folder = f"models--{hub.repo.replace('/', '--')}"
        return ResolvedModel(
            source=f"https://huggingface.co/{hub.repo}",
            commit=hub.revision,
            served_name=served_name,
            path=WEIGHTS_FOLDER / folder / "snapshots" / hub.revision,
        )
    if model.persistent_volume_claim is None:
        raise ValueError("a model has exactly one source; the API's rules see to that")
    claim = model.persistent_volume_claim
    return ResolvedModel(
        source=f"persistentvolumeclaim/{claim.claim_name}/{claim.path}".rstrip("/"),
        commit=None,
        served_name=served_name,
        path=WEIGHTS_FOLDER,
    )
