"""LLMDeployments as JSON, and every way in which one can be right or wrong that the tests of this folder know."""

from typing import Any

from conch.catalogue import EXTRA_ARGUMENTS, NEWEST
from conch.engines.vllm_fields import fields

Document = dict[str, Any]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT}}
CLAIM = {"persistentVolumeClaim": {"claimName": "models"}}


def deployment(name: str = "qwen", **spec: Any) -> Document:
    """A valid resource, with parts of its spec replaced or added."""
    return {
        "apiVersion": "conch.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": name},
        "spec": {"model": HUB, **spec},
    }


def hub(**members: Any) -> Document:
    """A resource whose Hugging Face model has these members replaced or added."""
    return deployment(model={"huggingFace": {**HUB["huggingFace"], **members}})


def claim(**members: Any) -> Document:
    """A resource whose model lies on a claim with these members."""
    return deployment(model={"persistentVolumeClaim": {"claimName": "models", **members}})


def environment(*variables: tuple[str, str]) -> Document:
    """A resource with these variables."""
    return deployment(pod={"env": [{"name": name, "value": value} for name, value in variables]})


def requests(**amounts: Any) -> Document:
    """A resource with these requests."""
    return deployment(pod={"resources": {"requests": amounts}})


def resources(*, cache_gibibytes: int | None = None, **sides: Document) -> Document:
    """A resource with these requests and limits, and a cache of that size on the node's disk."""
    cache = {"cache": {"emptyDir": {"sizeGibibytes": cache_gibibytes}}} if cache_gibibytes else {}
    return deployment(model={**HUB, **cache}, pod={"resources": sides})


def largest(filler: str = "x") -> Document:
    """A resource with as many entries as there may be of all that grows, each as long as may be.

    Annotations and variables are made of that character.
    """
    names = [f"n{index}" + "n" * 61 + ("." + "n" * 61) * 3 for index in range(8)]
    keys = [".".join(["p" * 63] * 3) + f"/k{index:02}" + "k" * 58 for index in range(32)]
    label = "l" * 63
    toleration = {"operator": "Equal", "value": label, "effect": "NoExecute", "tolerationSeconds": 31536000}
    token = {"name": names[0], "key": "t" * 253}
    return deployment(
        "a" * 40,
        model={"huggingFace": {"repo": "o" * 96 + "/" + "m" * 96, "revision": COMMIT, "tokenSecretRef": token}},
        engine={
            "image": f"registry.example.com/{'i' * 420}:{'t' * 70}",
            "extraArgs": [{"name": name, "value": _long_value(name)} for name in EXTRA_ARGUMENTS],
        },
        accelerator={"products": [f"P{index}" + "P" * 61 for index in range(8)]},
        pod={
            "nodeSelector": dict.fromkeys(keys, label),
            "tolerations": [{"key": key, **toleration} for key in keys],
            "imagePullSecrets": [{"name": name} for name in names],
            "env": [{"name": f"NCCL_{index:02}".ljust(128, "E"), "value": filler * 1024} for index in range(32)],
            "labels": dict.fromkeys(keys, label),
            "annotations": dict.fromkeys(keys, filler * 1024),
        },
    )


def _long_value(argument: str) -> str:
    """A value of 1024 characters that becomes as long a text as may be in the newest release's model.json."""
    types = fields(NEWEST.vllm)[argument].types
    if "object" in types:
        return '{"a":[[[[[[' + "1," * 502 + "1" + "]]]]]]}"
    return "7" * 1024 if "integer" in types else "true".ljust(1024) if "boolean" in types else "priority"


def tolerating(**toleration: Any) -> Document:
    """A resource with this toleration."""
    return deployment(pod={"tolerations": [toleration]})


