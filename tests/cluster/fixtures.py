"""pytest plugin: the `cluster` fixture and the marks `cluster` and `agent`.

With KUBECONFIG set, tests use that cluster; without it, one local cluster is started for the session.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cluster import binaries, launch, prerequisites
from cluster.cluster import Cluster
from cluster.failure import ClusterFailure
from cluster.helm import helm
from cluster.state import REPOSITORY, Options, StateFolder


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The session's cluster. The folder of a local one stays, with its logs, when a test failed."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig:
        yield Cluster.named(Path(kubeconfig))
        return
    state = StateFolder(REPOSITORY / "build" / "test-clusters" / str(os.getpid()))
    with launch.running(state, Options()) as started:
        yield started
        failures = started.control().status().failures
    if failures:
        raise ClusterFailure("\n".join(["Components failed during the tests:", *failures]))
    if not request.session.testsfailed:
        state.remove()


@pytest.fixture
def local_cluster(cluster: Cluster) -> Cluster:
    """The session's cluster where it is a local one: with audit log, control over components, and a way inside."""
    if cluster.state is None:
        pytest.skip(f"{cluster.kubeconfig} names no local cluster")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A Kubernetes namespace of the test's own, gone (in the background) afterwards."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=30s")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(autouse=True)
def _agent_where_marked(request: pytest.FixtureRequest) -> None:
    """Skips what needs the node agent on a cluster without one, and says so."""
    if request.node.get_closest_marker("agent"):
        found: Cluster = request.getfixturevalue("cluster")
        if not found.has_agent:
            pytest.skip(f"the cluster of {found.kubeconfig} has no node agent")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses a cluster, so that `-m 'not cluster'` leaves it out. First, before -m selects."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()) or item.get_closest_marker("agent"):
            item.add_marker(pytest.mark.cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what a local cluster needs before the first test's clock runs, with its progress shown."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if not wanted or os.environ.get("KUBECONFIG") or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            prerequisites.ensure_programs()
            binaries.control_plane()
            helm()
        except ClusterFailure as failure:
            sys.stderr.flush()
            pytest.exit(str(failure), returncode=1)
