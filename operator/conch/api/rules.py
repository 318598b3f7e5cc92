"""Validation rules in CEL: written once beside the field they guard, used twice.

The CRD generator hands them to the API server (`x-kubernetes-validations`); `conch render` and the operator evaluate
the same expressions here, so that a spec refused by a server is refused offline with the same words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cel


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
        """The message for the user when `value` breaks the rule, else None."""
        context = {"self": dict(value)}
        if cel.evaluate(self.expression, context) is True:
            return None
        return self._explained(context)

    def _explained(self, context: dict[str, Any]) -> str:
        if self.message_expression is None:
            return self.message
        try:
            return str(cel.evaluate(self.message_expression, context))
        except (ValueError, RuntimeError, TypeError):  # a function of the server's CEL that this library lacks
            return self.message


def problems(rules: tuple[Rule, ...], value: Mapping[str, Any]) -> Iterator[str]:
    """The messages of all rules that `value` breaks, in the order of the rules."""
    for rule in rules:
        message = rule.problem(value)
        if message is not None:
            yield message
