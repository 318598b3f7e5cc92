"""`spec.model`: which model, from where, under which name it is served, and where its files are kept."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from conch.api.objects import ApiObject
from conch.api.rules import Rule

Name = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]
"""A name of a Kubernetes object (RFC 1123 subdomain). There is no namespace beside it: references are local."""


class SecretKeyRef(ApiObject):
    """A key of a Secret in the resource's own namespace."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: Annotated[Name, Field(description="Name of the Secret, in the namespace of the LLMDeployment.")]
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
            description="Key of the Secret that holds the value.",
        ),
    ] = "token"


_REPO = "^[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?/[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$"
"""Names of the Hub (huggingface_hub, `utils/_validators.py`, validate_repo_id)."""


class HuggingFaceModel(ApiObject):
    """A repository of the Hugging Face Hub at one commit."""

    repo: Annotated[
        str,
        Field(
            min_length=3,
            max_length=193,
            description="Repository as 'organisation/name', for example 'Qwen/Qwen3-8B'.",
        ),
    ]
    revision: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            description="The commit to serve, as 40 hexadecimal characters. Pods only ever see this commit. "
            "'git ls-remote https://huggingface.co/REPO' lists the commits of branches and tags.",
        ),
    ]
    token_secret_ref: Annotated[
        SecretKeyRef | None,
        Field(
            description="Token for gated or private repositories. Only the container that downloads the weights "
            "mounts it, as a file; the engine never sees it."
        ),
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.revision.matches('^[0-9a-f]{40}$')",
            "revision must be a full commit of 40 hexadecimal characters, because a branch can move under a running "
            "model; 'git ls-remote https://huggingface.co/REPO' shows the commit a branch or tag points to",
            "'revision must be a full commit of 40 hexadecimal characters, because a branch can move under a running "
            "model; \\'git ls-remote https://huggingface.co/' + self.repo + '\\' shows the commit that \\'' + "
            "self.revision + '\\' may point to'",
        ),
        Rule(
            f"self.repo.matches('{_REPO}') && !self.repo.contains('--') && !self.repo.contains('..') && "
            "!self.repo.endsWith('.git')",
            "repo must be 'organisation/name' as on the Hugging Face Hub: letters, digits, '-', '_' and '.', without "
            "'--' or '..' and without '.git' at the end",
        ),
    )


class PersistentVolumeClaimModel(ApiObject):
    """A folder of a claim that already holds the model, as saved by Hugging Face transformers."""

    claim_name: Annotated[
        Name, Field(description="Name of a PersistentVolumeClaim in the namespace of the LLMDeployment.")
    ]
    path: Annotated[
        str,
        Field(
            max_length=1024,
            description="Folder inside the claim that holds config.json and the safetensors files; unset: the root "
            "of the claim. It is mounted read-only.",
        ),
    ] = ""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.path) || (self.path.matches('^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$') && "
            "!self.path.matches('(^|/)[.][.]?(/|$)'))",
            "path must be folders of letters, digits, '.', '_' and '-' with '/' between them, relative to the root of "
            "the claim, without '.' or '..' as a folder",
        ),
    )


class EmptyDirCache(ApiObject):
    """A cache on the node's disk that lives as long as the pod: every new pod downloads the weights again."""

    size_gibibytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=65536,
            description="Limit in GiB, also requested as ephemeral storage, so that the scheduler finds a node with "
            "the room. Unset: no limit and nothing requested; a large model can then fill the node's disk.",
        ),
    ] = None


class PersistentVolumeClaimCache(ApiObject):
    """A cache on a claim: the weights are downloaded once and shared by all pods that mount it."""

    claim_name: Annotated[
        Name,
        Field(
            description="Name of a PersistentVolumeClaim in the namespace of the LLMDeployment. More than one node "
            "needs an access mode of ReadWriteMany."
        ),
    ]


class ModelCache(ApiObject):
    """Where downloaded weights are kept; exactly one member."""

    empty_dir: Annotated[EmptyDirCache | None, Field(description="The node's disk, for the life of the pod.")] = None
    persistent_volume_claim: Annotated[
        PersistentVolumeClaimCache | None, Field(description="A claim of the same namespace.")
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.emptyDir), has(self.persistentVolumeClaim)].filter(set, set).size() == 1",
            "cache must have exactly one of emptyDir and persistentVolumeClaim",
        ),
    )


class Model(ApiObject):
    """The model to serve; exactly one source."""

    hugging_face: Annotated[
        HuggingFaceModel | None,
        Field(description="Download the model from the Hugging Face Hub. Only safetensors weights are fetched."),
    ] = None
    persistent_volume_claim: Annotated[
        PersistentVolumeClaimModel | None, Field(description="Read the model from a claim that already holds it.")
    ] = None
    served_name: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="Name under which clients ask for the model (/v2/models/NAME/generate). "
            "Unset: the name of the LLMDeployment.",
        ),
    ] = None
    cache: Annotated[
        ModelCache | None,
        Field(
            description="Where downloaded weights are kept. Unset: an emptyDir without a size limit. "
            "Only for huggingFace."
        ),
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.huggingFace), has(self.persistentVolumeClaim)].filter(set, set).size() == 1",
            "model must have exactly one of huggingFace and persistentVolumeClaim",
        ),
        Rule(
            "!has(self.cache) || has(self.huggingFace)",
            "cache is only for huggingFace: a model on a claim is read where it is; remove cache",
        ),
    )
