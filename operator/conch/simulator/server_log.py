"""The server's log, in Triton's format: severity, date, time, process, source and the message in quotes."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal


class ServerLog:
    """Writes lines of the server's log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """`write` takes one line without its newline."""
        self._write = write

    def line(self, severity: Literal["I", "W", "E"], source: str, message: str) -> None:
        """One message of one of Triton's source files; newlines are escaped, as Triton does."""
        when = datetime.now().astimezone().strftime("%m%d %H:%M:%S.%f")
        escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._write(f'{severity}{when} 1 {source}] "{escaped}"')

    def raw(self, line: str) -> None:
        """A line that does not come from Triton's logger."""
        self._write(line)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table with ruled lines, as the server prints its models."""
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in (header, *rows)]
        for line in (rule, lines[0], rule, *lines[1:], rule):
            self._write(line)
