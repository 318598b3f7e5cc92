"""The tables of engine arguments: known facts of each release, the words of refusals, and how source is read."""

import json
from importlib.resources import files
from typing import Any

import pytest

from api.documents import EVERYTHING
from conch import catalogue
from conch.api.parsing import parse
from conch.engines import vllm_fields
from conch.engines.triton_vllm import engine_arguments
from conch.engines.vllm_fields import fields, problems, refresh, typed_value
from conch.engines.vllm_fields.source import Package, UnreadableSource
from conch.models.source import resolve
from conch.planning.plan import plan

VERSIONS = sorted({release.vllm for release in catalogue.RELEASES})
NEWEST = catalogue.NEWEST.vllm
OBJECTS = {"dict[str, int | dict[str, int]]"}
"""Objects that hold nothing but numbers: vLLM neither loads nor opens what is in them."""


@pytest.mark.parametrize("version", VERSIONS)
class TestEveryRelease:
    def test_the_table_names_its_archive(self, version: str) -> None:
        table = json.loads(files(vllm_fields).joinpath(f"{version}.json").read_text())
        assert table["archive"]["file"] == f"vllm-{version}.tar.gz"
        assert len(bytes.fromhex(table["archive"]["sha256"])) == 32

    @pytest.mark.parametrize(
        ("name", "types"),
        [
            ("model", {"string"}),
            ("tensor_parallel_size", {"integer"}),
            ("max_model_len", {"integer", "null"}),
            ("max_num_seqs", {"integer", "null"}),
            ("gpu_memory_utilization", {"number"}),
            ("trust_remote_code", {"boolean"}),
            ("limit_mm_per_prompt", {"object"}),
            ("served_model_name", {"array", "null", "string"}),
            ("enable_log_requests", {"boolean"}),
        ],
    )
    def test_types(self, version: str, name: str, types: set[str]) -> None:
        assert fields(version)[name].types == types

    @pytest.mark.parametrize("name", ["swap_space", "disable_log_requests", "best_of", "self"])
    def test_arguments_of_older_releases_are_gone(self, version: str, name: str) -> None:
        assert name not in fields(version)

    def test_choices_of_an_alias(self, version: str) -> None:
        assert {"auto", "fp8", "fp8_e4m3", "fp8_e5m2"} <= set(fields(version)["kv_cache_dtype"].choices)
        assert set(fields(version)["scheduling_policy"].choices) == {"fcfs", "priority"}

    def test_names_of_plugins_are_open(self, version: str) -> None:
        quantization = fields(version)["quantization"]
        assert "fp8" in quantization.suggestions
        assert not quantization.choices

    def test_defaults_come_from_the_config_classes(self, version: str) -> None:
        table = fields(version)
        assert table["tensor_parallel_size"].default == 1
        assert table["max_model_len"].default is None
        assert table["load_format"].default == "auto"
        assert table["enable_log_requests"].default is False

    def test_the_default_is_admitted(self, version: str) -> None:
        for name, field in fields(version).items():
            if field.default is not None:
                assert field.objection(field.default) is None, name


@pytest.mark.parametrize("version", VERSIONS)
class TestExtraArguments:
    @pytest.mark.parametrize("name", catalogue.EXTRA_ARGUMENTS)
    def test_a_text_is_one_of_a_few_known_words(self, version: str, name: str) -> None:
        # vLLM takes many an open text for a class to import, a path or an address.
        field = fields(version)[name]
        assert "string" not in field.types or field.choices
        assert field.types <= {"boolean", "integer", "null", "number", "string"} or field.annotation in OBJECTS


def test_no_extra_argument_contradicts_a_typed_field() -> None:
    typed = set(_rendered_from_typed_fields())
    assert {"max_model_len", "gpu_memory_utilization", "kv_cache_dtype"} <= typed
    # The last says in bytes, and over it, what the percentage says.
    assert not {*typed, "kv_cache_memory_bytes"} & {*catalogue.EXTRA_ARGUMENTS}


