"""What the conditions say, fact by fact, and what kstatus makes of them."""

from typing import Any

import pytest

from conch.api.conditions import Reason
from conch.controller.conditions import Facts, Statement, statements
from conch.rollout.limits import Limits
from conch.rollout.step import Wanted
from controller.builders import diagnosis, facts, revision

COMPLETE = revision(rolled_out=True)
ONE = Wanted("aaaaaaaaaa", 1, 1, Limits(1, 0))


def told(given: Facts) -> dict[str, Statement]:
    return {statement.type.value: statement for statement in statements(given)}


def kstatus(given: Facts) -> str:
    """The rules of cli-utils, which Flux and Helm --wait follow, for a status of the current generation."""
    conditions: dict[str, Any] = {kind: statement.status.value for kind, statement in told(given).items()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready") == "True" else "InProgress"


CASES = {
    "nothing runs yet": (facts(), "InProgress", "False", Reason.ROLLING_OUT),
    "two of three serve, one may be missing, and the third still starts": (
        facts(serving=2, serving_any=2, diagnoses=(diagnosis(Reason.STARTING),)),
        "InProgress",
        "True",
        Reason.SERVING,
    ),
    "all serve and the rollout is complete": (
        facts(target=COMPLETE, serving=3, serving_any=3),
        "Current",
        "True",
        Reason.SERVING,
    ),
    "old ones are left": (
        facts(target=COMPLETE, serving=3, serving_any=4, others=1),
        "InProgress",
        "True",
        Reason.SERVING,
    ),
    "scaled up after completion: starting ones do not count as missing": (
        facts(target=COMPLETE, serving=1, serving_any=1, diagnoses=(diagnosis(Reason.STARTING),) * 2),
        "Current",
        "True",
        Reason.SERVING,
    ),
    "scaled up after completion, and the new ones are beyond their budget": (
        facts(target=COMPLETE, serving=1, serving_any=1, diagnoses=(diagnosis(Reason.STARTING, 700),) * 2),
        "Failed",
        "False",
        Reason.STARTUP_TOO_SLOW,
    ),
    "nothing serves although the rollout was complete: starting is not serving": (
        facts(target=COMPLETE, wanted=ONE, diagnoses=(diagnosis(Reason.STARTING),)),
        "InProgress",
        "False",
        Reason.STARTING,
    ),
    "crash loop inside the budget": (
        facts(diagnoses=(diagnosis(Reason.CRASH_LOOP, 599),)),
        "InProgress",
        "False",
        Reason.CRASH_LOOP,
    ),
    "crash loop beyond the budget": (
        facts(diagnoses=(diagnosis(Reason.CRASH_LOOP, 601),)),
        "Failed",
        "False",
        Reason.CRASH_LOOP,
    ),
    "waiting for GPUs is never stalled, however long": (
        facts(diagnoses=(diagnosis(Reason.INSUFFICIENT_GPUS, None),)),
        "InProgress",
        "False",
        Reason.INSUFFICIENT_GPUS,
    ),
    "an impossible spec while the last one serves": (
        facts(target=COMPLETE, serving=3, serving_any=3, problems=("spec.x must be y",)),
        "Failed",
        "False",
        Reason.INVALID_SPEC,
    ),
    "an impossible first spec": (
        facts(target=None, wanted=None, problems=("spec.x must be y",)),
        "Failed",
        "False",
        Reason.INVALID_SPEC,
    ),
    "a name is taken": (facts(conflicts=("Service m exists",)), "Failed", "False", Reason.NAME_CONFLICT),
    "a name is taken under a model that served": (
        facts(target=COMPLETE, serving=3, serving_any=3, conflicts=("Service m exists",)),
        "Failed",
        "False",
        Reason.NAME_CONFLICT,
    ),
    "a budget is refused beside a model that serves": (
        facts(target=COMPLETE, serving=3, serving_any=3, refusals=("quota",)),
        "InProgress",
        "True",
        Reason.SERVING,
    ),
    "a refusal is no engine that starts": (
        facts(
            target=COMPLETE, serving=1, serving_any=1, refusals=("quota",), diagnoses=(diagnosis(Reason.CRASH_LOOP),)
        ),
        "InProgress",
        "False",
        Reason.CHILD_REFUSED,
    ),
    "engines that wait for GPUs longer than their budget are missing": (
        facts(target=COMPLETE, serving=1, serving_any=1, diagnoses=(diagnosis(Reason.INSUFFICIENT_GPUS, 700),) * 2),
        "InProgress",
        "False",
        Reason.INSUFFICIENT_GPUS,
    ),
    "scaled to zero": (
        facts(target=COMPLETE, wanted=Wanted("aaaaaaaaaa", 0, 1, Limits(1, 0))),
        "Current",
        "True",
        Reason.SCALED_TO_ZERO,
    ),
}


@pytest.mark.parametrize(("given", "outcome", "ready", "reason"), CASES.values(), ids=CASES.keys())
def test_ready_and_kstatus(given: Facts, outcome: str, ready: str, reason: Reason) -> None:
    statement = told(given)["Ready"]
    assert (kstatus(given), statement.status.value, statement.reason) == (outcome, ready, reason)


@pytest.mark.parametrize("given", [case[0] for case in CASES.values()], ids=CASES.keys())
def test_never_reconciling_and_stalled_at_once(given: Facts) -> None:
    assert not {"Reconciling", "Stalled"} <= told(given).keys()


def test_the_message_names_the_worst_trouble() -> None:
    given = facts(diagnoses=(diagnosis(Reason.STARTING), diagnosis(Reason.WEIGHTS_FAILED)))
    assert told(given)["Ready"].message == "progress; pod x: WeightsFailed"


def test_missing_gpus_are_counted_in_gpus_not_pods() -> None:
    given = facts(diagnoses=(diagnosis(Reason.INSUFFICIENT_GPUS, None),) * 3)
    assert told(given)["CapacityAvailable"].message.startswith("6 GPUs are missing; ")


def test_old_engines_make_it_available_but_not_ready() -> None:
    given = facts(serving_any=2, others=2)
    assert (told(given)["Available"].status, told(given)["Ready"].status) == ("True", "False")


def test_pods_of_an_older_renderer_are_told() -> None:
    assert "UpdateAvailable" not in told(facts())
    assert "renderer 0" in told(facts(target=revision(renderer=0)))["UpdateAvailable"].message
