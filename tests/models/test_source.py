"""Where a model comes from, and where its engine finds it."""

from pathlib import PurePosixPath

import pytest

from conch.api.model import Model
from conch.models.source import ResolvedModel, resolve
from manifests.builders import CLAIM, COMMIT, HUB


def test_a_repository_lies_as_huggingface_hub_lays_out_its_cache() -> None:
    assert resolve(Model.model_validate(HUB), "m") == ResolvedModel(
        source="https://huggingface.co/Qwen/Qwen3-8B",
        commit=COMMIT,
        served_name="m",
        path=PurePosixPath(f"/weights/models--Qwen--Qwen3-8B/snapshots/{COMMIT}"),
    )


@pytest.mark.parametrize(("path", "source"), [("a/b", "persistentvolumeclaim/c/a/b"), ("", "persistentvolumeclaim/c")])
def test_a_claim_is_mounted_at_the_models_folder(path: str, source: str) -> None:
    model = Model.model_validate({"persistentVolumeClaim": {"claimName": "c", "path": path}})
    assert resolve(model, "m") == ResolvedModel(source, None, "m", PurePosixPath("/weights"))


@pytest.mark.parametrize("model", [HUB, CLAIM], ids=["hub", "claim"])
def test_the_name_of_the_user_wins(model: dict[str, object]) -> None:
    assert resolve(Model.model_validate({**model, "servedName": "mine"}), "m").served_name == "mine"


def test_a_model_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly one source"):
        resolve(Model(), "m")
