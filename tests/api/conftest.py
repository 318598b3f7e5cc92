"""The CRD on a real API server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.config import new_client_from_config

from cluster.cluster import Cluster
from conch.api.crd import NAME, custom_resource_definition
from conch.api.deployment import GROUP, PLURAL, VERSION

Causes = tuple[tuple[str, str], ...]
"""What the API server has against an object: field and message of each cause; none when it would accept it."""


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """The cluster, with the CRD of this checkout accepted without a warning."""
    definition = json.dumps(custom_resource_definition())
    flags = (
        "--server-side",
        "--force-conflicts",
        "--field-manager=conch-tests",
        "--warnings-as-errors",
        "--validate=strict",
    )
    cluster.kubectl("apply", *flags, "--filename=-", stdin=definition)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    return cluster


@pytest.fixture(scope="session")
def judged(installed: Cluster) -> Callable[[Any], Causes]:
    """What the API server says of a document, without storing it."""
    api = CustomObjectsApi(new_client_from_config(str(installed.kubeconfig)))  # type: ignore[no-untyped-call]

    def judge(document: Any) -> Causes:
        try:
            api.create_namespaced_custom_object(
                GROUP, VERSION, "default", PLURAL, document, dry_run="All", field_validation="Strict"
            )
        except ApiException as refusal:
            return _causes(json.loads(refusal.body or "{}"))
        return ()

    return judge


def _causes(status: dict[str, Any]) -> Causes:
    causes = status.get("details", {}).get("causes") or [{"field": "", "message": status.get("message", "refused")}]
    return tuple((cause.get("field", ""), cause["message"]) for cause in causes)
