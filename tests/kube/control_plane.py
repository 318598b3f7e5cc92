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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError

import trustme

ADMIN_TOKEN: Final = "admin-of-the-tests"
START_SECONDS: Final = 60.0
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
    ca = trustme.CA()
    ca_file = folder / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    etcd_port, peer_port, port = _free_ports(3)
    with ExitStack() as running:
        etcd = f"http://127.0.0.1:{etcd_port}"
        running.enter_context(_process(folder / "etcd.log", _etcd(binaries, folder, etcd, peer_port)))
        running.enter_context(_process(folder / "apiserver.log", _api_server(binaries, folder, ca, etcd, port)))
        plane = ControlPlane(f"https://127.0.0.1:{port}", ca, ca_file)
        _wait_ready(plane, folder / "apiserver.log")
        yield plane


def _etcd(binaries: Path, folder: Path, client_url: str, peer_port: int) -> list[str]:
    peer_url = f"http://127.0.0.1:{peer_port}"
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


def _api_server(binaries: Path, folder: Path, ca: trustme.CA, etcd: str, port: int) -> list[str]:
    certificate, key, tokens = folder / "server.pem", folder / "server.key", folder / "tokens.csv"
    issued = ca.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    tokens.write_text(f"{ADMIN_TOKEN},admin,1,system:masters\n")
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--advertise-address=192.0.2.1",  # has to be no loopback; nothing uses it
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        f"--token-auth-file={tokens}",
        f"--client-ca-file={folder / 'ca.pem'}",
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
                process.wait(10)
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


def _free_ports(number: int) -> list[int]:
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(number)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in bound]


def complete(folder: Path) -> bool:
    """Whether both binaries are there and can be run."""
    return all(shutil.which(str(folder / name)) for name in ("server", "kube-apiserver"))
