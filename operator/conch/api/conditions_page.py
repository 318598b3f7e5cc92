"""The page of the documentation that lists every condition and reason, written from the code that uses them.

`python -m conch.api.conditions_page > docs/conditions.md` (`make docs`); a test fails when the page is out of date.
"""

from typing import Final

from conch.api.conditions import REMEDIES, ConditionType, Reason

_CONDITIONS: Final = {
    ConditionType.READY: "The spec's revision serves at least what is wanted less what may be unavailable. Once it "
    "was rolled out, engines inside their start-up budget do not count as missing, so a scale-up does not end it: wait "
    "for `status.readyReplicas` to see more of them. With `replicas: 0` it is true with reason ScaledToZero.",
    ConditionType.RECONCILING: "The spec's revision is not rolled out yet. Absent when it is.",
    ConditionType.STALLED: "Nothing will move until somebody acts: at once for a spec that cannot work or a name "
    "that is taken, and for an engine that does not start once `engine.startupSeconds` are over. Absent otherwise, "
    "never beside Reconciling. What runs keeps running, and failed starts are still retried.",
    ConditionType.AVAILABLE: "Some revision serves, be it the old one.",
    ConditionType.MODEL_RESOLVED: "The model is pinned.",
    ConditionType.PLANNED: "The use of GPUs is decided.",
    ConditionType.CAPACITY_AVAILABLE: "No pod waits for GPUs or for a node. When false, the message counts "
    "the GPUs of those that wait.",
    ConditionType.UPDATE_AVAILABLE: "This version of Conch would render the pods differently. Nothing was restarted.",
}

_HEAD: Final = """# Conditions and reasons

`kubectl describe llmdep NAME` shows them; each message says which pod or field is meant. Tools that follow kstatus
(Flux, `helm --wait`) read Reconciling as in progress, Stalled as failed, Ready as current. A change of `replicas` alone
sets neither Reconciling nor Stalled.
"""


def page() -> str:
    """The page as Markdown."""
    conditions = "\n".join(f"| `{kind.value}` | {text} |" for kind, text in _CONDITIONS.items())
    reasons = "\n".join(
        f"| `{reason.value}` | {REMEDIES[reason].meaning} | {REMEDIES[reason].action} |" for reason in Reason
    )
    return (
        f"{_HEAD}\n| condition | what it says |\n|---|---|\n{conditions}\n\n"
        f"| reason | what it means | what to do |\n|---|---|---|\n{reasons}\n"
    )


if __name__ == "__main__":
    print(page(), end="")
