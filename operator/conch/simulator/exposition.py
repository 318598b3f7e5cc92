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
        self.name = name
        self.kind = kind
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

    def head(self) -> list[str]:
        """What introduces the family."""
        return [f"# HELP {self.name} {self._help}", f"# TYPE {self.name} {self.kind}"]

    def lines(self) -> list[str]:
        """Its samples."""
        return [line for sample in self._samples for line in sample.lines(self.name)]


def page(families: Sequence[Family]) -> str:
    """The whole page. Within a kind, families keep the order they are given in; namesakes are written as one."""
    named: dict[str, list[Family]] = {}
    for family in sorted(families, key=lambda family: _ORDER.index(family.kind)):
        named.setdefault(family.name, []).append(family)
    lines: list[str] = []
    for namesakes in named.values():
        samples = [line for family in namesakes for line in family.lines()]
        lines += [*namesakes[0].head(), *samples] if samples else []
    return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return format(value, ".16g")
