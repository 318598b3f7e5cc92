"""etcd and kube-apiserver as processes on loopback, for the tests of this folder.

RBAC authorizes; `ADMIN_TOKEN` and client certificates of the CA with organization `system:masters` may do everything.
"""

import os
import shutil
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

ADMIN_TOKEN: Final = "admin-of-the-tests"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 3.0  # an API server waits longer for open watches
BINARIES_VARIABLE: Final = "CONCH_CONTROL_PLANE_BIN"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where it listens and how to log in."""

    server: str
    ca: trustme.CA
    ca_file: Path


def binaries() -> Path | None:
    """The folder with `server` (etcd) and `kube-apiserver`, if the environment names one."""
    folder = os.environ.get(BINARIES_VARIABLE)
    return Path(folder) if folder else None


@contextmanager
def control_plane(binaries: Path, folder: Path) -> Iterator[ControlPlane]:
    """Runs both until left; everything they write is under `folder`."""
    with etcd(binaries, folder) as etcd_url, api_server(binaries, folder, etcd_url, trustme.CA(), free_port()) as plane:
        yield plane


@contextmanager
def etcd(binaries: Path, folder: Path) -> Iterator[str]:
    """Runs etcd until left; yields its URL."""
    client_url, peer_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with _process(folder / "etcd.log", _etcd(binaries, folder, client_url, peer_url)):
        yield client_url


@contextmanager
def api_server(binaries: Path, folder: Path, etcd_url: str, ca: trustme.CA, port: int) -> Iterator[ControlPlane]:
    """Runs an API server until left."""
    own = folder / f"apiserver-{uuid4().hex[:8]}"
    own.mkdir()
    plane = ControlPlane(f"https://127.0.0.1:{port}", ca, own / "ca.pem")
    plane.ca.cert_pem.write_to_path(plane.ca_file)
    log = own / "apiserver.log"
    with _process(log, _api_server(binaries, own, plane, etcd_url, port)):
        _wait_ready(plane, log)
        yield plane


def _etcd(binaries: Path, folder: Path, client_url: str, peer_url: str) -> list[str]:
    return [
        str(binaries / "server"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
    ]


def _api_server(binaries: Path, folder: Path, plane: ControlPlane, etcd_url: str, port: int) -> list[str]:
    certificate, key, tokens = folder / "server.pem", folder / "server.key", folder / "tokens.csv"
    issued = plane.ca.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    tokens.write_text(f"{ADMIN_TOKEN},admin,1,system:masters\n")
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
        f"--client-ca-file={plane.ca_file}",
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


def _wait_ready(plane: ControlPlane, log: Path) -> None:
    trust = ssl.create_default_context(cafile=str(plane.ca_file))
    request = urllib.request.Request(f"{plane.server}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
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


def complete(folder: Path) -> bool:
    """Whether both binaries are there and can be run."""
    return all(shutil.which(str(folder / name)) for name in ("server", "kube-apiserver"))
