"""How long the engine takes for what: the latency model, read from a YAML file.

The time of one iteration is affine in its work (the form that fits measured steps of vLLM within a few per cent for
decoding and some ten for prefills):

    T = base + b * prefill_tokens + g * decoding_sequences + d * kv_tokens        [seconds]
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt


class LatencyModel(BaseModel):
    """The coefficients of one engine on its GPUs. `latency.yaml` beside this module says what the shipped ones are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_seconds: PositiveFloat
    per_prefill_token_seconds: NonNegativeFloat
    per_decoding_sequence_seconds: NonNegativeFloat
    per_kv_token_seconds: NonNegativeFloat
    kv_capacity_tokens: PositiveInt
    default_max_sequences: PositiveInt
    default_max_batched_tokens: PositiveInt
    default_max_model_length_tokens: PositiveInt
    load_seconds: NonNegativeFloat
    weights_seconds: NonNegativeFloat

    def iteration_seconds(self, *, prefill_tokens: int, decoding_sequences: int, kv_tokens: int) -> float:
        """The duration of an iteration; `kv_tokens` is the sum of the contexts of the decoding sequences."""
        return (
            self.base_seconds
            + self.per_prefill_token_seconds * prefill_tokens
            + self.per_decoding_sequence_seconds * decoding_sequences
            + self.per_kv_token_seconds * kv_tokens
        )

    def faster(self, speed: float) -> "LatencyModel":
        """The same engine with every coefficient of the iteration divided by `speed`."""
        return self.model_copy(
            update={
                "base_seconds": self.base_seconds / speed,
                "per_prefill_token_seconds": self.per_prefill_token_seconds / speed,
                "per_decoding_sequence_seconds": self.per_decoding_sequence_seconds / speed,
                "per_kv_token_seconds": self.per_kv_token_seconds / speed,
            }
        )


@cache
def shipped() -> LatencyModel:
    """The model in `latency.yaml` beside this module."""
    return LatencyModel.model_validate(yaml.safe_load(files(__package__).joinpath("latency.yaml").read_text()))


def read(source: Any) -> LatencyModel:
    """The latency model of a mapping, of YAML text, or of the YAML file at a path; missing keys are the shipped ones.

    Raises ValueError for an unknown key or a value out of range, OSError for a file that cannot be read.
    """
    described = yaml.safe_load(source) if isinstance(source, str) else source
    if isinstance(described, str):
        described = yaml.safe_load(Path(described).read_text())
    return LatencyModel.model_validate({**shipped().model_dump(), **(described or {})})
