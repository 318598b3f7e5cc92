"""The generated files: never older than the classes, the same for kubectl and for Helm."""

from pathlib import Path

import pytest
import yaml

from conch.api import crd

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "text"), [(crd.PLAIN_FILE, crd.crd_yaml()), (crd.CHART_FILE, crd.chart_template())], ids=["crds", "chart"]
)
def test_the_committed_files_are_what_the_classes_say(file: Path, text: str) -> None:
    assert (REPOSITORY / file).read_text() == text, "run 'make crds'"


def test_writing_makes_both_files(tmp_path: Path) -> None:
    crd.write(tmp_path)
    assert yaml.safe_load((tmp_path / crd.PLAIN_FILE).read_text()) == crd.custom_resource_definition()
    assert (tmp_path / crd.CHART_FILE).read_text() == crd.chart_template()


def test_no_aliases_are_left_for_other_readers_of_yaml() -> None:
    assert "&id" not in crd.crd_yaml()


def test_the_chart_escapes_what_helm_would_expand(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = crd.custom_resource_definition()
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Braces: {{ .Values.x }}"
    monkeypatch.setattr(crd, "custom_resource_definition", lambda: definition)
    assert '{{ "{{" }} .Values.x }}' in crd.chart_template()


def test_a_new_resource_is_in_progress_until_the_operator_speaks() -> None:
    """By the rules of kstatus: another observedGeneration than the generation, and no Ready that is true."""
    schema = crd.custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    status = schema["properties"]["status"]["default"]
    assert status["observedGeneration"] < 1
    assert [(condition["type"], condition["status"]) for condition in status["conditions"]] == [("Ready", "Unknown")]
