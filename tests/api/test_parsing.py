"""Offline reading: what is accepted becomes an object, what is not is refused with the words a user can act on."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from api.documents import BAD, BROKEN_RULES, CONTRADICTIONS, EVERYTHING, GOOD, Document, deployment
from api.json_values import json_values, mutated
from conch.api.objects import ApiObject
from conch.api.parsing import ContradictoryNumbers, InvalidResource, parse, parse_spec
from conch.api.rules import Rule

CLASSES = [cls for cls in ApiObject.__subclasses__() if cls.__module__.startswith("conch.")]


def problems(document: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidResource) as refusal:
        parse(document)
    return refusal.value.problems


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD.keys())
def test_good_documents_are_accepted(document: Document) -> None:
    assert parse(document).metadata["name"] == document["metadata"]["name"]


@pytest.mark.parametrize(("document", "problem"), [*BAD.values(), *BROKEN_RULES.values()], ids=[*BAD, *BROKEN_RULES])
def test_bad_documents_are_refused_in_words(document: Document, problem: str) -> None:
    assert problem in problems(document)[0]


@pytest.mark.parametrize(("document", "problem"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_numbers_that_clash_are_refused_with_both(document: Document, problem: str) -> None:
    for read, part in ((parse, document), (parse_spec, document["spec"])):
        with pytest.raises(ContradictoryNumbers) as refusal:
            read(part)
        (told,) = refusal.value.problems
        assert told.startswith(problem)


def test_every_clash_is_told() -> None:
    clashes = {"requests": {"cpu": 2, "memory": "2Gi"}, "limits": {"cpu": 1, "memory": "1Gi"}}
    assert len(problems(deployment(pod={"resources": clashes}))) == 2


def test_every_problem_is_told() -> None:
    document = deployment(model={"persistentVolumeClaim": {"claimName": "m"}, "cache": {"emptyDir": {}}}, replicas=1)
    document["spec"]["parallelism"] = {"tensor": 16, "pipeline": 2}
    assert [problem.partition(":")[0] for problem in problems(document)] == ["spec.model", "spec.parallelism"]


def test_every_rule_is_broken_by_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: set[Rule] = set()
    judge = Rule.problem

    def recording(rule: Rule, value: Document) -> str | None:
        problem = judge(rule, value)
        if problem is not None:
            broken.add(rule)
        return problem

    monkeypatch.setattr(Rule, "problem", recording)
    for document, _ in BROKEN_RULES.values():
        problems(document)
    assert {rule for cls in CLASSES for rule in cls.rules} - broken == set()


def test_rules_explain_with_their_own_expression_not_with_the_fallback() -> None:
    for document, problem in BROKEN_RULES.values():
        for cls in CLASSES:
            for rule in cls.rules:
                if rule.message_expression is not None:
                    assert rule.message not in problems(document), problem


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "an LLMDeployment must be an object with apiVersion, kind, metadata and spec, not a list"),
        (None, "an LLMDeployment must be an object with apiVersion, kind, metadata and spec, not nothing"),
        ({**deployment(), "kind": "Pod"}, "kind must be LLMDeployment, not 'Pod'"),
        ({**deployment(), "apiVersion": "conch.dev/v1"}, "apiVersion must be conch.dev/v1alpha1, not 'conch.dev/v1'"),
        ({**deployment(), "metadata": {}}, "metadata.name is required and must be text"),
        ({**deployment(), "metadata": {"name": 7}}, "metadata.name is required and must be text"),
    ],
)
def test_what_is_no_deployment_at_all(document: Any, problem: str) -> None:
    assert problems(document) == (problem,)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"namspace": "team"}, "unknown field metadata.namspace; did you mean namespace?"),
        ({"label": {}}, "unknown field metadata.label; did you mean labels?"),
        ({"namespace": 7}, 'metadata.namespace must be text: write "7" in quotes'),
        ({"namespace": ""}, "metadata.namespace must not be empty"),
        ({"namespace": "Team_A"}, 'metadata.namespace is "Team_A" and must match ^[a-z0-9]'),
        ({"namespace": "../team"}, 'metadata.namespace is "../team" and must match ^[a-z0-9]'),
        ({"namespace": "a.b"}, 'metadata.namespace is "a.b" and must match ^[a-z0-9]'),
        ({"namespace": "a" * 64}, "metadata.namespace must have at most 63 characters, not 64"),
        ({"labels": ["team"]}, "metadata.labels must be an object, not a list"),
        ({"labels": {"tier": 1}}, 'metadata.labels.tier must be text: write "1" in quotes'),
        ({"annotations": {"a": True}}, 'metadata.annotations.a must be text: write "true" in quotes'),
        ({"annotations": {"a": {}}}, "metadata.annotations.a must be text, not an object"),
        ({1: "a"}, "metadata has the key 1, which is not text: put it in quotes"),
    ],
)
def test_metadata_is_read_strictly_too(members: Document, problem: str) -> None:
    (told,) = problems({**deployment(), "metadata": {"name": "qwen", **members}})
    assert told.startswith(problem)


def test_metadata_from_a_server_is_read() -> None:
    stored = {
        "name": "qwen",
        "namespace": "team",
        "labels": {"a": "b", "c": None},
        "annotations": None,
        "finalizers": ["foregroundDeletion"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"}],
        "uid": "1",
        "resourceVersion": "5",
        "generation": 2,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "deletionTimestamp": None,
        "deletionGracePeriodSeconds": 0,
        "selfLink": "",
        "generateName": "qwen-",
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {".": {}}}}],
    }
    metadata = parse({**deployment(), "metadata": stored}).metadata
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("qwen", "team", {"a": "b"})
    assert "annotations" not in metadata


def test_a_namespace_of_null_is_unset() -> None:
    assert "namespace" not in parse({**deployment(), "metadata": {"name": "qwen", "namespace": None}}).metadata


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"replicas": float("nan")}, "spec.replicas must be a finite number, not nan"),
        ({"pod": {"annotations": {1: "a"}}}, "spec.pod.annotations has the key 1, which is not text: put it in quotes"),
        ({"pod": {"annotations": {"a": dt.date(2026, 1, 2)}}}, "put datetime.date(2026, 1, 2) in quotes"),
        ({"pod": {"annotations": {"a": "\ud800"}}}, "spec.pod.annotations.a holds half a character"),
    ],
)
def test_what_yaml_can_say_and_json_cannot(spec: Document, problem: str) -> None:
    assert problem in problems(deployment(**spec))[0]


def test_a_status_is_not_looked_at() -> None:
    assert parse({**deployment(), "status": {"of": ["a", "newer version"]}}).status is None


def test_a_document_without_end_is_refused() -> None:
    endless: Document = {}
    endless["deeper"] = endless
    assert "nested deeper than 64 levels" in problems(deployment(engine=endless))[0]


def test_a_spec_from_the_server_is_read_with_its_defaults() -> None:
    spec = parse_spec(deployment(engine={"maxModelLength": 4096})["spec"])
    assert (spec.replicas, spec.engine.drain_seconds, spec.engine.max_model_length) == (1, 60, 4096)


def test_the_spec_alone_is_refused_with_whole_paths() -> None:
    with pytest.raises(InvalidResource) as refusal:
        parse_spec(deployment(engine={"drainSeconds": -1}, parallelism={"tensor": 99})["spec"])
    assert refusal.value.problems == (
        "spec.engine.drainSeconds must be at least 0, not -1",
        "spec.parallelism.tensor must be at most 16, not 99",
    )


def test_what_the_user_set_survives_the_round_trip() -> None:
    spec = parse(EVERYTHING).spec.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    assert parse({**EVERYTHING, "spec": spec}) == parse(EVERYTHING)
    assert spec["engine"] == {key: value for key, value in EVERYTHING["spec"]["engine"].items() if key != "type"}
    assert "extendedResource" not in spec["accelerator"]


@given(json_values())
def test_any_json_is_accepted_or_refused(document: Any) -> None:
    _accept_or_refuse(parse, document)


@given(json_values() | mutated(EVERYTHING["spec"]))
def test_any_spec_is_accepted_or_refused(spec: Any) -> None:
    _accept_or_refuse(parse_spec, spec)


@given(mutated(EVERYTHING))
def test_any_change_of_a_document_is_accepted_or_refused(document: Any) -> None:
    _accept_or_refuse(parse, document)


def _accept_or_refuse(read: Callable[[Any], object], document: Any) -> None:
    try:
        read(document)
    except InvalidResource as refusal:
        assert refusal.problems  # noqa: PT017
        assert not any("\n" in problem for problem in refusal.problems)  # noqa: PT017
