"""The log of one run of a container: a file that a developer can read too, each line with its time."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cluster.agent.objects import micro_timestamp

# What a kubelet takes of a log as the termination message.
_LAST_BYTES: Final = 2048
_LAST_LINES: Final = 80


class ContainerLog:
    """Grows line by line until it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._grown = asyncio.Event()

    def write(self, line: str) -> None:
        """Adds a line, given without its newline. What comes after the end is lost."""
        if not self._file.closed:
            self._file.write(f"{micro_timestamp(datetime.now(UTC))} {line}\n")
            self._wake()

    def close(self) -> None:
        """The container has ended."""
        self._file.close()
        self._wake()

    @property
    def is_closed(self) -> bool:
        return self._file.closed

    def last_lines(self) -> str:
        """The end of the log, as a termination message."""
        lines = [line.split(" ", 1)[1] for line in self.lines()][-_LAST_LINES:]
        return "".join(lines).encode()[-_LAST_BYTES:].decode(errors="replace")

    def lines(self) -> list[str]:
        """All lines with their times and newlines."""
        return self.path.read_text(encoding="utf-8").splitlines(keepends=True)

    async def follow(self) -> AsyncIterator[str]:
        """All lines, then those to come, until the log is closed."""
        with self.path.open(encoding="utf-8") as reader:
            while True:
                ended, grown = self.is_closed, self._grown
                for line in reader:
                    yield line
                if ended:
                    return
                await grown.wait()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


@dataclass(frozen=True, slots=True)
class LogView:
    """What of a log was asked for."""

    tail: int | None = None
    timestamps: bool = False

    def of(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines as they are shown."""
        chosen = list(lines)
        if self.tail is not None:
            chosen = chosen[-self.tail :] if self.tail else []
        yield from map(self.shown, chosen)

    def shown(self, line: str) -> str:
        """One line with or without its time."""
        return line if self.timestamps else line.split(" ", 1)[1]