EVERYTHING = deployment(
    model={
        "huggingFace": {**HUB["huggingFace"], "tokenSecretRef": {"name": "hub", "key": "token"}},
        "servedName": "Qwen3-8B",
        "cache": {"emptyDir": {"sizeGibibytes": 40}},
    },
    engine={
        "type": "TritonVLLM",
        "release": "26.08",
        "image": "registry.example.com:5000/team/triton:26.08-PY3@sha256:" + "ab" * 32,
        "maxModelLength": 32768,
        "dataType": "BFloat16",
        "quantization": "FP8",
        "kvCacheDataType": "FP8E4M3",
        "maxConcurrentSequences": 256,
        "maxBatchedTokens": 8192,
        "gpuMemoryUtilizationPercent": 90,
        "startupSeconds": 900,
        "drainSeconds": 120,
        "extraArgs": [{"name": "enforce_eager", "value": "true"}, {"name": "seed", "value": "1"}],
    },
    parallelism={"tensor": 4, "pipeline": 2, "data": 3},
    accelerator={"products": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"], "extendedResource": "nvidia.com/gpu"},
    replicas=2,
    rollout={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    pod={
        "nodeSelector": {"example.com/pool": "gpus"},
        "tolerations": [
            {"key": "team", "operator": "Equal", "value": "a", "effect": "NoExecute", "tolerationSeconds": 5}
        ],
        "imagePullSecrets": [{"name": "mirror"}],
        "env": [{"name": "NCCL_DEBUG", "value": "INFO"}, {"name": "TZ", "value": "UTC"}],
        "labels": {"team": "search", "kueue.x-k8s.io/queue-name": "gpus"},
        "annotations": {"example.com/note": "any text: {{ }}"},
        "resources": {"requests": {"cpu": 4, "memory": "64Gi"}, "limits": {"memory": "64Gi"}},
    },
)
"""Every field of the spec at once."""

GOOD: dict[str, Document] = {
    "the least": deployment(),
    "everything": EVERYTHING,
    "model on a claim": claim(path="llama/8b"),
    "null is unset": deployment(engine=None, replicas=None, pod={"labels": {"a": None}, "tolerations": None}),
    "empty objects": deployment(engine={}, parallelism={}, accelerator={}, rollout={}, pod={}),
    "zero replicas": deployment(replicas=0),
    "most replicas": deployment(replicas=1000),
    "longest name": deployment(name="a" * 40),
    "cache on a claim": deployment(model={**HUB, "cache": {"persistentVolumeClaim": {"claimName": "cache"}}}),
    "cache without a size": deployment(model={**HUB, "cache": {"emptyDir": {}}}),
    "largest pod": deployment(parallelism={"tensor": 8, "pipeline": 2}),
    "only surge": deployment(rollout={"rollingUpdate": {"maxSurge": 0}}),
    "partition": deployment(accelerator={"extendedResource": "nvidia.com/mig-3g.40gb"}),
    "time slices with tensor 1": deployment(
        accelerator={"extendedResource": "nvidia.com/gpu.shared"}, parallelism={"tensor": 1, "data": 2}
    ),
    "image by digest": deployment(engine={"image": "localhost/triton@sha256:" + "0" * 64}),
    "image by tag without registry": deployment(engine={"image": "triton:26.08"}),
    "underscores in a repository": hub(repo="_org/my__model.v1"),
    "tolerates every taint": tolerating(operator="Exists"),
    "the same toleration twice": deployment(pod={"tolerations": [{"operator": "Exists"}, {"operator": "Exists"}]}),
    "cpu in thousandths": requests(cpu="500m"),
    "cpu as a decimal": requests(cpu="1.5"),
    "bytes as an integer": requests(memory=68719476736),
    "requests as large as limits, in another notation": resources(
        requests={"cpu": 4, "memory": "1024Mi"}, limits={"cpu": "4000m", "memory": "1Gi"}
    ),
    "as much as may be of everything": largest(),
    "disk for just the cache": resources(cache_gibibytes=40, limits={"ephemeral-storage": "40Gi"}),
    "secret key with a dot": hub(tokenSecretRef={"name": "a.b", "key": ".hf-token"}),
    "dollar without parenthesis": environment(("TZ", "$x")),
    "status and server metadata": {
        **deployment(),
        "metadata": {"name": "qwen", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "status": {"observedGeneration": 3},
    },
}

BAD: dict[str, tuple[Document, str]] = {
    # shape
    "no spec": ({key: value for key, value in deployment().items() if key != "spec"}, "spec is required"),
    "no model": (deployment(model=None), "spec.model is required"),
    "spec is text": ({**deployment(), "spec": "x"}, 'spec must be an object, not "x"'),
    "list for an object": (deployment(engine=[]), "spec.engine must be an object, not a list"),
    "object for a list": (deployment(engine={"extraArgs": {}}), "spec.engine.extraArgs must be a list, not an object"),
    "text for an integer": (deployment(replicas="2"), 'spec.replicas must be a whole number, not "2"'),
    "fraction for an integer": (deployment(replicas=1.5), "spec.replicas must be a whole number, not 1.5"),
    "true for an integer": (deployment(replicas=True), "spec.replicas must be a whole number, not true"),
    "number for text": (hub(revision=1234), 'spec.model.huggingFace.revision must be text: write "1234" in quotes'),
    "number for a release": (
        deployment(engine={"release": 26.05}),
        "spec.engine.release must be '26.04', '26.05', '26.06', '26.07' or '26.08', in quotes, not 26.05",
    ),
    "null in a list": (deployment(pod={"env": [None]}), "spec.pod.env[0] must be an object, not null"),
    "unknown field": (
        deployment(engine={"maxModelLen": 4096}),
        "unknown field spec.engine.maxModelLen; did you mean maxModelLength?",
    ),
    "unknown field without a likeness": (
        deployment(rollout={"zzz": 1}),
        "unknown field spec.rollout.zzz; known here: type, rollingUpdate",
    ),
    "snake case": (
        deployment(engine={"max_model_length": 4096}),
        'unknown field spec.engine["max_model_length"]; did you mean maxModelLength?',
    ),
    "unknown field at the root": ({**deployment(), "specs": {}}, "unknown field specs; did you mean spec?"),
    "unknown null": (deployment(nothing=None), "unknown field spec.nothing; known here: model"),
    "namespace of a secret": (
        hub(tokenSecretRef={"name": "hub", "namespace": "kube-system"}),
        "unknown field spec.model.huggingFace.tokenSecretRef.namespace; did you mean name?",
    ),
    # limits
    "negative replicas": (deployment(replicas=-1), "spec.replicas must be at least 0, not -1"),
    "too many replicas": (deployment(replicas=1001), "spec.replicas must be at most 1000, not 1001"),
    "tensor 0": (deployment(parallelism={"tensor": 0}), "spec.parallelism.tensor must be at least 1, not 0"),
    "utilization above all": (
        deployment(engine={"gpuMemoryUtilizationPercent": 100}),
        "spec.engine.gpuMemoryUtilizationPercent must be at most 98, not 100",
    ),
    "beyond 64 bits": (deployment(replicas=10**19), "spec.replicas must be a number of at most 64 bits"),
    "text too long": (
        environment(("TZ", "x" * 1025)),
        "spec.pod.env[0].value must have at most 1024 characters, not 1025",
    ),
    "text too short": (hub(revision=""), "spec.model.huggingFace.revision must not be empty"),
    "annotation too long": (
        deployment(pod={"annotations": {"a": "x" * 1025}}),
        "spec.pod.annotations.a must have at most 1024 characters, not 1025",
    ),
    "list too long": (
        deployment(pod={"imagePullSecrets": [{"name": f"s{index}"} for index in range(9)]}),
        "spec.pod.imagePullSecrets must have at most 8 entries, not 9",
    ),
    "map too long": (
        deployment(pod={"labels": {f"l{index}": "" for index in range(33)}}),
        "spec.pod.labels must have at most 32 entries, not 33",
    ),
    # choices and patterns
    "engine type": (deployment(engine={"type": "VLLM"}), "spec.engine.type must be 'TritonVLLM', not \"VLLM\""),
    "data type": (
        deployment(engine={"dataType": "bf16"}),
        "spec.engine.dataType must be 'BFloat16', 'Float16' or 'Float32', not \"bf16\"",
    ),
    "served name": (
        deployment(model={**HUB, "servedName": "../x"}),
        'spec.model.servedName is "../x" and must match ^[A-Za-z0-9]',
    ),
    "served name with a newline at the end": (
        deployment(model={**HUB, "servedName": "x\n"}),
        'spec.model.servedName is "x\\n" and must match ^[A-Za-z0-9]',
    ),
    "secret name with a path": (hub(tokenSecretRef={"name": "../x"}), "tokenSecretRef.name is"),
    "secret key that climbs": (hub(tokenSecretRef={"name": "x", "key": ".."}), "tokenSecretRef.key is"),
    "claim in another namespace": (claim(claimName="other/models"), "persistentVolumeClaim.claimName is"),
    "product with a space": (deployment(accelerator={"products": ["NVIDIA H100"]}), "spec.accelerator.products[0] is"),
    "label value": (deployment(pod={"labels": {"a": "b c"}}), 'spec.pod.labels.a is "b c" and must match'),
    "number as a label": (deployment(pod={"labels": {"a": 1}}), 'spec.pod.labels.a must be text: write "1" in quotes'),
    # quantities
    "cpu as a bare decimal": (
        requests(cpu=1.5),
        'spec.pod.resources.requests.cpu must be a quantity such as 4, 500m, 1.5 or 64Gi: write "1.5" in quotes',
    ),
    "negative memory": (requests(memory=-1), "requests.memory must be a quantity such as 4, 500m, 1.5 or 64Gi, not -1"),
    "memory in words": (
        requests(memory="64 GB"),
        'requests.memory must be a quantity such as 4, 500m, 1.5 or 64Gi, not "64',
    ),
    "more memory than counts": (requests(memory="9999999Ti"), "requests.memory must be a quantity"),
    "more bytes than count": (requests(memory=10**15), "requests.memory must be a quantity"),
    "cpu is true": (requests(cpu=True), "requests.cpu must be a quantity such as 4, 500m, 1.5 or 64Gi, not true"),
    # unique keys
    "variable twice": (environment(("TZ", "a"), ("TZ", "b")), "spec.pod.env[1].name repeats 'TZ'"),
    "argument twice": (
        deployment(engine={"extraArgs": [{"name": "seed", "value": "1"}, {"name": "seed", "value": "2"}]}),
        "spec.engine.extraArgs[1].name repeats 'seed'",
    ),
    "product twice": (deployment(accelerator={"products": ["a", "a"]}), "spec.accelerator.products[1] repeats 'a'"),
    "secret twice": (
        deployment(pod={"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}),
        "spec.pod.imagePullSecrets[1].name repeats 'a'",
    ),
}
"""What the shape or the keys of lists forbid; the text is the start or a part of the first problem."""

BROKEN_RULES: dict[str, tuple[Document, str]] = {
    "name with dots": (
        deployment(name="llama-3.1-8b"),
        "metadata.name 'llama-3.1-8b' must be at most 40 characters, start with a letter and hold only lower case "
        "letters, digits and dashes, because the Service of this name must be a DNS label; for example 'llama-3-1-8b'",
    ),
    "name that starts with a digit": (deployment(name="70b"), "for example 'llm-70b'"),
    "name too long": (deployment(name="a" * 39 + "-b"), f"for example '{'a' * 39}'"),
    "no source": (deployment(model={}), "spec.model: model must have exactly one of huggingFace and"),
    "two sources": (deployment(model={**HUB, **CLAIM}), "spec.model: model must have exactly one of huggingFace and"),
    "cache of a claim": (
        deployment(model={**CLAIM, "cache": {"emptyDir": {}}}),
        "spec.model: cache is only for huggingFace: a model on a claim is read where it is; remove cache",
    ),
    "empty cache": (deployment(model={**HUB, "cache": {}}), "spec.model.cache: cache must have exactly one of"),
    "branch": (
        hub(revision="main"),
        "spec.model.huggingFace: revision must be a full commit of 40 hexadecimal characters, because a branch can "
        "move under a running model; 'git ls-remote https://huggingface.co/Qwen/Qwen3-8B' shows the commit that 'main' "
        "may point to",
    ),
    "branch with a newline": (hub(revision="main\n"), "revision must be a full commit of 40 hexadecimal characters"),
    "short commit": (hub(revision=COMMIT[:12]), "revision must be a full commit of 40 hexadecimal characters"),
    "repository without organisation": (hub(repo="gpt2"), "spec.model.huggingFace: repo must be 'organisation/name'"),
    "repository that climbs": (hub(repo="a/../../b"), "spec.model.huggingFace: repo must be 'organisation/name'"),
    "repository with dashes": (hub(repo="a/b--c"), "spec.model.huggingFace: repo must be 'organisation/name'"),
    "repository of git": (hub(repo="a/b.git"), "spec.model.huggingFace: repo must be 'organisation/name'"),
    "path that climbs": (
        claim(path="a/../../etc"),
        "spec.model.persistentVolumeClaim: path must be folders of letters",
    ),
    "absolute path": (claim(path="/etc"), "spec.model.persistentVolumeClaim: path must be folders of letters"),
    "image without a tag": (
        deployment(engine={"image": "nvcr.io/nvidia/tritonserver"}),
        "spec.engine: image 'nvcr.io/",
    ),
    "image in capitals": (
        deployment(engine={"image": "nvcr.io/NVIDIA/triton:1"}),
        "spec.engine: image 'nvcr.io/NVIDIA",
    ),
    "image with a space": (deployment(engine={"image": "a b:1"}), "spec.engine: image 'a b:1' must be"),
    "argument that loads code": (
        deployment(engine={"extraArgs": [{"name": "trust_remote_code", "value": "true"}]}),
        "spec.engine.extraArgs[0]: argument 'trust_remote_code' is not allowed; name must be one of async_scheduling, ",
    ),
    "pod too large": (
        deployment(parallelism={"tensor": 8, "pipeline": 4}),
        "spec.parallelism: tensor x pipeline must be at most 16, because one engine runs in one pod on one node; ",
    ),
    "tensor parallelism on slices": (
        deployment(accelerator={"extendedResource": "nvidia.com/gpu.shared"}, parallelism={"tensor": 2}),
        "spec: parallelism.tensor and parallelism.pipeline must be 1 on shared or partitioned GPUs",
    ),
    "resource of another vendor": (
        deployment(accelerator={"extendedResource": "amd.com/gpu"}),
        "spec.accelerator: extendedResource must be nvidia.com/gpu, nvidia.com/gpu.shared or a partition",
    ),
    "nothing may be replaced": (
        deployment(rollout={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.rollout.rollingUpdate: maxSurge and maxUnavailable must not both be 0",
    ),
    "variable that loads a library": (environment(("LD_PRELOAD", "x")), "spec.pod.env[0]: variable LD_PRELOAD is not"),
    "variable that loads a plugin": (
        environment(("NCCL_NET_PLUGIN", "x")),
        "spec.pod.env[0]: variable NCCL_NET_PLUGIN",
    ),
    "variable that writes a file": (environment(("NCCL_DEBUG_FILE", "x")), "spec.pod.env[0]: variable NCCL_DEBUG_FILE"),
    "variable that moves the Hub": (environment(("HF_ENDPOINT", "x")), "spec.pod.env[0]: variable HF_ENDPOINT is not"),
    "variable that expands": (
        environment(("TZ", "$(SECRET)")),
        "spec.pod.env[0]: value must not contain '$(', which Kubernetes would replace by the value of another variable",
    ),
    "GPUs in requests": (
        deployment(pod={"resources": {"requests": {"nvidia.com/gpu": 1}}}),
        "spec.pod.resources: requests may name only cpu, memory and ephemeral-storage; GPUs follow from parallelism",
    ),
    "GPUs in limits": (
        deployment(pod={"resources": {"limits": {"nvidia.com/gpu": 1}}}),
        "spec.pod.resources: limits may name only cpu, memory and ephemeral-storage; GPUs follow from parallelism",
    ),
    "label of ours": (deployment(pod={"labels": {"conch.dev/slot": "1"}}), "spec.pod: labels under conch.dev"),
    "label of Kubernetes": (
        deployment(pod={"labels": {"app.kubernetes.io/name": "x"}}),
        "spec.pod: labels under conch.dev, kubernetes.io and k8s.io are reserved; use a prefix of your own",
    ),
    "label key": (deployment(pod={"labels": {"a b": "c"}}), "spec.pod: labels must have keys such as"),
    "label key too long": (deployment(pod={"labels": {"a" * 64: "c"}}), "spec.pod: labels must have keys such as"),
    "selector key": (deployment(pod={"nodeSelector": {"a/b/c": "d"}}), "spec.pod: nodeSelector must have keys"),
    "annotation key": (deployment(pod={"annotations": {"-": "d"}}), "spec.pod: annotations must have keys such as"),
    "annotation that lifts AppArmor": (
        deployment(pod={"annotations": {"container.apparmor.security.beta.kubernetes.io/engine": "unconfined"}}),
        "spec.pod: annotations under conch.dev and those that change the pod's security are reserved; remove them",
    ),
    "taint key": (tolerating(key="a b", operator="Exists"), "spec.pod.tolerations[0]: key must be the key of a taint"),
    "every taint by value": (
        tolerating(value="x"),
        "spec.pod.tolerations[0]: operator must be Exists when key is unset",
    ),
    "value of an existing taint": (
        tolerating(key="a", operator="Exists", value="x"),
        "spec.pod.tolerations[0]: value must be unset when operator is Exists: it would be ignored",
    ),
    "seconds without eviction": (
        tolerating(key="a", operator="Exists", effect="NoSchedule", tolerationSeconds=5),
        "spec.pod.tolerations[0]: effect must be NoExecute when tolerationSeconds is set: other effects evict nothing",
    ),
    "two at once": (
        deployment(model={**CLAIM, "cache": {"emptyDir": {}}}, parallelism={"tensor": 16, "pipeline": 2}),
        "spec.model: cache is only for huggingFace",
    ),
}
"""What only CEL rules forbid; the texts are the server's too."""

CONTRADICTIONS: dict[str, tuple[Document, str]] = {
    "memory": (
        resources(requests={"memory": "64Gi"}, limits={"memory": "32Gi"}),
        "spec.pod.resources.requests.memory is 64Gi and must be at most 32Gi, which is "
        "spec.pod.resources.limits.memory",
    ),
    "cpu, text and number": (
        resources(requests={"cpu": "2001m"}, limits={"cpu": 2}),
        "spec.pod.resources.requests.cpu is 2001m and must be at most 2, which is spec.pod.resources.limits.cpu",
    ),
    "disk": (
        resources(requests={"ephemeral-storage": "10G"}, limits={"ephemeral-storage": "9Gi"}),
        'spec.pod.resources.requests["ephemeral-storage"] is 10G and must be at most 9Gi, which is '
        'spec.pod.resources.limits["ephemeral-storage"]',
    ),
    "no disk for the cache": (
        resources(cache_gibibytes=40, limits={"ephemeral-storage": "39Gi"}),
        'spec.pod.resources.limits["ephemeral-storage"] is 39Gi and must be at least 40Gi, the size of '
        "spec.model.cache.emptyDir, which counts to it",
    ),
    "no disk for the cache, though less is requested": (
        resources(cache_gibibytes=40, requests={"ephemeral-storage": "1Gi"}, limits={"ephemeral-storage": "2Gi"}),
        'spec.pod.resources.limits["ephemeral-storage"] is 2Gi and must be at least 40Gi',
    ),
    "longer than any engine can carry": (
        largest("\u00e9"),
        "spec has 2",
    ),
}
"""What a server accepts and Conch refuses: numbers that clash. The text is the start of the one problem."""
