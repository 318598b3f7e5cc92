"""Kubernetes quantities as the API server writes them back, so that what we render equals what we observe.

The canonical form has an integer mantissa and the largest suffix that keeps it whole; binary suffixes stay binary
(k8s.io/apimachinery/pkg/api/resource, Quantity.CanonicalizeBytes).
"""

import re
from fractions import Fraction
from typing import Final

_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = ("m", "", "k", "M", "G", "T", "P", "E")
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")


def amount(quantity: int | str) -> Fraction:
    """The value of a quantity in its base unit (cores, bytes). Raises ValueError for what is not a quantity."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"not a quantity: {quantity!r}")
    return Fraction(match[1]) * _scale(match[2] or "")


def canonical(quantity: int | str) -> str:
    """The quantity as the API server stores it: 1024Mi is 1Gi, 0.5 is 500m, 2000 is 2k."""
    value = amount(quantity)
    suffixes = _BINARY if str(quantity).endswith("i") and value.denominator == 1 else _DECIMAL
    for suffix in reversed(suffixes):
        mantissa = value / _scale(suffix)
        if mantissa.denominator == 1:
            return f"{mantissa.numerator}{suffix if mantissa else ''}"
    return f"{-(-value // _scale(suffixes[0]))}{suffixes[0]}"


def of_bytes(count: int) -> str:
    """A number of bytes as a quantity, with a binary suffix where one fits."""
    return canonical(f"{count // 1024}Ki" if count % 1024 == 0 else count)


def _scale(suffix: str) -> Fraction:
    if suffix == "m":
        return Fraction(1, 1000)
    if suffix.endswith("i"):
        return Fraction(1024 ** _BINARY.index(suffix))
    return Fraction(1000 ** (_DECIMAL.index(suffix) - 1))
