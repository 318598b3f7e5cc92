"""Start a cluster, tell the story, stop the cluster. KEEP=1 leaves it up."""

import os
import sys

from rich.console import Console

from cluster import launch
from cluster.failure import ClusterFailure
from cluster.state import DEFAULT_FOLDER, Options, StateFolder
from demo.narrator import Narrator
from demo.story import NAMESPACE, STORY, Stage
from integration.deployments import Namespace


def main() -> None:
    """The demo; exits with 1 and one message when something is not as promised."""
    console = Console(soft_wrap=True)
    state = StateFolder(DEFAULT_FOLDER)
    console.print("[bold]A Kubernetes control plane of its own[/bold]")
    cluster = launch.up(state, Options())
    try:
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        stage = Stage(cluster, Namespace(cluster, NAMESPACE), Narrator(cluster, NAMESPACE, console))
        STORY[0](stage)
        with stage.narrator.telling():
            for step in STORY[1:]:
                step(stage)
        console.print("\n[bold]Done.[/bold]")
    finally:
        if os.environ.get("KEEP"):
            console.print(
                f"The cluster is left up: export KUBECONFIG={cluster.kubeconfig}; 'make cluster-stop' ends it."
            )
        else:
            launch.down(state)


if __name__ == "__main__":
    try:
        main()
    except (ClusterFailure, AssertionError) as failure:
        sys.exit(f"{failure}")
