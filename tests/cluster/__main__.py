"""The command line of the local cluster: `python -m cluster --help`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster import binaries, launch, prerequisites
from cluster.cluster import Cluster
from cluster.control import Control
from cluster.failure import ClusterFailure
from cluster.helm import helm
from cluster.namespaces import TIED
from cluster.state import DEFAULT_FOLDER, Options, StateFolder

app = typer.Typer(
    help="A real Kubernetes control plane with simulated GPU nodes, for tests, the demo and development.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

State = Annotated[Path, typer.Option(help="Folder of the cluster: kubeconfig, logs, audit log.")]
Nodes = Annotated[Path | None, typer.Option(help="Which nodes there are, for the node agent.", exists=True)]
Images = Annotated[Path | None, typer.Option(help="What each image runs, for the node agent.", exists=True)]


@app.command()
def up(state: State = DEFAULT_FOLDER, nodes: Nodes = None, images: Images = None) -> None:
    """Start a cluster in the background and print what to export."""
    cluster = launch.up(_folder(state), _options(nodes, images))
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"export PATH={cluster.programs['kubectl'].parent}:$PATH")
    print(f"Ready. Paste these two lines for kubectl and helm; logs in {state}/logs.", file=sys.stderr)


@app.command()
def down(state: State = DEFAULT_FOLDER) -> None:
    """End the cluster that `up` started."""
    print("Ended." if launch.down(_folder(state)) else f"No cluster runs in {state}.", file=sys.stderr)


@app.command()
def run(
    command: Annotated[list[str], typer.Argument(help="What to run; put -- before it.")],
    state: State = DEFAULT_FOLDER,
    nodes: Nodes = None,
    images: Images = None,
) -> None:
    """Run a command with a cluster of its own; exit as it does."""
    with launch.running(_folder(state), _options(nodes, images)) as cluster:
        outcome = subprocess.run([*TIED, *command], env=cluster.environment(), check=False)
        for failure in cluster.control().status().failures:
            print(f"CLUSTER: {failure}", file=sys.stderr)
    sys.exit(outcome.returncode)


@app.command()
def status(state: State = DEFAULT_FOLDER) -> None:
    """Show the components; exit 1 if anything failed."""
    answer = Control(_folder(state).control_socket).status()
    print(f"{answer.phase}: KUBECONFIG={_folder(state).kubeconfig}")
    for name, words in answer.components.items():
        print(f"  {name:26}{words}")
    for failure in answer.failures:
        print(failure)
    sys.exit(1 if answer.failures else 0)


@app.command()
def enter(
    command: Annotated[list[str], typer.Argument(help="What to run; put -- before it.")],
    state: State = DEFAULT_FOLDER,
) -> None:
    """Run a command inside, where the addresses of pods and Services can be reached."""
    cluster = Cluster.ours(_folder(state))
    sys.exit(subprocess.run(cluster.entering(*command), env=cluster.environment(), check=False).returncode)


@app.command("prerequisites")
def install_prerequisites() -> None:
    """Install missing system packages if permitted, and otherwise name the command to run."""
    prerequisites.ensure_programs()


@app.command()
def build() -> None:
    """Build and fetch the programs ahead of the first start."""
    prerequisites.ensure_programs()
    print(binaries.control_plane())
    print(helm())


def _folder(path: Path) -> StateFolder:
    return StateFolder(path.absolute())


def _options(nodes: Path | None, images: Path | None) -> Options:
    return Options(nodes.absolute() if nodes else None, images.absolute() if images else None)


def main() -> None:
    """Expected failures are one message, not a traceback."""
    try:
        app(prog_name="python -m cluster")
    except ClusterFailure as failure:
        sys.exit(f"{os.linesep.join(str(failure).splitlines())}")


if __name__ == "__main__":
    main()
