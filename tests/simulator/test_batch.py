"""The scheduler: closed forms for one request, and what must hold for any load."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conch.simulator.batch import BLOCK_TOKENS, Batch, Iteration, Limits, Request
from conch.simulator.latency import LatencyModel, shipped

A, B, G, D = 0.006, 0.00002, 0.0001, 0.000001
LATENCY: LatencyModel = shipped().model_copy(
    update={
        "base_seconds": A,
        "per_prefill_token_seconds": B,
        "per_decoding_sequence_seconds": G,
        "per_kv_token_seconds": D,
    }
)
ROOMY = Limits(max_sequences=8, max_batched_tokens=512, kv_capacity_tokens=64_000)


def run(batch: Batch, now: float = 0.0) -> list[Iteration]:
    iterations = []
    while (iteration := batch.step(now)) is not None:
        iterations.append(iteration)
        now = iteration.ends_at
    return iterations


def test_idle_batch_has_nothing_to_do() -> None:
    assert Batch(ROOMY, LATENCY).step(1.0) is None


def test_one_request_has_the_closed_form() -> None:
    prompt, output = 300, 5
    batch = Batch(ROOMY, LATENCY)
    batch.submit(Request(1, prompt, output))
    times = [iteration.ends_at for iteration in run(batch, now=10.0)]
    assert times[0] == pytest.approx(10.0 + A + B * prompt)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([A + G + D * (prompt + number) for number in range(1, output)])


def test_a_long_prompt_is_prefilled_in_chunks() -> None:
    batch = Batch(ROOMY, LATENCY)
    batch.submit(Request(1, 1200, 1))
    iterations = run(batch)
    assert [iteration.prefill_tokens for iteration in iterations] == [512, 512, 176]
    assert [len(iteration.tokens) for iteration in iterations] == [0, 0, 1]


def test_decoding_goes_before_prefill_in_one_iteration() -> None:
    batch = Batch(ROOMY, LATENCY)
    batch.submit(Request(1, 10, 50))
    batch.step(0.0)
    batch.submit(Request(2, 2000, 1))
    iteration = batch.step(1.0)
    assert iteration is not None
    assert (iteration.decoding_sequences, iteration.prefill_tokens, iteration.kv_tokens) == (1, 511, 11)


def test_the_newest_sequence_gives_way_when_the_cache_is_full() -> None:
    batch = Batch(Limits(max_sequences=4, max_batched_tokens=64, kv_capacity_tokens=160), LATENCY)
    for number in range(3):
        batch.submit(Request(number, 50, 40))
    iterations = run(batch)
    preempted = [request.id for iteration in iterations for request in iteration.preempted]
    assert preempted
    assert 0 not in preempted  # the oldest always runs on
    assert sum(len(iteration.tokens) for iteration in iterations) == 3 * 40


def test_what_can_never_fit_is_refused() -> None:
    batch = Batch(Limits(4, 64, 160), LATENCY)
    batch.submit(Request(1, 100, 61))  # the last token is never fed back
    with pytest.raises(ValueError, match="never fit"):
        batch.submit(Request(2, 100, 62))
    with pytest.raises(ValueError, match="needs a prompt"):
        batch.submit(Request(3, 0, 1))


def test_a_cancelled_request_frees_its_blocks() -> None:
    batch = Batch(ROOMY, LATENCY)
    batch.submit(Request(1, 100, 50))
    batch.submit(Request(2, 100, 50))
    batch.step(0.0)
    batch.cancel(1)
    assert [request.id for request in batch.running] == [2]
    assert batch.used_blocks == -(-100 // BLOCK_TOKENS)
    batch.cancel(99)


@st.composite
def loads(draw: st.DrawFn) -> tuple[Limits, list[Request], list[int]]:
    blocks = draw(st.integers(2, 40))
    capacity = blocks * BLOCK_TOKENS + draw(st.integers(0, BLOCK_TOKENS - 1))
    limits = Limits(draw(st.integers(1, 6)), draw(st.integers(1, 100)), capacity)
    sizes = draw(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 60)), max_size=12))
    fits = [(prompt, output) for prompt, output in sizes if prompt + output - 1 <= blocks * BLOCK_TOKENS]
    requests = [Request(number, *size) for number, size in enumerate(fits)]
    arrivals = sorted(draw(st.lists(st.integers(0, 60), min_size=len(requests), max_size=len(requests))))
    return limits, requests, arrivals


@given(loads())
def test_any_load_is_served_within_the_limits(load: tuple[Limits, list[Request], list[int]]) -> None:
    """Every token is made once and in order, no limit is passed, and admission is first come, first served."""
    limits, requests, arrivals = load
    batch, now, step_number = Batch(limits, LATENCY), 0.0, 0
    made: dict[int, list[int]] = {request.id: [] for request in requests}
    waiting = list(zip(arrivals, requests, strict=True))
    while waiting or batch.running or batch.waiting:
        while waiting and waiting[0][0] <= step_number:
            batch.submit(waiting.pop(0)[1])
        order = [request.id for request in (*batch.running, *batch.waiting)]
        assert order == sorted(order)
        step_number += 1
        iteration = batch.step(now)
        if iteration is None:
            assert waiting
            continue
        assert iteration.ends_at > iteration.starts_at == now
        assert iteration.prefill_tokens + iteration.decoding_sequences <= limits.max_batched_tokens
        assert len(batch.running) <= limits.max_sequences
        assert batch.used_blocks <= limits.blocks
        assert iteration.prefill_tokens + iteration.decoding_sequences > 0
        now = iteration.ends_at
        for token in iteration.tokens:
            made[token.request.id].append(token.number)
            assert token.is_first == (token.number == 1)
    assert made == {request.id: list(range(1, request.output_tokens + 1)) for request in requests}
    assert batch.used_blocks == 0


@given(loads())
def test_prefill_computes_each_prompt_once_unless_preempted(load: tuple[Limits, list[Request], list[int]]) -> None:
    limits, requests, _ = load
    batch = Batch(limits, LATENCY)
    for request in requests:
        batch.submit(request)
    iterations = run(batch)
    computed = sum(iteration.prefill_tokens + iteration.decoding_sequences for iteration in iterations)
    needed = sum(request.prompt_tokens + request.output_tokens - 1 for request in requests)
    if any(iteration.preempted for iteration in iterations):
        assert computed > needed
    else:
        assert computed == needed
