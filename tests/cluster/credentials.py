"""Who may talk to the API server, and how it is known to be the right one.

One certificate authority signs the serving certificate and, through the controller-manager, CertificateSigningRequests.
Each component logs in with a bearer token of its own; the users and groups are those Kubernetes' own RBAC expects.
"""

import csv
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cluster import network

_ADMINISTRATORS: Final = "system:masters"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the API server; `name` also names its kubeconfig."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


ADMINISTRATOR: Final = Identity("admin", "admin", (_ADMINISTRATORS,))
SUPERVISOR: Final = Identity("supervisor", "cluster-supervisor", (_ADMINISTRATORS,))
CONTROLLER_MANAGER: Final = Identity("kube-controller-manager", "system:kube-controller-manager")
SCHEDULER: Final = Identity("kube-scheduler", "system:kube-scheduler")
PROXY: Final = Identity("kube-proxy", "system:kube-proxy")
# One agent stands for all nodes, which no kubelet's rights (one node each) allow.
AGENT: Final = Identity("agent", "node-agent", (_ADMINISTRATORS,))
# Holds no rights beyond those of everybody who is logged in, for tests of refusals.
STRANGER: Final = Identity("stranger", "stranger")

IDENTITIES: Final = (ADMINISTRATOR, SUPERVISOR, CONTROLLER_MANAGER, SCHEDULER, PROXY, AGENT, STRANGER)

SERVER_NAMES: Final = (
    "127.0.0.1",
    "localhost",
    str(network.CONTROL_PLANE.ip),
    str(network.API_SERVICE),
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files in one folder."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def authority_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def serving(self) -> Path:
        return self.folder / "serving.pem"

    @property
    def serving_key(self) -> Path:
        return self.folder / "serving.key"

    @property
    def service_account_key(self) -> Path:
        """Signs the tokens of ServiceAccounts and checks them."""
        return self.folder / "service-account.key"

    @property
    def tokens(self) -> Path:
        """The API server's static token file."""
        return self.folder / "tokens.csv"

    def token(self, identity: Identity) -> str:
        """The bearer token of an identity."""
        with self.tokens.open(encoding="utf-8", newline="") as lines:
            return next(token for token, user, *_ in csv.reader(lines) if user == identity.user)

    def kubeconfig(self, identity: Identity) -> Path:
        """Reaches the API server from inside the namespace."""
        return self.folder / f"{identity.name}.kubeconfig"


def issue(credentials: Credentials, outside_port: int, administrators_kubeconfig: Path) -> None:
    """Writes all credentials anew, and the kubeconfig with which the administrator comes from outside."""
    authority = trustme.CA(organization_name="Conch's local cluster")
    serving = authority.issue_cert(*SERVER_NAMES, common_name="kube-apiserver")
    authority.cert_pem.write_to_path(credentials.authority)
    authority.private_key_pem.write_to_path(credentials.authority_key)
    serving.private_key_pem.write_to_path(credentials.serving_key)
    credentials.serving.write_bytes(b"".join(blob.bytes() for blob in serving.cert_chain_pems))
    credentials.service_account_key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
    )
    tokens = {identity: secrets.token_urlsafe(24) for identity in IDENTITIES}
    with credentials.tokens.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(
            (token, identity.user, identity.user, ",".join(identity.groups)) for identity, token in tokens.items()
        )
    inside = f"https://{network.CONTROL_PLANE.ip}:6443"
    for identity, token in tokens.items():
        _write_kubeconfig(credentials.kubeconfig(identity), inside, credentials, identity, token)
    outside = f"https://127.0.0.1:{outside_port}"
    _write_kubeconfig(administrators_kubeconfig, outside, credentials, ADMINISTRATOR, tokens[ADMINISTRATOR])


def _write_kubeconfig(path: Path, server: str, credentials: Credentials, identity: Identity, token: str) -> None:
    content: Mapping[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "conch", "cluster": {"server": server, "certificate-authority": str(credentials.authority)}}
        ],
        "users": [{"name": identity.name, "user": {"token": token}}],
        "contexts": [{"name": "conch", "context": {"cluster": "conch", "user": identity.name}}],
        "current-context": "conch",
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    path.chmod(0o600)
