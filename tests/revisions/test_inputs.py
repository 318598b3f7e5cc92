"""What a revision is the answer to: everything the user set that decides what a pod is, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conch.api.deployment import LLMDeploymentSpec
from conch.api.parsing import parse_spec
from conch.api.schema import Schema, structural_schema
from conch.revisions.inputs import NOT_INPUTS, canonical_json, inputs, inputs_hash
from manifests.builders import COMMIT, EXAMPLES, HUB, example, revision, spec

SCHEMA = structural_schema(LLMDeploymentSpec)
MINIMAL: dict[str, Any] = {"model": HUB}


def hash_of(document: dict[str, Any]) -> str:
    return inputs_hash(inputs(parse_spec(document)))


def defaults(schema: Schema) -> dict[str, Any]:
    """The document in which every field that has a default is set to it, where nothing else need be written."""
    found = {}
    for name, member in schema.get("properties", {}).items():
        if "default" in member:
            found[name] = member["default"]
        elif not member.get("required") and (inside := defaults(member)):
            found[name] = inside
    return found


def test_the_schema_has_defaults_to_write_out() -> None:
    written = defaults(SCHEMA)
    assert written["engine"]["type"] == "TritonVLLM"
    assert written["accelerator"]["extendedResource"] == "nvidia.com/gpu"


@pytest.mark.parametrize("part", sorted(defaults(SCHEMA)))
def test_a_default_written_out_is_the_same_as_unset(part: str) -> None:
    assert hash_of({**MINIMAL, part: defaults(SCHEMA)[part]}) == hash_of(MINIMAL)


def test_all_defaults_written_out_are_the_same_as_unset() -> None:
    assert hash_of({**MINIMAL, **defaults(SCHEMA)}) == hash_of(MINIMAL)


HUB_WITH_TOKEN = {**HUB["huggingFace"], "tokenSecretRef": {"name": "a"}}


@pytest.mark.parametrize(
    ("unset", "written_out"),
    [
        (
            {"huggingFace": HUB_WITH_TOKEN},
            {"huggingFace": {**HUB["huggingFace"], "tokenSecretRef": {"name": "a", "key": "token"}}},
        ),
        (
            {"persistentVolumeClaim": {"claimName": "a"}},
            {"persistentVolumeClaim": {"claimName": "a", "path": ""}},
        ),
    ],
    ids=["tokenSecretRef.key", "persistentVolumeClaim.path"],
)
def test_defaults_beside_required_fields_too(unset: dict[str, Any], written_out: dict[str, Any]) -> None:
    assert hash_of({"model": written_out}) == hash_of({"model": unset})


@pytest.mark.parametrize(
    "empty",
    [
        {"engine": {}},
        {"parallelism": {}},
        {"accelerator": {}},
        {"accelerator": {"products": []}},
        {"engine": {"extraArgs": []}},
        {"pod": {}},
        {"pod": {"resources": {}}},
        {"pod": {"resources": {"requests": {}, "limits": {}}}},
        {"pod": {"labels": {}, "annotations": {}, "nodeSelector": {}, "tolerations": [], "env": []}},
        {"model": {**HUB, "cache": {"emptyDir": {}}}},
        {"rollout": {}},
    ],
    ids=canonical_json,
)
def test_empty_objects_and_lists_are_the_same_as_unset(empty: dict[str, Any]) -> None:
    assert hash_of({**MINIMAL, **empty}) == hash_of(MINIMAL)


@pytest.mark.parametrize(
    "other",
    [
        {"replicas": 0},
        {"replicas": 7},
        {"rollout": {"rollingUpdate": {"maxSurge": 2}}},
        {"rollout": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 3}}},
    ],
    ids=canonical_json,
)
def test_how_many_and_how_they_change_are_no_inputs(other: dict[str, Any]) -> None:
    assert hash_of({**MINIMAL, **other}) == hash_of(MINIMAL)


CHANGES: dict[str, dict[str, Any]] = {
    "repo": {"model": {"huggingFace": {"repo": "Qwen/Qwen3-14B", "revision": COMMIT}}},
    "revision": {"model": {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": "0" * 40}}},
    "tokenSecretRef.name": {"model": {"huggingFace": HUB_WITH_TOKEN}},
    "tokenSecretRef.key": {
        "model": {"huggingFace": {**HUB["huggingFace"], "tokenSecretRef": {"name": "a", "key": "b"}}}
    },
    "claimName": {"model": {"persistentVolumeClaim": {"claimName": "a"}}},
    "path": {"model": {"persistentVolumeClaim": {"claimName": "a", "path": "b"}}},
    "servedName": {"model": {**HUB, "servedName": "qwen"}},
    "cache.emptyDir.sizeGibibytes": {"model": {**HUB, "cache": {"emptyDir": {"sizeGibibytes": 20}}}},
    "cache.persistentVolumeClaim": {"model": {**HUB, "cache": {"persistentVolumeClaim": {"claimName": "a"}}}},
    "release": {"engine": {"release": "26.08"}},
    "image": {"engine": {"image": "registry.example.com/triton:1"}},
    "maxModelLength": {"engine": {"maxModelLength": 4096}},
    "dataType": {"engine": {"dataType": "Float16"}},
    "quantization": {"engine": {"quantization": "FP8"}},
    "kvCacheDataType": {"engine": {"kvCacheDataType": "FP8E5M2"}},
    "maxConcurrentSequences": {"engine": {"maxConcurrentSequences": 8}},
    "maxBatchedTokens": {"engine": {"maxBatchedTokens": 4096}},
    "gpuMemoryUtilizationPercent": {"engine": {"gpuMemoryUtilizationPercent": 80}},
    "startupSeconds": {"engine": {"startupSeconds": 600}},
    "drainSeconds": {"engine": {"drainSeconds": 61}},
    "extraArgs": {"engine": {"extraArgs": [{"name": "seed", "value": "1"}]}},
    "extraArgs.value": {"engine": {"extraArgs": [{"name": "seed", "value": "2"}]}},
    "tensor": {"parallelism": {"tensor": 1}},
    "pipeline": {"parallelism": {"pipeline": 1}},
    "data": {"parallelism": {"data": 1}},
    "products": {"accelerator": {"products": ["NVIDIA-H200"]}},
    "extendedResource": {"accelerator": {"extendedResource": "nvidia.com/mig-3g.40gb"}},
    "nodeSelector": {"pod": {"nodeSelector": {"a": "b"}}},
    "tolerations": {"pod": {"tolerations": [{"operator": "Exists"}]}},
    "imagePullSecrets": {"pod": {"imagePullSecrets": [{"name": "a"}]}},
    "env": {"pod": {"env": [{"name": "TZ", "value": "UTC"}]}},
    "labels": {"pod": {"labels": {"a": "b"}}},
    "annotations": {"pod": {"annotations": {"a": "b"}}},
    "resources.requests": {"pod": {"resources": {"requests": {"cpu": "2"}}}},
    "resources.limits": {"pod": {"resources": {"limits": {"cpu": "2"}}}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_other_field_is_an_input(change: dict[str, Any]) -> None:
    assert hash_of({**MINIMAL, **change}) != hash_of(MINIMAL)


def test_no_two_changes_share_a_hash() -> None:
    hashes = {name: hash_of({**MINIMAL, **change}) for name, change in CHANGES.items()}
    assert len(set(hashes.values())) == len(hashes)


def test_the_table_above_names_every_field_that_is_an_input() -> None:
    named = {canonical_json(change) for change in CHANGES.values()}
    inputs_of_schema = {name for name in _field_names(SCHEMA) if name not in NOT_INPUTS}
    assert {name for name in inputs_of_schema if not any(f'"{name}"' in change for change in named)} == {"type"}


def _field_names(schema: Schema) -> set[str]:
    """Names of all fields, but those below what is no input."""
    names = set()
    for name, member in schema.get("properties", {}).items():
        if name not in NOT_INPUTS:
            names |= {name} | _field_names(member)
    return names


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_the_hash_of_any_mix_of_changes_survives_the_servers_defaulting(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=6))
    document: dict[str, Any] = {**MINIMAL}
    for name in chosen:
        for part, fields in CHANGES[name].items():
            document[part] = fields if part == "model" else {**document.get(part, {}), **fields}
    filled = {part: {**defaults(SCHEMA).get(part, {}), **fields} for part, fields in document.items()}
    assert hash_of({**defaults(SCHEMA), **filled, "replicas": data.draw(st.integers(0, 9))}) == hash_of(document)


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
def test_inputs_are_a_spec_again_with_the_same_hash(file: Any) -> None:
    found = inputs(example(file))
    assert inputs(parse_spec(found)) == found


def test_the_order_of_keys_is_no_input() -> None:
    forwards = spec(pod={"labels": {"a": "1", "b": "2"}})
    backwards = spec(pod={"labels": {"b": "2", "a": "1"}})
    assert inputs_hash(inputs(forwards)) == inputs_hash(inputs(backwards))


UNORDERED: dict[str, list[Any]] = {
    "products": ["NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"],
    "imagePullSecrets": [{"name": name} for name in "abc"],
    "env": [{"name": name, "value": "1"} for name in ("NCCL_DEBUG", "OMP_NUM_THREADS", "TZ")],
    "extraArgs": [{"name": name, "value": "8"} for name in ("block_size", "max_logprobs", "seed", "stream_interval")],
}
NOTATIONS: dict[str, list[int | str]] = {
    "cpu": [4, "4", "4000m", "4.0", "0.004k"],
    "memory": ["64Gi", "65536Mi", "64.0Gi", "67108864Ki"],
    "ephemeral-storage": [2000000000, "2G", "2000M", "2.0G", "0.002T"],
}


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_order_and_notation_change_neither_the_hash_nor_what_is_rendered(data: st.DataObject) -> None:
    lists = {name: data.draw(st.permutations(items), name) for name, items in UNORDERED.items()}
    amounts = data.draw(st.permutations(list(NOTATIONS)))
    side = {name: data.draw(st.sampled_from(NOTATIONS[name]), name) for name in amounts}
    texts = dict(data.draw(st.permutations([("a", "1"), ("b", "2"), ("c", "3")])))

    drawn = revision(_written(lists, side, texts))
    first = {name: notations[0] for name, notations in NOTATIONS.items()}
    plain = revision(_written(UNORDERED, first, {"a": "1", "b": "2", "c": "3"}))
    assert drawn == plain
    assert json.dumps(drawn.data()) == json.dumps(plain.data())


def _written(
    lists: Mapping[str, Sequence[Any]], amounts: Mapping[str, int | str], texts: Mapping[str, str]
) -> LLMDeploymentSpec:
    return spec(
        engine={"extraArgs": lists["extraArgs"]},
        accelerator={"products": lists["products"]},
        pod={
            "imagePullSecrets": lists["imagePullSecrets"],
            "env": lists["env"],
            "labels": texts,
            "annotations": texts,
            "nodeSelector": texts,
            "resources": {"requests": amounts, "limits": amounts},
        },
    )


def test_the_order_of_tolerations_stays_as_written() -> None:
    # Replaced whole by server-side apply: a list whose order somebody chose.
    written = [{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]
    assert [toleration.key for toleration in spec(pod={"tolerations": written}).pod.tolerations] == ["b", "a"]


def test_a_hash_is_ten_hexadecimal_characters_and_stays_what_it_was() -> None:
    # Frozen: another hash for the same inputs would restart every model in the world.
    assert hash_of(MINIMAL) == "5db6586336"
