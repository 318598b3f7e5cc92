"""Validation rules in CEL: written once beside the field they guard, used twice.

The CRD generator hands them to the API server (`x-kubernetes-validations`); `conch render` and the operator evaluate
the same expressions here, so that a spec refused by a server is refused offline with the same words.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cel

LONGEST_EXPLANATION_BYTES: Final = 5 * 1024
"""What the API server keeps of an evaluated message expression."""

_KUBERNETES_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "replace": lambda text, old, new: text.replace(old, new),
    "substring": lambda text, start, end: text[start:end],
    "trim": lambda text: text.strip(),
}
"""The functions that rules here take from Kubernetes' string library, which the language itself does not have."""

_EVALUATION_ERRORS: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL expression over `self` that must be true, and what to tell the user when it is not.

    `message_expression` is CEL too and may name values; `message` is used where it cannot be evaluated.
    """

    expression: str
    message: str
    message_expression: str | None = None

    def as_schema(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
        return {
            "rule": self.expression,
            "message": self.message,
            **({"messageExpression": self.message_expression} if self.message_expression else {}),
        }

    def problem(self, value: Mapping[str, Any]) -> str | None:
        """The message for the user when `value` breaks the rule, or cannot be judged by it; else None."""
        try:
            is_kept = _evaluate(self.expression, value) is True
        except _EVALUATION_ERRORS:
            is_kept = False
        return None if is_kept else self._explanation(value)

    def _explanation(self, value: Mapping[str, Any]) -> str:
        if self.message_expression is None:
            return self.message
        try:
            explained = str(_evaluate(self.message_expression, value))
        except _EVALUATION_ERRORS:
            return self.message
        is_usable = explained.strip() and "\n" not in explained and len(explained) <= LONGEST_EXPLANATION_BYTES
        return explained if is_usable else self.message


def problems(rules: tuple[Rule, ...], value: Mapping[str, Any]) -> Iterator[str]:
    """The messages of all rules that `value` breaks, in the order of the rules."""
    for rule in rules:
        message = rule.problem(value)
        if message is not None:
            yield message


def _evaluate(expression: str, value: Mapping[str, Any]) -> Any:
    context = cel.Context(variables={"self": dict(value)}, functions=_KUBERNETES_FUNCTIONS)
    return _program(expression).execute(context)


@cache
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)
