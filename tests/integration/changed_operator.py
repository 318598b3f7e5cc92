"""An operator of a later release: it renders pods differently, and its API has one more field with a default."""

import asyncio
import subprocess
from typing import Annotated

from pydantic import Field

from conch.api import deployment
from conch.manifests import pod_template, rendered_revision


class LaterSpec(deployment.LLMDeploymentSpec):
    """The spec with a field that today's release does not have."""

    flavour: Annotated[str, Field(max_length=20, description="A field of a later release.")] = "plain"


def main() -> None:
    """Change the renderer, install the later CRD, and run."""
    from conch.api import crd, parsing
    from conch.controller import process
    from conch.controller.health import Listen

    pod_template.ENDPOINT_REMOVAL_SECONDS = 7  # type: ignore[misc]
    rendered_revision.RENDERER = 99  # type: ignore[misc]
    deployment.LLMDeployment.model_fields["spec"].annotation = LaterSpec
    deployment.LLMDeployment.model_rebuild(force=True)
    vars(parsing)["LLMDeploymentSpec"] = LaterSpec
    install(crd.crd_yaml())
    asyncio.run(process.run(Listen("127.0.0.1", 0)))


def install(text: str) -> None:
    """Applies the later CRD; kubectl is on PATH for whoever uses the local cluster."""
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "--filename", "-"]
    subprocess.run(command, input=text.encode(), check=True)


if __name__ == "__main__":
    main()
