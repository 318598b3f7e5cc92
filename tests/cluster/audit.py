"""The API server's audit log: an independent witness of who asked for what and how it ended."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NewType, Self
from uuid import uuid4

from cluster.failure import ClusterFailure

# A place in the log, as an offset in bytes.
Mark = NewType("Mark", int)

_MUTATING: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_SETTLE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One answered request. `code` is the HTTP status; object fields are empty where the request names none."""

    user: str
    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    # RBAC's reason for its answer, such as: RBAC: allowed by RoleBinding "x/y" of Role "z" to User "u".
    reason: str
    record: Mapping[str, Any]

    @property
    def is_mutating(self) -> bool:
        """Whether it could have changed something: asked for a change and was not refused."""
        return self.verb in _MUTATING and self.code < 400

    @classmethod
    def parse(cls, line: str) -> Self:
        """A line of the log (audit.k8s.io/v1 Event)."""
        record = json.loads(line)
        target = record.get("objectRef", {})
        return cls(
            user=record["user"].get("username", ""),
            user_agent=record.get("userAgent", ""),
            verb=record["verb"],
            group=target.get("apiGroup", ""),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=record.get("responseStatus", {}).get("code", 0),
            uri=record["requestURI"],
            reason=record.get("annotations", {}).get("authorization.k8s.io/reason", ""),
            record=record,
        )


class AuditLog:
    """Reads the log at `path`. `get` asks the API server for a path and is used to know that the log has caught up."""

    def __init__(self, path: Path, get: Callable[[str], object]) -> None:
        self._path = path
        self._get = get

    def mark(self) -> Mark:
        """The end of the log now, everything answered so far included."""
        return self._settle(Mark(0))

    def since(self, mark: Mark) -> Iterator[AuditEvent]:
        """What was answered between the mark and now, in the order of the log.

        A request is logged a moment after it was answered. So a request of our own is made, and the log read up to it.
        """
        end = self._settle(mark)
        with self._path.open("rb") as log:
            log.seek(mark)
            while log.tell() < end:
                event = AuditEvent.parse(log.readline().decode())
                if _SENTINEL not in event.uri:
                    yield event

    def _settle(self, mark: Mark) -> Mark:
        """Makes a request that can be told from all others; returns the place behind it."""
        uri = f"/version?{_SENTINEL}={uuid4().hex}"
        self._get(uri)
        wanted = uri.encode()
        deadline = time.monotonic() + _SETTLE_SECONDS
        with self._path.open("rb") as log:
            log.seek(mark)
            while time.monotonic() < deadline:
                line = log.readline()
                if not line.endswith(b"\n"):
                    log.seek(-len(line), 1)
                    time.sleep(0.01)
                elif wanted in line:
                    return Mark(log.tell())
        raise ClusterFailure(f"The audit log {self._path} is more than {_SETTLE_SECONDS:.0f} s behind.")


_SENTINEL: Final = "audit-log-has-caught-up"
