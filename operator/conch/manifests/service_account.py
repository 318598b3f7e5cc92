"""The ServiceAccount of the engines: no token, no rights, and nobody else's."""

from conch.manifests.identity import Identity, Manifest, metadata, service_account_name


def service_account(identity: Identity) -> Manifest:
    """The ServiceAccount of all engine pods of the resource."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(identity, service_account_name(identity)),
        "automountServiceAccountToken": False,
    }
