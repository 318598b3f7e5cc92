"""What the user set is the plan; what is left out is a fixed value and a sentence."""

import json
from itertools import product
from typing import Any

import pytest

from conch.planning.plan import Plan, plan
from manifests.builders import CLAIM, HUB, SPECS, spec

GIBIBYTE = 1024**3


def test_nothing_set_is_one_gpu_and_says_so() -> None:
    made = plan(spec())
    assert (made.tensor, made.pipeline, made.data, made.startup_seconds) == (1, 1, 1, 1800)
    assert made.reasons == (
        "parallelism.tensor is not set: 1",
        "parallelism.pipeline is not set: 1",
        "parallelism.data is not set: 1",
        "engine.startupSeconds is not set: 1800",
        "model.cache is not set: an emptyDir without a size limit, filled anew by every pod",
    )


def test_all_set_needs_no_reason() -> None:
    made = plan(
        spec(
            model={**HUB, "cache": {"emptyDir": {"sizeGibibytes": 20}}},
            parallelism={"tensor": 4, "pipeline": 2, "data": 3},
            engine={"startupSeconds": 600},
        )
    )
    assert (made.tensor, made.pipeline, made.data, made.startup_seconds) == (4, 2, 3, 600)
    assert made.reasons == ()


@pytest.mark.parametrize(("tensor", "pipeline", "data"), tuple(product((1, 2, 8), (1, 2), (1, 3))))
def test_gpus_of_a_pod_are_tensor_times_pipeline_and_copies_are_pods(tensor: int, pipeline: int, data: int) -> None:
    made = plan(spec(parallelism={"tensor": tensor, "pipeline": pipeline, "data": data}))
    assert made.gpus_per_pod == tensor * pipeline
    assert made.pods_per_replica == data


@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_host_resources_follow_the_gpus(gpus: int) -> None:
    made = plan(spec(parallelism={"tensor": gpus}))
    assert made.shm_bytes == gpus * 2 * GIBIBYTE
    assert made.memory_bytes == gpus * 26 * GIBIBYTE
    assert made.cpu_millicores == gpus * 4000


CACHES: dict[str, tuple[dict[str, Any], str]] = {
    "unset": (HUB, "emptyDir without a size limit"),
    "emptyDir without a size": ({**HUB, "cache": {"emptyDir": {}}}, "emptyDir without a size limit"),
    "emptyDir with a size": ({**HUB, "cache": {"emptyDir": {"sizeGibibytes": 20}}}, "emptyDir of 20 GiB"),
    "a claim": ({**HUB, "cache": {"persistentVolumeClaim": {"claimName": "cache"}}}, "claim cache"),
    "a model on a claim": (CLAIM, "none: read from claim models"),
}


@pytest.mark.parametrize(("model", "words"), CACHES.values(), ids=CACHES.keys())
def test_the_cache_in_words(model: dict[str, Any], words: str) -> None:
    assert plan(spec(model=model)).cache == words


def test_a_model_on_a_claim_needs_no_cache() -> None:
    assert not any("cache" in reason for reason in plan(spec(model=CLAIM)).reasons)


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_a_plan_survives_being_stored(wanted: Any) -> None:
    made = plan(wanted)
    assert Plan.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_a_document_without_a_field_is_no_plan() -> None:
    document = plan(spec()).as_json()
    del document["tensor"]
    with pytest.raises(TypeError):
        Plan.from_json(document)


def test_what_a_later_release_wrote_beside_a_plan_is_left_aside() -> None:
    made = plan(spec())
    assert Plan.from_json({**made.as_json(), "expert": 8}) == made
