"""What holds of every rendered child: nothing in it is lost or changed on its way through an API server.

The reconciler writes a child again until every rendered leaf is in the observed object. A leaf that the server drops
or rewrites would be written for ever.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.documents import largest
from cluster.cluster import Cluster
from conch.api import quantity
from conch.api.arithmetic import LARGEST_SPEC_BYTES
from conch.api.deployment import LLMDeploymentSpec
from conch.api.parsing import ContradictoryNumbers, parse_spec
from conch.manifests.coverage import covers, stamped
from conch.manifests.identity import Identity, Manifest
from conch.revisions.inputs import canonical_json, inputs
from manifests.builders import IDENTITY, SPECS, children, revision

KEPT_WHEN_EMPTY = {"emptyDir"}
"""Pointers in the API's Go types: an empty object is not nothing."""


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar and every empty list or object, with its path. A revision's stored data is opaque to the server."""
    if isinstance(value, dict) and value and path != ("data",):
        for key, member in value.items():
            yield from leaves(member, (*path, key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from leaves(item, path)
    elif path != ("data",):
        yield path, value


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_nothing_is_rendered_that_a_server_would_drop(wanted: LLMDeploymentSpec) -> None:
    dropped = [
        (child["kind"], path)
        for child in children(wanted)
        for path, value in leaves(child)
        if value in (None, [], {}, "") and path[-1] not in KEPT_WHEN_EMPTY and not _is_text_by_key(path)
    ]
    assert dropped == []


def _is_text_by_key(path: tuple[str, ...]) -> bool:
    """Members of maps of texts stay, empty or not."""
    return path[-2] in ("labels", "annotations", "nodeSelector", "data")


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_quantities_are_rendered_as_the_server_writes_them_back(wanted: LLMDeploymentSpec) -> None:
    quantities = [
        value
        for child in children(wanted)
        for path, value in leaves(child)
        if path[-1] == "sizeLimit" or path[-2:-1] in (("requests",), ("limits",))
    ]
    assert len(quantities) > 5
    assert [value for value in quantities if not isinstance(value, str) or quantity.canonical(value) != value] == []


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_children_are_json_and_rendered_the_same_twice(wanted: LLMDeploymentSpec) -> None:
    first, second = ([json.dumps(child) for child in children(wanted)] for _ in range(2))
    assert first == second


@pytest.fixture
def owner(namespace: str) -> Identity:
    return Identity("m", namespace, IDENTITY.uid)


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_a_real_server_gives_back_what_was_rendered(
    cluster: Cluster, owner: Identity, wanted: LLMDeploymentSpec
) -> None:
    for child in children(wanted, owner):
        rendered = stamped(child)
        answer = _applied(cluster, rendered, "--server-side", "--field-manager=conch")
        assert covers(answer, rendered), f"{child['kind']} comes back changed"


@pytest.fixture(scope="module")
def brimming() -> LLMDeploymentSpec:
    """The longest spec that is accepted: all that may be written, and escapes where that leaves room."""
    document = largest()["spec"]
    left_bytes = LARGEST_SPEC_BYTES - len(canonical_json(inputs(parse_spec(document))).encode())
    escaped = "\n" * 1024
    fitting = left_bytes // (len(json.dumps(escaped)) - len(json.dumps("x" * 1024)))
    annotations = document["pod"]["annotations"]
    document["pod"]["annotations"] = annotations | dict.fromkeys([*annotations][:fitting], escaped)
    assert fitting < len(annotations)
    with pytest.raises(ContradictoryNumbers):
        parse_spec({**document, "pod": {**document["pod"], "annotations": dict.fromkeys(annotations, escaped)}})
    return parse_spec(document)


def test_a_real_server_takes_the_children_of_the_longest_spec(
    cluster: Cluster, owner: Identity, brimming: LLMDeploymentSpec
) -> None:
    for child in children(brimming, owner):
        _applied(cluster, stamped(child), "--server-side", "--field-manager=conch")


def test_what_every_engine_carries_stays_below_what_annotations_may_hold(brimming: LLMDeploymentSpec) -> None:
    sizes = [
        sum(len(key) + len(value.encode()) for key, value in annotations.items())
        for child in children(brimming)
        for metadata in (child["metadata"], child.get("spec", {}).get("template", {}).get("metadata", {}))
        if (annotations := metadata.get("annotations"))
    ]
    assert LARGEST_SPEC_BYTES < max(sizes) < 240 * 1024  # of 256 KiB


@pytest.mark.parametrize("wanted", SPECS.values(), ids=SPECS.keys())
def test_a_real_server_admits_the_pods_to_a_restricted_namespace(
    cluster: Cluster, owner: Identity, wanted: LLMDeploymentSpec
) -> None:
    cluster.kubectl("label", "namespace", owner.namespace, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("create", "serviceaccount", "m-engine", "--namespace", owner.namespace)
    template = revision(wanted, owner).template
    metadata = {**template["metadata"], "name": "pod", "namespace": owner.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    assert _applied(cluster, pod)["spec"]["shareProcessNamespace"] is True


def _applied(cluster: Cluster, manifest: Manifest, *options: str) -> Manifest:
    """The server's answer to a dry run."""
    text = cluster.kubectl(
        "apply", "--dry-run=server", *options, "--output=json", "-f", "-", stdin=json.dumps(manifest)
    )
    answer: Manifest = json.loads(text)
    return answer
