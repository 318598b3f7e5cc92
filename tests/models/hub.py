"""A stand-in for the Hugging Face Hub on loopback: the requests of a download, answered from memory.

Status codes and headers are those of huggingface.co for gated, missing and private repositories.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Hub:
    """One repository at one commit.

    `token`, when set, is the only one that may read the files; `status`, when set, is all the answer there is.
    """

    repo: str
    commit: str
    files: Mapping[str, bytes]
    token: str | None = None
    status: int | None = None
    authorizations: set[str | None] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve until left; yields the endpoint's URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = hub.answer(self.command, urlsplit(self.path).path, self.headers.get("Authorization"))
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing: the tests look at `authorizations` and `fetched`."""

        return Handler

    def answer(self, method: str, path: str, authorization: str | None) -> "Answer":
        self.authorizations.add(authorization)
        if self.status is not None:
            return Answer(self.status)
        if path.startswith(f"/api/models/{self.repo}/"):
            return self._listing(path)
        prefix = f"/{self.repo}/resolve/{self.commit}/"
        if not path.startswith(prefix):
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        if self.token is not None and authorization != f"Bearer {self.token}":
            return Answer(403 if authorization else 401, headers={"X-Error-Code": "GatedRepo"})
        if method == "GET":
            self.fetched.add(path.removeprefix(prefix))
        return self._file(path.removeprefix(prefix))

    def _listing(self, path: str) -> "Answer":
        if self.commit not in path:
            return Answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        if "/tree/" not in path:
            return Answer(200, json.dumps({"id": self.repo, "sha": self.commit, "siblings": []}).encode())
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": sha256(content).hexdigest()[:40]}
            for name, content in self.files.items()
        ]
        return Answer(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str) -> "Answer":
        if name not in self.files:
            return Answer(404, headers={"X-Error-Code": "EntryNotFound"})
        content = self.files[name]
        etag = sha256(content).hexdigest()
        return Answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": self.commit})


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
