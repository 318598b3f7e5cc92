"""Quantities in the form the API server gives back."""

import pytest

from conch.api import quantity

# Left as sent, right as a kube-apiserver 1.37 answered for a container's memory and cpu.
AS_THE_SERVER_ANSWERS = {
    "1": "1",
    "1000m": "1",
    "0.5": "500m",
    "1.5": "1500m",
    "2.50": "2500m",
    "0.001": "1m",
    "0.5m": "1m",
    "1.001m": "2m",
    "100000m": "100",
    "1000": "1k",
    "1024": "1024",
    "2000": "2k",
    "2000000": "2M",
    "1.5k": "1500",
    "1000k": "1M",
    "1.1M": "1100k",
    "0.7G": "700M",
    "7G": "7G",
    "1000T": "1P",
    "9000P": "9E",
    "0": "0",
    "0.0": "0",
    "0Gi": "0",
    "0.5Ki": "512",
    "0.001Ki": "1024m",
    "1.999Ki": "2046976m",
    "512Ki": "512Ki",
    "1000Ki": "1000Ki",
    "1024Mi": "1Gi",
    "1536Mi": "1536Mi",
    "1.0Gi": "1Gi",
    "1.5Gi": "1536Mi",
    "0.1Gi": "107374182400m",
    "0.25Ti": "256Gi",
    "1024Ti": "1Pi",
    "1048576Ti": "1Ei",
}


@pytest.mark.parametrize(("sent", "answered"), AS_THE_SERVER_ANSWERS.items(), ids=AS_THE_SERVER_ANSWERS.keys())
def test_a_quantity_is_canonical_as_the_server_has_it(sent: str, answered: str) -> None:
    assert quantity.canonical(sent) == answered


@pytest.mark.parametrize("answered", sorted(set(AS_THE_SERVER_ANSWERS.values())))
def test_a_canonical_quantity_stays_as_it_is(answered: str) -> None:
    assert quantity.canonical(answered) == answered


def test_whole_numbers_may_be_numbers() -> None:
    assert quantity.canonical(2) == "2"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1, "1"), (1024, "1Ki"), (1536 * 1024**2, "1536Mi"), (26 * 1024**3, "26Gi"), (2_000_000, "2M")],
)
def test_bytes_get_a_binary_suffix_where_one_fits(count: int, text: str) -> None:
    assert quantity.of_bytes(count) == text
    assert quantity.canonical(text) == text
    assert quantity.amount(text) == count


@pytest.mark.parametrize("text", ["", "-1", "1Zi", "1e3", "Gi", "1 Gi", "1.", ".5"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.amount(text)
