"""Continuous batching as vLLM's scheduler does it: which sequences run in an iteration, and how long that takes.

Pure and without a clock: `step(now)` says what one iteration that starts at `now` does and when it ends. A server
sleeps until then; a simulation in virtual time goes there at once.

The rules (vLLM V1): sequences that run go first, one token each when they decode, a chunk of what is missing when they
prefill; then waiting ones are admitted first come, first served. At most `max_sequences` run, an iteration computes at
most `max_batched_tokens` tokens, and keys and values fill blocks of 16 tokens. When no block is left, the sequence
admitted last gives up its blocks and waits at the head of the queue, to compute its whole context again.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from conch.simulator.latency import LatencyModel

BLOCK_TOKENS: Final = 16
"""Tokens of one block of the KV cache."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an iteration."""

    max_sequences: int
    max_batched_tokens: int
    kv_capacity_tokens: int
    """Only whole blocks of it are used."""

    @property
    def blocks(self) -> int:
        """Blocks of the KV cache."""
        return self.kv_capacity_tokens // BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to generate: the prompt's length, and exactly how many tokens follow it."""

    id: int
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token; `number` counts from 1."""

    request: Request
    number: int

    @property
    def is_first(self) -> bool:
        """Whether it ends the prefill."""
        return self.number == 1

    @property
    def is_last(self) -> bool:
        """Whether it ends the request."""
        return self.number == self.request.output_tokens


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration; all of its tokens appear when it ends. Times are those of `step`'s clock, in seconds."""

    starts_at: float
    ends_at: float
    prefill_tokens: int
    decoding_sequences: int
    kv_tokens: int
    """Context of the decoding sequences, summed."""
    tokens: tuple[Token, ...]
    preempted: tuple[Request, ...]


@dataclass(slots=True, eq=False)
class _Sequence:
    request: Request
    computed_tokens: int = 0
    generated_tokens: int = 0

    @property
    def missing_tokens(self) -> int:
        """Tokens whose keys and values must be computed before the next token can be sampled."""
        return self.request.prompt_tokens + self.generated_tokens - self.computed_tokens

    @property
    def decodes(self) -> bool:
        return self.generated_tokens > 0 and self.missing_tokens == 1

    def blocks(self, more_tokens: int = 0) -> int:
        return -(-(self.computed_tokens + more_tokens) // BLOCK_TOKENS)


@dataclass(frozen=True, slots=True)
class _Share:
    """What one sequence gets of an iteration."""

    sequence: _Sequence
    tokens: int
    decodes: bool


@dataclass(slots=True)
class _Schedule:
    """An iteration while it is being put together."""

    budget_tokens: int
    free_blocks: int
    shares: list[_Share] = field(default_factory=list)
    preempted: list[Request] = field(default_factory=list)

    def wanted(self, sequence: _Sequence) -> tuple[int, int]:
        """Tokens the sequence would compute within the budget, and blocks it needs for them."""
        tokens = min(sequence.missing_tokens, self.budget_tokens)
        return tokens, sequence.blocks(tokens) - sequence.blocks()

    def give(self, sequence: _Sequence, tokens: int, blocks: int) -> None:
        self.budget_tokens -= tokens
        self.free_blocks -= blocks
        self.shares.append(_Share(sequence, tokens, sequence.decodes))


class Batch:
    """The scheduler of one engine."""

    def __init__(self, limits: Limits, latency: LatencyModel) -> None:
        """An idle engine."""
        self._limits = limits
        self._latency = latency
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []

    @property
    def running(self) -> tuple[Request, ...]:
        """In order of admission."""
        return tuple(sequence.request for sequence in self._running)

    @property
    def waiting(self) -> tuple[Request, ...]:
        """In the order in which they will be admitted."""
        return tuple(sequence.request for sequence in self._waiting)

    @property
    def used_blocks(self) -> int:
        """Blocks of the KV cache that hold something."""
        return sum(sequence.blocks() for sequence in self._running)

    def submit(self, request: Request) -> None:
        """Puts the request at the end of the queue.

        Raises ValueError for one without a prompt or an output, and for one that the KV cache could never hold.
        """
        if request.prompt_tokens < 1 or request.output_tokens < 1:
            raise ValueError(f"a request needs a prompt and an output: {request}")
        # The last token is never fed back, so it needs no room.
        needed_tokens = request.prompt_tokens + request.output_tokens - 1
        if -(-needed_tokens // BLOCK_TOKENS) > self._limits.blocks:
            raise ValueError(f"{needed_tokens} tokens never fit into a KV cache of {self._limits.kv_capacity_tokens}")
        self._waiting.append(_Sequence(request))

    def cancel(self, request_id: int) -> None:
        """Forgets the request and frees its blocks; unknown and finished ones are ignored."""
        self._running = [sequence for sequence in self._running if sequence.request.id != request_id]
        self._waiting = deque(sequence for sequence in self._waiting if sequence.request.id != request_id)

    def step(self, now: float) -> Iteration | None:
        """Runs one iteration that starts at `now`; None when there is nothing to run."""
        schedule = _Schedule(self._limits.max_batched_tokens, self._limits.blocks - self.used_blocks)
        self._schedule_running(schedule)
        if not schedule.preempted:
            self._admit(schedule)
        if not schedule.shares:
            return None
        decoding = [share for share in schedule.shares if share.decodes]
        work = {
            "prefill_tokens": sum(share.tokens for share in schedule.shares if not share.decodes),
            "decoding_sequences": len(decoding),
            "kv_tokens": sum(share.sequence.computed_tokens + 1 for share in decoding),
        }
        return Iteration(
            starts_at=now,
            ends_at=now + self._latency.iteration_seconds(**work),
            **work,
            tokens=self._compute(schedule.shares),
            preempted=tuple(schedule.preempted),
        )

    def _schedule_running(self, schedule: _Schedule) -> None:
        position = 0
        while position < len(self._running) and schedule.budget_tokens > 0:
            sequence = self._running[position]
            tokens, blocks = schedule.wanted(sequence)
            while blocks > schedule.free_blocks and position < len(self._running):
                self._preempt_last(schedule)
            if position == len(self._running):
                return  # it was the last one itself
            schedule.give(sequence, tokens, blocks)
            position += 1

    def _preempt_last(self, schedule: _Schedule) -> None:
        sequence = self._running.pop()
        schedule.free_blocks += sequence.blocks()
        schedule.preempted.append(sequence.request)
        sequence.computed_tokens = 0
        self._waiting.appendleft(sequence)

    def _admit(self, schedule: _Schedule) -> None:
        while self._waiting and schedule.budget_tokens > 0 and len(self._running) < self._limits.max_sequences:
            tokens, blocks = schedule.wanted(self._waiting[0])
            if blocks > schedule.free_blocks:
                return  # first come, first served: nothing behind it goes first
            sequence = self._waiting.popleft()
            self._running.append(sequence)
            schedule.give(sequence, tokens, blocks)

    def _compute(self, shares: list[_Share]) -> tuple[Token, ...]:
        tokens = []
        for share in shares:
            sequence = share.sequence
            sequence.computed_tokens += share.tokens
            if sequence.missing_tokens == 0:
                sequence.generated_tokens += 1
                tokens.append(Token(sequence.request, sequence.generated_tokens))
        self._running = [
            sequence for sequence in self._running if sequence.generated_tokens < sequence.request.output_tokens
        ]
        return tuple(tokens)
