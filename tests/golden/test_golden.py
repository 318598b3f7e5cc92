"""The golden cases: what the examples become, seen in every review that changes it."""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from conch.api.deployment import LLMDeploymentSpec
from conch.api.parsing import parse
from conch.api.schema import Schema, structural_schema
from conch.catalogue import RELEASES, EngineRelease
from conch.engines.vllm_fields import problems
from golden.cases import EXAMPLES, committed, rendered

FILES = sorted(EXAMPLES.glob("*.yaml"))
each_example = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


@pytest.fixture(scope="module")
def now() -> Mapping[str, str]:
    return {file.name: text for file, text in rendered().items()}


@pytest.fixture(scope="module")
def before() -> Mapping[str, str]:
    return {file.name: text for file, text in committed().items()}


@pytest.fixture(scope="module")
def golden(before: Mapping[str, str]) -> Mapping[str, list[dict[str, Any]]]:
    """The children of each example."""
    return {name: list(yaml.safe_load_all(text)) for name, text in before.items()}


def of_kind(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in found if document["kind"] == kind]


def test_there_is_a_golden_file_for_each_example_and_no_other(
    now: Mapping[str, str], before: Mapping[str, str]
) -> None:
    assert before.keys() == now.keys()


@each_example
def test_an_example_renders_as_committed(file: Path, now: Mapping[str, str], before: Mapping[str, str]) -> None:
    old, new = before[file.name].splitlines(), now[file.name].splitlines()
    difference = "\n".join(difflib.unified_diff(old, new, "committed", "now", lineterm="", n=2))
    assert not difference, f"if this is meant, run 'make golden' and review the difference:\n{difference}"


@each_example
def test_there_is_one_pod_for_each_copy_of_the_model(file: Path, golden: Mapping[str, list[dict[str, Any]]]) -> None:
    wanted = parse(yaml.safe_load(file.read_text())).spec
    copies = wanted.replicas * (wanted.parallelism.data or 1)
    assert len(of_kind("ReplicaSet", golden[file.name])) == copies


@each_example
@pytest.mark.parametrize("release", RELEASES, ids=[release.name for release in RELEASES])
def test_model_json_is_what_the_release_takes(
    file: Path, release: EngineRelease, golden: Mapping[str, list[dict[str, Any]]]
) -> None:
    (config_map,) = of_kind("ConfigMap", golden[file.name])
    assert problems(release.vllm, json.loads(config_map["data"]["1.model.json"])) == ()


@each_example
def test_an_example_says_what_it_is_and_where_its_commit_comes_from(file: Path) -> None:
    comments = [line for line in file.read_text().splitlines() if line.startswith("# ")]
    assert comments[0].endswith(".")
    from_the_hub = "huggingFace:" in file.read_text()
    assert from_the_hub == any(re.match(r"# Commit: \S+", line) for line in comments)


def test_one_repository_has_one_commit_in_all_examples() -> None:
    hubs = [yaml.safe_load(file.read_text())["spec"]["model"].get("huggingFace") for file in FILES]
    commits = {(hub["repo"], hub["revision"]) for hub in hubs if hub}
    assert len(commits) == len({repo for repo, _ in commits})


def test_the_examples_show_every_field() -> None:
    shown = set().union(*(paths(yaml.safe_load(file.read_text())["spec"]) for file in FILES))
    assert fields(structural_schema(LLMDeploymentSpec)) - shown == set()


def paths(value: Any, path: str = "spec") -> set[str]:
    """The paths of all members of a document, lists passed through."""
    if isinstance(value, list):
        return set().union(*(paths(item, path) for item in value))
    if not isinstance(value, dict):
        return set()
    return set().union(*({f"{path}.{key}"} | paths(member, f"{path}.{key}") for key, member in value.items()))


def fields(schema: Schema, path: str = "spec") -> set[str]:
    """The paths of all fields of a schema, lists passed through."""
    members = schema.get("items", schema).get("properties", {})
    return set().union(*({f"{path}.{name}"} | fields(member, f"{path}.{name}") for name, member in members.items()))
