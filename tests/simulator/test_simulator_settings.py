"""Settings and latency models, however they are written."""

from pathlib import Path
from typing import Any

import pytest

from conch.simulator.latency import read, shipped
from conch.simulator.settings import Settings


def test_defaults_are_the_shipped_model() -> None:
    settings = Settings.of({})
    assert settings.pace == settings.latency == shipped()
    assert settings.loading_seconds == shipped().load_seconds
    assert settings.download_seconds == shipped().weights_seconds


def test_strings_and_kebab_case_are_understood() -> None:
    settings = Settings.of({"load-seconds": "2.5", "weights_seconds": 3, "gpus": "4", "hang": "true", "speed": "2"})
    assert (settings.loading_seconds, settings.download_seconds, settings.gpus, settings.hang) == (2.5, 3, 4, True)
    assert settings.pace.base_seconds == shipped().base_seconds / 2
    assert settings.pace.kv_capacity_tokens == shipped().kv_capacity_tokens


@pytest.mark.parametrize("form", ["mapping", "text", "path"])
def test_a_latency_model_is_a_mapping_or_yaml_or_a_file(tmp_path: Path, form: str) -> None:
    text = "base_seconds: 0.5\nkv_capacity_tokens: 100\n"
    (tmp_path / "latency.yaml").write_text(text)
    source: Any = {
        "mapping": {"base_seconds": 0.5, "kv_capacity_tokens": 100},
        "text": text,
        "path": str(tmp_path / "latency.yaml"),
    }[form]
    latency = Settings.of({"latency": source}).latency
    assert latency == shipped().model_copy(update={"base_seconds": 0.5, "kv_capacity_tokens": 100})


@pytest.mark.parametrize(
    "given", [{"load-seconds": "soon"}, {"speed": 0}, {"latency": {"base": 1}}, {"latency": {"base_seconds": 0}}]
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        Settings.of(given)


def test_an_iteration_is_affine_in_its_work() -> None:
    latency = read({"base_seconds": 1, "per_prefill_token_seconds": 2, "per_decoding_sequence_seconds": 3})
    seconds = latency.iteration_seconds(prefill_tokens=10, decoding_sequences=100, kv_tokens=0)
    assert seconds == 1 + 20 + 300
