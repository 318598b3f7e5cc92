"""Names, labels and selectors: what can never be changed once pods run with it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from conch.api.deployment import LLMDeploymentSpec
from conch.manifests.identity import PREVIEW_UID, REVISION, UID, Identity, Slot, slot_labels, slot_name
from conch.manifests.identity import labels as child_labels
from manifests.builders import IDENTITY, SPECS, children, spec

LONGEST = Identity("l" * 40, "team", IDENTITY.uid)
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LAST_SLOT = Slot(9999, 63)
POD_SUFFIX = "-xyz12"


def texts(value: Any, key: str) -> Iterator[dict[str, str]]:
    """Every mapping under that key, wherever it is in a manifest."""
    if isinstance(value, dict):
        if key in value and isinstance(value[key], dict):
            yield value[key]
        for member in value.values():
            yield from texts(member, key)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, key)


def test_the_longest_name_makes_names_that_every_kind_takes() -> None:
    names = [child["metadata"]["name"] for child in children(spec(), LONGEST)]
    assert [name for name in names if not DNS_LABEL.fullmatch(name)] == []
    assert DNS_LABEL.fullmatch(slot_name(LONGEST, LAST_SLOT) + POD_SUFFIX)


def test_the_longest_name_makes_labels_that_fit() -> None:
    values = [
        value for child in children(spec(), LONGEST) for found in texts(child, "labels") for value in found.values()
    ]
    values += [*child_labels(LONGEST).values(), *slot_labels(LAST_SLOT).values()]
    assert max(len(value) for value in values) <= 63


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_selectors_hold_the_uid_and_never_a_version_or_revision(wanted: LLMDeploymentSpec) -> None:
    selectors = [
        found.get("matchLabels", found)
        for child in children(wanted)
        if child["kind"] in ("Service", "PodDisruptionBudget", "ReplicaSet")
        for found in [child["spec"]["selector"]]
    ]
    assert len(selectors) == 3
    for selector in selectors:
        assert selector[UID] == IDENTITY.uid
        assert set(selector) <= {UID, "conch.dev/serving", "conch.dev/slot"}
        assert REVISION not in selector


def test_draining_a_pod_takes_it_from_the_service_but_not_from_its_replica_set() -> None:
    by_kind = {child["kind"]: child for child in children(spec())}
    assert "conch.dev/serving" in by_kind["Service"]["spec"]["selector"]
    assert "conch.dev/serving" in by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert "conch.dev/serving" not in by_kind["ReplicaSet"]["spec"]["selector"]["matchLabels"]


def test_a_replica_set_selects_its_own_pod() -> None:
    (child,) = (child for child in children(spec()) if child["kind"] == "ReplicaSet")
    pod_labels = child["spec"]["template"]["metadata"]["labels"]
    assert child["spec"]["selector"]["matchLabels"].items() <= pod_labels.items()


def test_children_are_owned_by_the_resource_but_a_preview_by_nobody() -> None:
    for child in children(spec()):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (IDENTITY.uid, True, True)
    preview = Identity(IDENTITY.name, IDENTITY.namespace, PREVIEW_UID)
    assert not any("ownerReferences" in child["metadata"] for child in children(spec(), preview))


def test_a_resource_called_default_leaves_the_namespaces_own_service_account_alone() -> None:
    names = [child["metadata"]["name"] for child in children(spec(), Identity("default", "team", IDENTITY.uid))]
    assert names[0] == "default-engine"
