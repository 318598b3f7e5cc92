"""Which failures are worth another attempt, and when."""

import random

import pytest

from conch.kube.backoff import Backoff
from conch.kube.errors import KubeError, UnreachableError, api_error
from conch.kube.retries import RetryPolicy

POLICY = RetryPolicy(attempts=4, patience_seconds=10, backoff=Backoff(1, 4))


def wait(failure: KubeError, *, repeatable: bool = True, attempts: int = 1, elapsed: float = 0.0) -> float | None:
    return POLICY.wait_seconds(
        failure, repeatable=repeatable, attempts=attempts, elapsed_seconds=elapsed, chance=random.Random(1)
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_repeatable_request_is_sent_again(status: int) -> None:
    assert wait(api_error(status, {})) is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_a_definite_no_is_final(status: int) -> None:
    assert wait(api_error(status, {})) is None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_may_have_been_carried_out_is_not_repeated_unless_harmless(status: int) -> None:
    assert wait(api_error(status, {}), repeatable=False) is None


def test_a_create_is_repeated_only_when_it_surely_did_not_happen() -> None:
    assert wait(UnreachableError("cut", sent=True), repeatable=False) is None
    assert wait(UnreachableError("refused", sent=False), repeatable=False) is not None
    assert wait(api_error(429, {}), repeatable=False) is not None


def test_retry_after_is_the_least() -> None:
    seconds = wait(api_error(429, {}, retry_after_seconds=3))
    assert seconds is not None
    assert 3 <= seconds <= 4


def test_a_wait_beyond_the_patience_is_left_to_the_caller() -> None:
    assert wait(api_error(503, {}, retry_after_seconds=60)) is None
    assert wait(api_error(503, {}, retry_after_seconds=3), elapsed=9) is None


def test_attempts_are_counted() -> None:
    assert wait(api_error(503, {}), attempts=3) is not None
    assert wait(api_error(503, {}), attempts=4) is None


def test_full_jitter_stays_under_a_doubling_cap() -> None:
    backoff, chance = Backoff(base_seconds=0.5, cap_seconds=30), random.Random(2)
    for failures, ceiling in enumerate((0.5, 1, 2, 4, 8, 16, 30, 30)):
        draws = [backoff.draw_seconds(failures, chance) for _ in range(200)]
        assert 0 <= min(draws) < ceiling * 0.1
        assert ceiling * 0.9 < max(draws) <= ceiling
    assert backoff.ceiling_seconds(10_000) == 30
