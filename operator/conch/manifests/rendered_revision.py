"""From a spec to a new revision: the model resolved, the plan made, the engine's files and the pod rendered, once."""

from importlib import resources
from typing import Final

from conch import catalogue
from conch.api.deployment import LLMDeploymentSpec
from conch.engines import triton_vllm
from conch.manifests.identity import Identity
from conch.manifests.pod_template import config_key, pod_template
from conch.manifests.weights import FETCH_SCRIPT
from conch.models.source import resolve
from conch.planning.plan import plan
from conch.revisions.inputs import inputs, inputs_hash
from conch.revisions.revision import Revision

RENDERER: Final = 1
"""Raised with every change of what is rendered; revisions of an older renderer are kept as they are."""


def rendered_revision(identity: Identity, spec: LLMDeploymentSpec, number: int) -> Revision:
    """The revision of a spec that no stored revision answers. Raises InvalidEngineArguments."""
    document = inputs(spec)
    revision_hash = inputs_hash(document)
    made_plan, model = plan(spec), resolve(spec.model, identity.name)
    release = catalogue.release(spec.engine.release) if spec.engine.release else catalogue.NEWEST
    image = spec.engine.image or release.image
    launch = triton_vllm.launch(spec.engine, release, made_plan, model)
    return Revision(
        hash=revision_hash,
        number=number,
        inputs=document,
        model=model,
        release=release.name,
        image=image,
        plan=made_plan,
        renderer=RENDERER,
        files={**{config_key(path): text for path, text in launch.files.items()}, **_fetch_files(spec)},
        template=pod_template(identity, spec, made_plan, launch, image, revision_hash),
    )


def _fetch_files(spec: LLMDeploymentSpec) -> dict[str, str]:
    if spec.model.hugging_face is None:
        return {}
    return {FETCH_SCRIPT: resources.files("conch.models").joinpath(FETCH_SCRIPT).read_text()}
