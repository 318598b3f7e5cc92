"""Text and tokens: how many tokens a prompt has, and which words a simulated model answers with.

A prompt counts one token per four bytes of UTF-8, rounded up, and at least one: the usual estimate for English. The
answer is a walk through a fixed vocabulary that starts where the prompt's checksum says: the same prompt always gets
the same answer, one word per token.
"""

from typing import Final
from zlib import crc32

_BYTES_PER_TOKEN: Final = 4

_SONG: Final = """
    the wave rises and the shell answers far from shore where old songs return with tide foam salt wind a low horn
    calls every current home before night falls over deep water then silence keeps what light remains
"""
_VOCABULARY: Final = _SONG.split()

_STRIDE: Final = 7
"""Prime to the vocabulary's length, so that a walk visits every word."""


def count_tokens(text: str) -> int:
    """Tokens of a prompt."""
    return max(1, -(-len(text.encode()) // _BYTES_PER_TOKEN))


def word(prompt: str, number: int) -> str:
    """The `number`-th token (from 1) of the answer to the prompt, with the space before it."""
    return " " + _VOCABULARY[(crc32(prompt.encode()) + number * _STRIDE) % len(_VOCABULARY)]
