"""How the operator logs: a line per decision or change, as JSON for collectors or as text for people."""

import logging
import sys
from enum import StrEnum

from pythonjsonlogger.json import JsonFormatter


class LogFormat(StrEnum):
    """The shapes of a log line."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


def configure(level: LogLevel, log_format: LogFormat) -> None:
    """Sends all logs to standard error in one shape."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format is LogFormat.JSON:
        fields = "%(asctime)s %(levelname)s %(name)s %(message)s"
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(fields, rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=level.value.upper(), handlers=[handler], force=True)
