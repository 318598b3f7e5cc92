"""Pages that are written from code are what the code would write."""

from cluster.state import REPOSITORY
from conch.api.conditions import REMEDIES, Reason
from conch.api.conditions_page import page


def test_the_page_of_conditions_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "conditions.md").read_text() == page()


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)
