"""What the tests on the control plane share."""

import pytest

from cluster.agent_tests.workload import Workload, model_repository
from cluster.cluster import Cluster


@pytest.fixture
def workload(cluster: Cluster, namespace: str) -> Workload:
    """A namespace with a model repository for engines."""
    made = Workload(cluster, namespace)
    made.create(model_repository())
    return made