def _rendered_from_typed_fields() -> dict[str, Any]:
    """The model.json of a spec that sets every field but extraArgs."""
    spec = parse(EVERYTHING).spec
    typed = spec.engine.model_copy(update={"extra_args": ()})
    return engine_arguments(typed, catalogue.NEWEST, plan(spec), resolve(spec.model, "m"))


class TestDifferences:
    def test_partial_prefills_left_with_0_27(self) -> None:
        assert "max_num_partial_prefills" in fields("0.24.0")
        assert "max_num_partial_prefills" not in fields("0.27.1")

    def test_quantized_caches_came_with_0_22(self) -> None:
        assert problems("0.19.0", {"kv_cache_dtype": "nvfp4"})
        assert not problems("0.22.1", {"kv_cache_dtype": "nvfp4"})

    def test_a_release_without_a_table(self) -> None:
        with pytest.raises(KeyError):
            fields("0.1.0")


class TestProblems:
    def test_a_usual_model_json(self) -> None:
        document = {
            "model": "/weights",
            "tensor_parallel_size": 4,
            "max_model_len": None,
            "gpu_memory_utilization": 0.9,
            "kv_cache_memory_bytes": 10**10,
            "speculative_config": {"method": "ngram"},
            "quantization": "a_plugin_of_mine",
        }
        assert problems(NEWEST, document) == ()

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            (
                "disable_log_requests",
                True,
                "disable_log_requests is not an argument of this release; did you mean enable_log_requests or "
                "disable_log_stats?",
            ),
            ("swap_space", 4, "swap_space is not an argument of this release"),
            ("tensor_parallel_size", "4", 'tensor_parallel_size must be an integer, not the string "4"'),
            ("tensor_parallel_size", True, "tensor_parallel_size must be an integer, not true"),
            ("tensor_parallel_size", 2.0, "tensor_parallel_size must be an integer, not 2.0"),
            ("tensor_parallel_size", 0, "tensor_parallel_size must be at least 1, not 0"),
            ("gpu_memory_utilization", 0, "gpu_memory_utilization must be greater than 0, not 0"),
            ("gpu_memory_utilization", 90, "gpu_memory_utilization must be at most 1, not 90"),
            ("enforce_eager", None, "enforce_eager must be true or false, not null"),
            ("limit_mm_per_prompt", [1], "limit_mm_per_prompt must be an object, not [1]"),
            ("served_model_name", 7, "served_model_name must be a list or a string, not 7"),
            ("scheduling_policy", "fast", 'scheduling_policy must be fcfs or priority, not the string "fast"'),
            ("data_parallel_backend", 3, "data_parallel_backend must be ray or mp, not 3"),
        ],
    )
    def test_refusals(self, name: str, value: object, words: str) -> None:
        assert problems(NEWEST, {"model": "/weights", name: value}) == (words,)


