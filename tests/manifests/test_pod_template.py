"""What every engine pod has, and where what the user wrote ends up."""

from typing import Any

import pytest

from conch.api import quantity
from conch.api.deployment import LLMDeploymentSpec
from conch.api.engine import Engine
from conch.api.pod import Resources
from conch.manifests.identity import UID
from manifests.builders import HUB, IDENTITY, SPECS, pod, revision, spec
from manifests.restricted import violations

GIBIBYTE = 1024**3


def engine(wanted: LLMDeploymentSpec) -> dict[str, Any]:
    (container,) = pod(wanted)["containers"]
    return dict(container)


def volume(wanted: LLMDeploymentSpec, name: str) -> dict[str, Any]:
    (found,) = (item for item in pod(wanted)["volumes"] if item["name"] == name)
    return dict(found)


def with_resources(**resources: dict[str, str]) -> LLMDeploymentSpec:
    return spec(pod={"resources": resources})


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_every_pod_meets_the_restricted_standard(wanted: LLMDeploymentSpec) -> None:
    assert list(violations(pod(wanted))) == []


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_only_the_download_mounts_the_token(wanted: LLMDeploymentSpec) -> None:
    template = pod(wanted)
    secrets = {item["name"] for item in template["volumes"] if "secret" in item}
    mounts = {mount["name"] for container in template["containers"] for mount in container["volumeMounts"]}
    assert not secrets & mounts
    has_token = wanted.model.hugging_face is not None and wanted.model.hugging_face.token_secret_ref is not None
    assert bool(secrets) == has_token
    assert "secretKeyRef" not in str(template)


def test_the_token_is_a_file_of_the_key_that_the_user_named() -> None:
    hub = {**HUB["huggingFace"], "tokenSecretRef": {"name": "hugging-face", "key": "read-only"}}
    gated = spec(model={"huggingFace": hub})
    (weights,) = pod(gated)["initContainers"]
    (option,) = (text for text in weights["command"] if text.startswith("--token-file="))
    (mount,) = (item for item in weights["volumeMounts"] if item["name"] == "hub-token")
    assert option == f"--token-file={mount['mountPath']}/token"
    assert volume(gated, "hub-token")["secret"]["items"] == [{"key": "read-only", "path": "token"}]


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_every_mount_has_its_volume_and_every_volume_a_mount(wanted: LLMDeploymentSpec) -> None:
    template = pod(wanted)
    containers = [*template.get("initContainers", ()), *template["containers"]]
    mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
    assert mounted == {item["name"] for item in template["volumes"]}


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_files_come_from_keys_that_the_config_map_has(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted)
    maps = [item["configMap"] for item in made.template["spec"]["volumes"] if "configMap" in item]
    assert {item["key"] for config_map in maps for item in config_map["items"]} == set(made.files)


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_gpus_are_requested_and_limited_as_planned_and_by_nothing_else(wanted: LLMDeploymentSpec) -> None:
    made = revision(wanted)
    resources = made.template["spec"]["containers"][0]["resources"]
    gpus = str(made.plan.tensor * made.plan.pipeline)
    for amounts in (resources["requests"], resources["limits"]):
        assert {key: value for key, value in amounts.items() if "nvidia.com" in key} == {
            wanted.accelerator.extended_resource: gpus
        }
    for container in made.template["spec"].get("initContainers", ()):
        assert "nvidia.com" not in str(container["resources"])


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_shared_memory_lies_inside_the_memory_limit(wanted: LLMDeploymentSpec) -> None:
    limit = engine(wanted)["resources"]["limits"]["memory"]
    assert quantity.amount(volume(wanted, "shm")["emptyDir"]["sizeLimit"]) < quantity.amount(limit)


def test_shared_memory_shrinks_with_the_users_limit() -> None:
    assert volume(with_resources(limits={"memory": "3Gi"}), "shm")["emptyDir"]["sizeLimit"] == "1536Mi"


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_no_request_is_above_its_limit(wanted: LLMDeploymentSpec) -> None:
    resources = engine(wanted)["resources"]
    for name, limit in resources["limits"].items():
        assert quantity.amount(resources["requests"].get(name, "0")) <= quantity.amount(limit)


def test_resources_follow_the_gpus() -> None:
    resources = engine(spec(parallelism={"tensor": 4}))["resources"]
    assert resources["requests"] == {"cpu": "16", "memory": "104Gi", "nvidia.com/gpu": "4"}
    assert resources["limits"] == {"memory": "104Gi", "nvidia.com/gpu": "4"}


RESOURCES = {
    "requests alone: memory is limited to them": (
        {"requests": {"cpu": "6", "memory": "64Gi"}},
        {"cpu": "6", "memory": "64Gi"},
        {"memory": "64Gi"},
    ),
    "a limit above what is computed: requested as computed": (
        {"limits": {"memory": "64Gi"}},
        {"cpu": "4", "memory": "26Gi"},
        {"memory": "64Gi"},
    ),
    "a limit below what is computed: requested up to the limit": (
        {"limits": {"memory": "20Gi", "cpu": "2"}},
        {"cpu": "2", "memory": "20Gi"},
        {"memory": "20Gi", "cpu": "2"},
    ),
    "both: as written": (
        {"requests": {"memory": "32Gi"}, "limits": {"memory": "48Gi"}},
        {"cpu": "4", "memory": "32Gi"},
        {"memory": "48Gi"},
    ),
    "disk too": (
        {"requests": {"ephemeral-storage": "10Gi"}, "limits": {"ephemeral-storage": "20Gi"}},
        {"cpu": "4", "memory": "26Gi", "ephemeral-storage": "10Gi"},
        {"memory": "26Gi", "ephemeral-storage": "20Gi"},
    ),
}


