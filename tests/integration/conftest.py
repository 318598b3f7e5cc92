"""Conch on the cluster: by its chart where the node agent can run the image, else as a process of this checkout."""

from collections.abc import Iterator

import pytest

from cluster.cluster import Cluster
from integration.deployments import Namespace, fresh_namespace
from integration.operator_under_test import OperatorUnderTest, from_chart, from_checkout


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[OperatorUnderTest]:
    """Of the module, not of the session: other tests bring operators of their own to the same cluster."""
    start = from_chart if cluster.has_agent else from_checkout
    with start(cluster) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster, operator: OperatorUnderTest) -> Iterator[Namespace]:
    with fresh_namespace(cluster) as created:
        yield created
