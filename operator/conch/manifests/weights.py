"""How an engine's weights get into its pod: a volume, and for the Hub an init container that fills it.

The init container runs the engine's own image, so nodes pull one image only. It alone mounts the Hub token, as a file;
the engine sees a folder and no network.
"""

from typing import Final

from conch.api import quantity
from conch.api.model import HuggingFaceModel, Model, ModelCache
from conch.manifests.identity import Manifest
from conch.models.source import WEIGHTS_FOLDER

VOLUME: Final = "weights"
FETCH_SCRIPT: Final = "fetch_weights.py"
_FETCH_FOLDER: Final = "/opt/conch/fetch"
_TOKEN_FOLDER: Final = "/opt/conch/hub-token"  # noqa: S105


def volumes(model: Model, config_map_name: str) -> list[Manifest]:
    """The volume that holds the weights, and those that only the download needs."""
    if model.persistent_volume_claim is not None:
        claim = model.persistent_volume_claim.claim_name
        return [{"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]
    hub = _hub(model)
    return [
        _cache_volume(model.cache or ModelCache()),
        {
            "name": "fetch",
            "configMap": {"name": config_map_name, "items": [{"key": FETCH_SCRIPT, "path": FETCH_SCRIPT}]},
        },
        *_token_volumes(hub),
    ]


def mount(model: Model) -> Manifest:
    """Where the engine sees the weights; it never writes there."""
    claim = model.persistent_volume_claim
    return {
        "name": VOLUME,
        "mountPath": str(WEIGHTS_FOLDER),
        "readOnly": True,
        **({"subPath": claim.path} if claim is not None and claim.path else {}),
    }


def init_containers(model: Model, image: str, security_context: Manifest) -> list[Manifest]:
    """The container that downloads the pinned commit, or none for a model on a claim."""
    if model.persistent_volume_claim is not None:
        return []
    hub = _hub(model)
    return [
        {
            "name": "weights",
            "image": image,
            "command": ["python3", f"{_FETCH_FOLDER}/{FETCH_SCRIPT}", *_fetch_arguments(hub)],
            "env": [
                {"name": "HOME", "value": "/tmp"},  # noqa: S108
                {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"},
                {"name": "PYTHONUNBUFFERED", "value": "1"},
            ],
            "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "8Gi"}},
            "securityContext": security_context,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"name": VOLUME, "mountPath": str(WEIGHTS_FOLDER)},
                {"name": "fetch", "mountPath": _FETCH_FOLDER, "readOnly": True},
                {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
                *(
                    [{"name": "hub-token", "mountPath": _TOKEN_FOLDER, "readOnly": True}]
                    if hub.token_secret_ref
                    else []
                ),
            ],
        }
    ]


def _hub(model: Model) -> HuggingFaceModel:
    if model.hugging_face is None:
        raise ValueError("a model has exactly one source; the API's rules see to that")
    return model.hugging_face


def _fetch_arguments(hub: HuggingFaceModel) -> list[str]:
    return [
        f"--repo={hub.repo}",
        f"--revision={hub.revision}",
        f"--cache-dir={WEIGHTS_FOLDER}",
        *([f"--token-file={_TOKEN_FOLDER}/token"] if hub.token_secret_ref else []),
    ]


def _cache_volume(cache: ModelCache) -> Manifest:
    if cache.persistent_volume_claim is not None:
        return {"name": VOLUME, "persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    size_gibibytes = cache.empty_dir.size_gibibytes if cache.empty_dir else None
    size_limit = {"sizeLimit": quantity.canonical(f"{size_gibibytes}Gi")} if size_gibibytes else {}
    return {"name": VOLUME, "emptyDir": size_limit}


def _token_volumes(hub: HuggingFaceModel) -> list[Manifest]:
    if hub.token_secret_ref is None:
        return []
    secret = hub.token_secret_ref
    items = [{"key": secret.key, "path": "token"}]
    return [{"name": "hub-token", "secret": {"secretName": secret.name, "items": items, "defaultMode": 0o440}}]