@pytest.mark.parametrize(("resources", "requests", "limits"), RESOURCES.values(), ids=RESOURCES.keys())
def test_what_the_user_sets_is_honoured(
    resources: dict[str, dict[str, str]], requests: dict[str, str], limits: dict[str, str]
) -> None:
    rendered = engine(with_resources(**resources))["resources"]
    gpu = {"nvidia.com/gpu": "1"}
    assert rendered == {"requests": {**requests, **gpu}, "limits": {**limits, **gpu}}


def test_a_sized_cache_is_limited_and_requested_as_disk() -> None:
    sized = spec(model={**HUB, "cache": {"emptyDir": {"sizeGibibytes": 2048}}})
    assert volume(sized, "weights") == {"name": "weights", "emptyDir": {"sizeLimit": "2Ti"}}
    assert engine(sized)["resources"]["requests"]["ephemeral-storage"] == "2Ti"


def test_a_cache_on_a_claim_requests_no_disk() -> None:
    claimed = spec(model={**HUB, "cache": {"persistentVolumeClaim": {"claimName": "cache"}}})
    assert volume(claimed, "weights")["persistentVolumeClaim"] == {"claimName": "cache"}
    assert "ephemeral-storage" not in engine(claimed)["resources"]["requests"]


def test_the_engine_never_writes_its_weights() -> None:
    for wanted in SPECS.values():
        (mount,) = (item for item in engine(wanted)["volumeMounts"] if item["name"] == "weights")
        assert mount["readOnly"] is True


def test_labels_of_the_user_stay_but_never_replace_ours() -> None:
    # The API refuses such labels; the renderer does not rely on it.
    wanted = spec(pod={"labels": {"example.com/team": "a"}})
    sneaky = wanted.model_copy(update={"pod": wanted.pod.model_copy(update={"labels": {UID: "x", "team": "a"}})})
    labels = revision(sneaky).template["metadata"]["labels"]
    assert (labels[UID], labels["team"]) == (IDENTITY.uid, "a")


def test_gpus_of_the_plan_stay_whatever_the_user_asks_for() -> None:
    # The API refuses such resources; the renderer does not rely on it.
    wanted = with_resources(requests={"cpu": "1"})
    greedy = Resources.model_construct(requests={"nvidia.com/gpu": "8"}, limits={"nvidia.com/gpu": "8"})
    sneaky = wanted.model_copy(update={"pod": wanted.pod.model_copy(update={"resources": greedy})})
    resources = engine(sneaky)["resources"]
    assert (resources["requests"]["nvidia.com/gpu"], resources["limits"]["nvidia.com/gpu"]) == ("1", "1")


def test_placement_and_pull_secrets_reach_the_pod() -> None:
    placed = pod(
        spec(
            accelerator={"products": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"]},
            pod={
                "nodeSelector": {"pool": "a"},
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "imagePullSecrets": [{"name": "registry"}],
            },
        )
    )
    terms = placed["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [
        {
            "matchExpressions": [
                {
                    "key": "nvidia.com/gpu.product",
                    "operator": "In",
                    "values": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"],
                }
            ]
        }
    ]
    assert placed["nodeSelector"] == {"pool": "a"}
    assert placed["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "x", "operator": "Exists"},
    ]
    assert placed["imagePullSecrets"] == [{"name": "registry"}]


def test_the_image_of_the_user_runs_the_download_too() -> None:
    mirrored = pod(spec(engine={"image": "registry.example.com/triton:1"}))
    images = {container["image"] for container in (*mirrored["initContainers"], *mirrored["containers"])}
    assert images == {"registry.example.com/triton:1"}


def test_variables_of_the_user_are_added_to_ours() -> None:
    variables = engine(spec(pod={"env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}))["env"]
    assert {"name": "NCCL_DEBUG", "value": "INFO"} in variables
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in variables


@pytest.mark.parametrize(("seconds", "failures"), [(60, 12), (61, 13), (1800, 360)])
def test_the_start_up_budget_is_the_startup_probes(seconds: int, failures: int) -> None:
    probe = engine(spec(engine={"startupSeconds": seconds}))["startupProbe"]
    assert probe["failureThreshold"] == failures
    assert probe["failureThreshold"] * probe["periodSeconds"] >= seconds


def test_the_start_up_budget_is_the_engines_alone_as_its_description_says() -> None:
    # The download has no probe: kubelet starts an engine, and its probes, when init containers are done.
    assert [container["name"] for container in pod(spec())["initContainers"]] == ["weights"]
    assert "startupProbe" not in pod(spec())["initContainers"][0]
    description = Engine.model_fields["startup_seconds"].description or ""
    assert description.startswith("How long the engine may take from its own start, when the weights are downloaded,")


@pytest.mark.parametrize("seconds", [0, 60, 3600])
def test_the_grace_period_outlasts_the_drain(seconds: int) -> None:
    drained = spec(engine={"drainSeconds": seconds})
    assert f"--exit-timeout-secs={seconds}" in engine(drained)["command"]
    assert (
        pod(drained)["terminationGracePeriodSeconds"]
        > seconds + engine(drained)["lifecycle"]["preStop"]["sleep"]["seconds"]
    )


def test_triton_is_not_the_first_process_and_has_no_token_of_the_cluster() -> None:
    template = pod(spec())
    assert template["shareProcessNamespace"] is True
    assert template["automountServiceAccountToken"] is False
    assert template["enableServiceLinks"] is False
