"""The PodDisruptionBudget: node drains take one serving engine at a time, and never wait for one that is broken."""

from conch.manifests.identity import Identity, Manifest, disruption_budget_name, metadata, serving_selector


def disruption_budget(identity: Identity) -> Manifest:
    """One serving engine may be evicted at a time; a minimum instead would block the drain of a node for ever."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(identity, disruption_budget_name(identity)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": serving_selector(identity)},
        },
    }
