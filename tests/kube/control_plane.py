"""API servers on one etcd, as processes on loopback: for tests in which one of them goes away.

RBAC authorizes; the token, and client certificates of the CA with organization `system:masters`, may do everything.
"""

import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from uuid import uuid4

import trustme

_TOKEN: Final = "admin-of-the-tests"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 3.0  # an API server waits longer for open watches


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where it listens and how to log in: the token is the administrator's, the CA may issue client certificates."""

    server: str
    ca: trustme.CA
    ca_file: Path
    token: str


@contextmanager
def etcd(binaries: Path, folder: Path) -> Iterator[str]:
    """Runs etcd until left; yields its URL."""
    client_url, peer_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with _process(folder / "etcd.log", _etcd(binaries, folder, client_url, peer_url)):
        yield client_url


@contextmanager
def api_server(binaries: Path, folder: Path, etcd_url: str, ca: trustme.CA, port: int) -> Iterator[ApiServer]:
    """Runs an API server until left."""
    own = folder / f"apiserver-{uuid4().hex[:8]}"
    own.mkdir()
    started = ApiServer(f"https://127.0.0.1:{port}", ca, own / "ca.pem", _TOKEN)
    started.ca.cert_pem.write_to_path(started.ca_file)
    log = own / "apiserver.log"
    with _process(log, _api_server(binaries, own, started, etcd_url, port)):
        _wait_ready(started, log)
        yield started


def _etcd(binaries: Path, folder: Path, client_url: str, peer_url: str) -> list[str]:
    return [
        str(binaries / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
    ]


def _api_server(binaries: Path, folder: Path, started: ApiServer, etcd_url: str, port: int) -> list[str]:
    certificate, key, tokens = folder / "server.pem", folder / "server.key", folder / "tokens.csv"
    issued = started.ca.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    tokens.write_text(f"{started.token},admin,1,system:masters\n")
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--advertise-address=192.0.2.1",  # has to be no loopback; nothing uses it
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        f"--token-auth-file={tokens}",
        f"--client-ca-file={started.ca_file}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        "--service-account-issuer=https://conch.test",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--cert-dir={folder / 'certificates'}",
    ]


@contextmanager
def _process(log: Path, command: list[str]) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(started: ApiServer, log: Path) -> None:
    trust = ssl.create_default_context(cafile=str(started.ca_file))
    request = urllib.request.Request(f"{started.server}/readyz", headers={"Authorization": f"Bearer {started.token}"})
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, context=trust, timeout=5):
                return
        except (URLError, OSError) as failure:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no API server after {START_SECONDS} s: {log.read_text()[-2000:]}") from failure
        time.sleep(0.2)


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
