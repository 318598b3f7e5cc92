"""The Service that clients use: all pods of the resource that serve, of whatever revision."""

from conch.engines.launch import Ports
from conch.manifests.identity import Identity, Manifest, metadata, service_name, serving_selector


def service(identity: Identity, ports: Ports) -> Manifest:
    """The Service; its port names are fixed for ever."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(identity, service_name(identity)),
        "spec": {
            "type": "ClusterIP",
            "selector": serving_selector(identity),
            "ports": [
                {"name": "http", "port": ports.http, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": ports.grpc, "targetPort": "grpc", "protocol": "TCP"},
                {"name": "metrics", "port": ports.metrics, "targetPort": "metrics", "protocol": "TCP"},
            ],
        },
    }


def service_url(identity: Identity, ports: Ports) -> str:
    """Where clients in the cluster reach the model over HTTP."""
    return f"http://{service_name(identity)}.{identity.namespace}.svc:{ports.http}"
