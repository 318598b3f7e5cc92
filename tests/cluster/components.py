"""What runs inside the namespaces: each component's command line and the sign that it works."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cluster import binaries, credentials, network
from cluster.credentials import Credentials
from cluster.prerequisites import search_path
from cluster.state import REPOSITORY, Settings, StateFolder

API_SERVER_URL: Final = f"https://{network.CONTROL_PLANE.ip}:6443"
# The Node that kube-proxy runs on.
CONTROL_PLANE_NODE: Final = "control-plane"

_ETCD_URL: Final = "http://127.0.0.1:2379"
_HOST, _PORT = str(network.CONTROL_PLANE.ip), "6443"


@dataclass(frozen=True, slots=True)
class Component:
    """A process to run. `ready_url` answers 200 once it works; `inherits` are file descriptors it gets."""

    name: str
    command: tuple[str, ...]
    ready_url: str | None = None
    inherits: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def store(state: StateFolder, settings: Settings) -> tuple[Component, ...]:
    """What everything else talks to."""
    return (_etcd(state, settings), _api_server(state, settings))


def clients(state: StateFolder, settings: Settings) -> tuple[Component, ...]:
    """What talks to the API server, in no order."""
    return (
        _controller_manager(state, settings),
        _scheduler(state, settings),
        _proxy(state, settings),
        _relay(settings),
        _agent(state, settings),
    )


def _go_program(settings: Settings, name: str, flags: Mapping[str, object]) -> tuple[str, ...]:
    return (str(settings.control_plane / name), *(f"--{flag}={value}" for flag, value in flags.items()))


def _etcd(state: StateFolder, settings: Settings) -> Component:
    flags = {
        "data-dir": state.root / "etcd",
        "listen-client-urls": _ETCD_URL,
        "advertise-client-urls": _ETCD_URL,
        "listen-peer-urls": "http://127.0.0.1:2380",
        # The data outlives no crash of the machine, and need not.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return Component("etcd", _go_program(settings, "etcd", flags), ready_url=f"{_ETCD_URL}/readyz")


def _api_server(state: StateFolder, settings: Settings) -> Component:
    files = Credentials(state.credentials)
    plugins = ["NodeRestriction"]
    if settings.options.enforce_owner_references:
        plugins.append("OwnerReferencesPermissionEnforcement")
    flags = {
        "etcd-servers": _ETCD_URL,
        "advertise-address": _HOST,
        "secure-port": _PORT,
        "service-cluster-ip-range": network.SERVICE_RANGE,
        "tls-cert-file": files.serving,
        "tls-private-key-file": files.serving_key,
        "client-ca-file": files.authority,
        "token-auth-file": files.tokens,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": files.service_account_key,
        "service-account-signing-key-file": files.service_account_key,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": ",".join(plugins),
        # Webhooks and aggregated APIs are called at the endpoints of their Service.
        "enable-aggregator-routing": "true",
        "kubelet-preferred-address-types": "InternalIP",
        "audit-policy-file": binaries.MODULE / "audit-policy.yaml",
        "audit-log-path": state.audit_log,
        # One file, never rotated: tests read on from where they were.
        "audit-log-maxsize": 1 << 20,
        "profiling": "false",
    }
    return Component(
        "kube-apiserver", _go_program(settings, "kube-apiserver", flags), ready_url=f"{API_SERVER_URL}/readyz"
    )


def _controller_manager(state: StateFolder, settings: Settings) -> Component:
    files = Credentials(state.credentials)
    flags = {
        "kubeconfig": files.kubeconfig(credentials.CONTROLLER_MANAGER),
        "bind-address": "127.0.0.1",
        "controllers": "*,-node-ipam-controller",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": files.service_account_key,
        "root-ca-file": files.authority,
        "cluster-signing-cert-file": files.authority,
        "cluster-signing-key-file": files.authority_key,
        "leader-elect": "false",
        # Made when missing, and by default outside the cluster's folder.
        "flex-volume-plugin-dir": state.root / "flexvolume",
        # The defaults throttle the garbage collector where hundreds of objects go at once.
        "kube-api-qps": 200,
        "kube-api-burst": 400,
        "concurrent-gc-syncs": 50,
        "profiling": "false",
    }
    return Component(
        "kube-controller-manager",
        _go_program(settings, "kube-controller-manager", flags),
        ready_url="https://127.0.0.1:10257/healthz",
    )


def _scheduler(state: StateFolder, settings: Settings) -> Component:
    flags = {
        "kubeconfig": Credentials(state.credentials).kubeconfig(credentials.SCHEDULER),
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "kube-api-qps": 200,
        "kube-api-burst": 400,
        "profiling": "false",
    }
    return Component(
        "kube-scheduler", _go_program(settings, "kube-scheduler", flags), ready_url="https://127.0.0.1:10259/readyz"
    )


def _proxy(state: StateFolder, settings: Settings) -> Component:
    flags = {
        "kubeconfig": Credentials(state.credentials).kubeconfig(credentials.PROXY),
        "hostname-override": CONTROL_PLANE_NODE,
        "proxy-mode": "nftables",
        # Pods on the bridge would answer each other directly, past the rewriting of addresses.
        "masquerade-all": "true",
        "healthz-bind-address": "127.0.0.1:10256",
        "metrics-bind-address": "127.0.0.1:10249",
        # These limits belong to the machine, and a namespace may not change them.
        "conntrack-max-per-core": 0,
        "conntrack-tcp-timeout-established": "0",
        "conntrack-tcp-timeout-close-wait": "0",
    }
    return Component("kube-proxy", _go_program(settings, "kube-proxy", flags), ready_url="http://127.0.0.1:10256/livez")


def _relay(settings: Settings) -> Component:
    command = (sys.executable, "-m", "cluster.relay", str(settings.listener), _HOST, _PORT)
    return Component("relay", command, inherits=(settings.listener,), environment=_python_environment())


def _agent(state: StateFolder, settings: Settings) -> Component:
    flags: dict[str, object] = {
        "kubeconfig": Credentials(state.credentials).kubeconfig(credentials.AGENT),
        "state": state.root / "agent",
        "bridge": network.BRIDGE,
    }
    if settings.options.nodes:
        flags["nodes"] = settings.options.nodes
    if settings.options.images:
        flags["images"] = settings.options.images
    arguments = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    return Component("agent", (sys.executable, "-m", "cluster.agent", *arguments), environment=_python_environment())


def _python_environment() -> Mapping[str, str]:
    folders = (REPOSITORY / "tests", REPOSITORY / "operator")
    return {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PATH": search_path()}
