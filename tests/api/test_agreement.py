"""The API server and the offline reading agree: what one accepts or refuses, so does the other, in the same words.

But for numbers that clash, which only Conch adds up: a server takes them, and the operator reports InvalidSpec.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from api.conftest import Causes
from api.documents import BAD, BROKEN_RULES, CONTRADICTIONS, EVERYTHING, GOOD, Document
from api.json_values import mutated
from conch.api.parsing import ContradictoryNumbers, InvalidResource, parse

pytestmark = pytest.mark.cluster

Judge = Callable[[Any], Causes]

_PREFIX = re.compile(r'^Invalid value: ("object": )?')
"""What the server says before a rule's own words; older ones name the type."""


def offline(document: Any) -> tuple[str, ...]:
    """What the offline reading has against a document, as far as a server would judge it too."""
    try:
        parse(document)
    except ContradictoryNumbers:
        return ()
    except InvalidResource as refusal:
        return refusal.problems
    return ()


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD.keys())
def test_the_server_accepts_good_documents(judged: Judge, document: Document) -> None:
    assert judged(document) == ()


@pytest.mark.parametrize("document", [document for document, _ in BAD.values()], ids=BAD.keys())
def test_the_server_refuses_what_the_shape_forbids(judged: Judge, document: Document) -> None:
    assert judged(document)


@pytest.mark.parametrize("document", [document for document, _ in BROKEN_RULES.values()], ids=BROKEN_RULES.keys())
def test_the_server_refuses_broken_rules_in_the_same_words(judged: Judge, document: Document) -> None:
    said = sorted(_as_problem(field, message) for field, message in judged(document))
    assert said == sorted(offline(document))


@pytest.mark.parametrize("document", [document for document, _ in CONTRADICTIONS.values()], ids=CONTRADICTIONS.keys())
def test_the_server_does_not_do_the_arithmetic(judged: Judge, document: Document) -> None:
    assert judged(document) == ()


@given(document=mutated(EVERYTHING, under=("spec",)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_agree_on_any_change_of_a_spec(judged: Judge, document: Document) -> None:
    assert bool(judged(document)) == bool(offline(document)), (judged(document), offline(document))


def _as_problem(field: str, message: str) -> str:
    """A cause in the words of the offline reading; at the root of an object the server names no field."""
    text = _PREFIX.sub("", message)
    return text if field in {"<nil>", ""} else f"{field}: {text}"