class TestTypedValue:
    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("seed", "3", 3),
            ("enforce_eager", "true", True),
            ("gpu_memory_utilization", "0.5", 0.5),
            ("block_size", "null", None),
            ("limit_mm_per_prompt", '{"image": 2}', {"image": 2}),
            ("scheduling_policy", "priority", "priority"),
            ("distributed_executor_backend", "ray", "ray"),
            ("tokenizer", "1", "1"),
            ("tokenizer", '"quoted"', '"quoted"'),
            ("tokenizer", "NaN", "NaN"),
            ("limit_mm_per_prompt", '{"a": ' + "[" * 7 + "]" * 7 + "}", {"a": [[[[[[[]]]]]]]}),
        ],
    )
    def test_readable(self, name: str, text: str, value: object) -> None:
        typed = typed_value(NEWEST, name, text)
        assert (typed, type(typed)) == (value, type(value))

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("enforce_eager", "yes", 'must be true or false, not the string "yes"'),
            ("block_size", "16.5", "must be an integer, not 16.5"),
            ("stream_interval", "0", "must be at least 1, not 0"),
            ("blocksize", "16", "blocksize is not an argument of this release; did you mean block_size"),
            # What Python reads for JSON, and json.dumps would hand to an engine that does not.
            ("gpu_memory_utilization", "NaN", "must have finite numbers only, not nan: JSON has no others"),
            ("gpu_memory_utilization", "-Infinity", "must have finite numbers only, not -inf"),
            ("gpu_memory_utilization", "1e999", "must have finite numbers only, not inf"),
            ("limit_mm_per_prompt", '{"image": NaN}', "must have finite numbers only, not nan"),
            ("limit_mm_per_prompt", '{"image": {"a": [1, Infinity]}}', "must have finite numbers only, not inf"),
            ("limit_mm_per_prompt", '{"a": ' + "[" * 8 + "]" * 8 + "}", "must be nested at most 8 levels deep"),
            ("limit_mm_per_prompt", "[" * 10**5, "must be an object, not the string"),
        ],
    )
    def test_unreadable(self, name: str, text: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            typed_value(NEWEST, name, text)


class TestSource:
    ARGUMENTS = """
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from vllm.config import Cache, Policy as Strategy
if TYPE_CHECKING:
    from vllm.names import Methods
else:
    Methods = str

@dataclass
class EngineArgs:
    plain: int = 1
    cache: Cache.Size | None = None
    dtype: str = Cache.dtype
    policy: Strategy = Cache.policy
    method: "Methods | str | None" = get_field(Cache, "method")
    hook: Callable[[int], int] | dict[str, Any] = field(default_factory=dict)
    ratio: float = Cache.ratio
    def __post_init__(self) -> None: ...

@dataclass
class AsyncEngineArgs(EngineArgs):
    extra: Literal["a", 2] = "a"
    plain: int | str = 1
"""
    CONFIG = """
from ..names import Methods
from .policy import Policy
class Cache:
    dtype: str = None
    policy: Policy = "fcfs"
    method: Methods | None = Field(default=None)
    ratio: float = Field(0.5, gt=0, lt=1)
"""
    POLICY = """
Urgent = Literal["priority"]
Policy = Literal["fcfs", Urgent]
"""
    NAMES = 'Methods = Literal["fast", "slow"]'

    def arguments(self, text: str = ARGUMENTS) -> dict[str, dict[str, Any]]:
        return Package(
            {
                "vllm/engine/arg_utils.py": text,
                "vllm/config/__init__.py": self.CONFIG,
                "vllm/config/policy.py": self.POLICY,
                "vllm/names.py": self.NAMES,
            }
        ).engine_arguments()

    def test_aliases_inheritance_and_defaults(self) -> None:
        assert self.arguments() == {
            "plain": {"annotation": "int | str", "types": ["integer", "string"], "default": 1},
            "cache": {"annotation": "Cache.Size | None", "types": ["null"], "default": None},
            "dtype": {"annotation": "str", "types": ["null", "string"], "default": None},
            "policy": {
                "annotation": "Strategy",
                "types": ["string"],
                "choices": ["fcfs", "priority"],
                "default": "fcfs",
            },
            "method": {
                "annotation": "'Methods | str | None'",
                "types": ["null", "string"],
                "suggestions": ["fast", "slow"],
                "default": None,
            },
            "hook": {"annotation": "Callable[[int], int] | dict[str, Any]", "types": ["object"]},
            "ratio": {
                "annotation": "float",
                "types": ["number"],
                "exclusiveMinimum": 0,
                "exclusiveMaximum": 1,
                "default": 0.5,
            },
            "extra": {
                "annotation": "Literal['a', 2]",
                "types": ["integer", "string"],
                "choices": ["a", 2],
                "default": "a",
            },
        }

    def test_what_it_cannot_read_it_says(self) -> None:
        with pytest.raises(UnreadableSource, match="hook"):
            self.arguments(self.ARGUMENTS.replace(" | dict[str, Any]", ""))


@pytest.mark.network
def test_a_table_is_what_its_archive_says() -> None:
    committed = json.loads(files(vllm_fields).joinpath(f"{NEWEST}.json").read_text())
    assert refresh.table(NEWEST) == committed
