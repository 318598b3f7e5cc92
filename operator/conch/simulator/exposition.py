"""Counters, gauges and histograms, and the text that Triton's metrics endpoint makes of them.

Triton writes with prometheus-cpp: counters first, then gauges, then histograms; counters keep their name as it is; a
histogram gives its count and sum before its buckets. prometheus-client can write none of that (it appends `_total` and
puts the buckets first), so the text is made here.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

Labels = Mapping[str, str]

CONTENT_TYPE: Final = "text/plain; charset=utf-8"

_ORDER: Final = ("counter", "gauge", "histogram")


class Value:
    """A counter or a gauge with its labels."""

    def __init__(self, labels: Labels) -> None:
        """Starts at zero."""
        self._labels = labels
        self.value = 0.0

    def add(self, amount: float) -> None:
        """Increments it."""
        self.value += amount

    def lines(self, name: str) -> list[str]:
        """Its one line."""
        return [f"{name}{_braces(self._labels)} {_number(self.value)}"]


class Histogram:
    """A histogram with its labels; `bounds` are the upper bounds of its buckets without the infinite one."""

    def __init__(self, labels: Labels, bounds: Sequence[float]) -> None:
        """Starts empty."""
        self._labels = labels
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts the value in the first bucket whose bound is not below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        """Count, sum, and the cumulative buckets."""
        cumulated = list(accumulate(self._counts))
        bounds = [*map(_number, self._bounds), "+Inf"]
        return [
            f"{name}_count{_braces(self._labels)} {cumulated[-1]}",
            f"{name}_sum{_braces(self._labels)} {_number(self._sum)}",
            *(
                f"{name}_bucket{_braces({**self._labels, 'le': bound})} {total}"
                for bound, total in zip(bounds, cumulated, strict=True)
            ),
        ]


class Family:
    """All samples of one name."""

    def __init__(self, name: str, help_: str, kind: Literal["counter", "gauge", "histogram"]) -> None:
        """A family without a sample is not shown."""
        self.kind = kind
        self._name = name
        self._help = help_
        self._samples: list[Value | Histogram] = []

    def value(self, **labels: str) -> Value:
        """Adds a counter or gauge with these labels."""
        sample = Value(labels)
        self._samples.append(sample)
        return sample

    def histogram(self, bounds: Sequence[float], **labels: str) -> Histogram:
        """Adds a histogram with these labels."""
        sample = Histogram(labels, bounds)
        self._samples.append(sample)
        return sample

    def lines(self) -> list[str]:
        """The family's part of the page."""
        if not self._samples:
            return []
        head = [f"# HELP {self._name} {self._help}", f"# TYPE {self._name} {self.kind}"]
        return head + [line for sample in self._samples for line in sample.lines(self._name)]


def page(families: Sequence[Family]) -> str:
    """The whole page; within a kind, families keep the order they are given in."""
    ordered = sorted(families, key=lambda family: _ORDER.index(family.kind))
    return "\n".join([line for family in ordered for line in family.lines()]) + "\n"


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return format(value, ".16g")
