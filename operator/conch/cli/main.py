"""The command line: `conch`, and the same as `kubectl conch`. Exit codes: 0 done, 1 failed, 2 bad input."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from conch.cli.log import LogFormat, LogLevel, configure
from conch.cli.render import UnreadableInput, read, render

app = typer.Typer(
    help="Serve large language models on Kubernetes with Triton and vLLM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command("render")
def render_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files with LLMDeployments; - is stdin.")],
) -> None:
    """Print what Conch would create for LLMDeployments, without a cluster."""
    try:
        rendered = [render(read(file), str(file)) for file in files]
    except UnreadableInput as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(2) from refusal
    typer.echo("---\n".join(rendered), nl=False)


@app.command()
def crd() -> None:
    """Print the CustomResourceDefinition of LLMDeployment."""
    from conch.api.crd import crd_yaml

    typer.echo(crd_yaml(), nl=False)


@app.command()
def run(
    address: Annotated[str, typer.Option(help="Address of /healthz, /readyz and /metrics; :: for IPv6.")] = "0.0.0.0",  # noqa: S104 - probes and Prometheus come by the pod's address
    port: Annotated[int, typer.Option(help="Their port; 0 for none.")] = 8080,
    log_level: Annotated[LogLevel, typer.Option(help="How much to log.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="json for collectors, text for people.")] = LogFormat.TEXT,
) -> None:
    """Run the operator against the cluster of the kubeconfig or of the pod it runs in."""
    from conch.controller.health import Listen
    from conch.controller.process import CustomResourceMissingError
    from conch.controller.process import run as run_operator
    from conch.kube.errors import KubeError

    configure(log_level, log_format)
    try:
        _run_on_fast_loop(run_operator(Listen(address, port)))
    except (CustomResourceMissingError, KubeError, OSError) as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from failure


def _run_on_fast_loop(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(work)


def main() -> None:
    """The entry point of both commands."""
    app()
