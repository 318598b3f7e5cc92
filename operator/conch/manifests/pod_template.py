"""The pod of one engine, without the labels of its slot. Rendered once per revision and then kept.

Every pod meets the `restricted` Pod Security Standard. `shareProcessNamespace` keeps Triton from being PID 1, where it
would ignore SIGTERM while it loads and hold its GPUs for the whole grace period.
"""

from typing import Final

from conch.api import quantity
from conch.api.deployment import LLMDeploymentSpec
from conch.api.pod import Resources, Toleration
from conch.engines.launch import Launch
from conch.manifests import weights
from conch.manifests.identity import REVISION, SERVING, Identity, Manifest, labels, revision_name, service_account_name
from conch.planning.plan import Plan

PROBE_SECONDS: Final = 5
ENDPOINT_REMOVAL_SECONDS: Final = 5
"""preStop: how long kube-proxy and clients get to notice that the pod is leaving before the engine closes its port."""
EXIT_MARGIN_SECONDS: Final = 10
"""What the engine needs beyond its drain to unload the model and exit."""
USER: Final = 1000
"""`triton-server` in NVIDIA's image."""

_CONTAINER_SECURITY: Final[Manifest] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_template(
    identity: Identity, spec: LLMDeploymentSpec, plan: Plan, launch: Launch, image: str, revision_hash: str
) -> Manifest:
    """The template of an engine's pod for one revision."""
    config_map = revision_name(identity, revision_hash)
    pod = spec.pod
    return {
        "metadata": {
            "labels": {**pod.labels, **labels(identity), REVISION: revision_hash, SERVING: "true"},
            **({"annotations": dict(pod.annotations)} if pod.annotations else {}),
        },
        "spec": {
            "serviceAccountName": service_account_name(identity),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": ENDPOINT_REMOVAL_SECONDS + launch.drain_seconds + EXIT_MARGIN_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **({"nodeSelector": dict(pod.node_selector)} if pod.node_selector else {}),
            **_affinity(spec),
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                *(_toleration(toleration) for toleration in pod.tolerations),
            ],
            **(
                {"imagePullSecrets": [{"name": secret.name} for secret in pod.image_pull_secrets]}
                if pod.image_pull_secrets
                else {}
            ),
            **_init_containers(spec, image),
            "containers": [_engine_container(spec, plan, launch, image)],
            "volumes": _volumes(spec, plan, launch, config_map),
        },
    }


def _init_containers(spec: LLMDeploymentSpec, image: str) -> Manifest:
    containers = weights.init_containers(spec.model, image, _CONTAINER_SECURITY)
    return {"initContainers": containers} if containers else {}


def _engine_container(spec: LLMDeploymentSpec, plan: Plan, launch: Launch, image: str) -> Manifest:
    environment = {"HOME": "/tmp", **launch.environment, **{entry.name: entry.value for entry in spec.pod.env}}  # noqa: S108
    return {
        "name": "engine",
        "image": image,
        "command": list(launch.command),
        "env": [{"name": name, **({"value": value} if value else {})} for name, value in environment.items()],
        "ports": [
            {"name": "http", "containerPort": launch.ports.http, "protocol": "TCP"},
            {"name": "grpc", "containerPort": launch.ports.grpc, "protocol": "TCP"},
            {"name": "metrics", "containerPort": launch.ports.metrics, "protocol": "TCP"},
        ],
        "resources": _resources(spec, plan),
        "securityContext": _CONTAINER_SECURITY,
        **_probes(plan, launch),
        "lifecycle": {"preStop": {"sleep": {"seconds": ENDPOINT_REMOVAL_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            weights.mount(spec.model),
            {"name": "model-repository", "mountPath": str(launch.files_folder), "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def _probes(plan: Plan, launch: Launch) -> Manifest:
    health = launch.health
    return {
        "startupProbe": {
            "httpGet": {"path": health.startup, "port": "http"},
            "periodSeconds": PROBE_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": -(-plan.startup_seconds // PROBE_SECONDS),
        },
        "readinessProbe": {
            "httpGet": {"path": health.readiness, "port": "http"},
            "periodSeconds": PROBE_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": health.liveness, "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def _resources(spec: LLMDeploymentSpec, plan: Plan) -> Manifest:
    gpus = {spec.accelerator.extended_resource: str(plan.gpus_per_pod)}
    wanted = spec.pod.resources or Resources()
    computed = {
        "cpu": quantity.canonical(f"{plan.cpu_millicores}m"),
        "memory": quantity.of_bytes(plan.memory_bytes),
        **_disk(spec),
    }
    # A request above a limit would be refused.
    within_limits = {
        name: min(request, wanted.limits.get(name, request), key=quantity.amount) for name, request in computed.items()
    }
    requests = {**within_limits, **wanted.requests}
    limits = {"memory": requests["memory"], **wanted.limits}
    return {"requests": {**requests, **gpus}, "limits": {**limits, **gpus}}


def _disk(spec: LLMDeploymentSpec) -> Manifest:
    cache = spec.model.cache
    if cache is None or cache.empty_dir is None or cache.empty_dir.size_gibibytes is None:
        return {}
    return {"ephemeral-storage": quantity.canonical(f"{cache.empty_dir.size_gibibytes}Gi")}


def _shm_bytes(spec: LLMDeploymentSpec, plan: Plan) -> int:
    limit = _resources(spec, plan)["limits"]["memory"]
    return min(plan.shm_bytes, int(quantity.amount(limit) / 2))


def _volumes(spec: LLMDeploymentSpec, plan: Plan, launch: Launch, config_map: str) -> list[Manifest]:
    return [
        *weights.volumes(spec.model, config_map),
        {
            "name": "model-repository",
            "configMap": {
                "name": config_map,
                "items": [{"key": config_key(path), "path": path} for path in sorted(launch.files)],
            },
        },
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": quantity.of_bytes(_shm_bytes(spec, plan))}},
        {"name": "scratch", "emptyDir": {}},
    ]


def config_key(path: str) -> str:
    """The ConfigMap key of an engine's file; keys cannot hold slashes."""
    return path.replace("/", ".")


def _affinity(spec: LLMDeploymentSpec) -> Manifest:
    if not spec.accelerator.products:
        return {}
    products = {"key": "nvidia.com/gpu.product", "operator": "In", "values": list(spec.accelerator.products)}
    required = {"nodeSelectorTerms": [{"matchExpressions": [products]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def _toleration(toleration: Toleration) -> Manifest:
    document: Manifest = toleration.model_dump(by_alias=True, exclude_none=True, mode="json")
    # The API server drops empty texts, here as in env.
    return {name: value for name, value in document.items() if value != ""}
