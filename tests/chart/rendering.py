"""The chart as Helm renders it, without a cluster and without the settings of whoever runs the tests."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cluster.helm import helm
from cluster.state import REPOSITORY

CHART: Final = REPOSITORY / "charts" / "conch"

Manifest = dict[str, Any]


class Refused(Exception):
    """What Helm says when it refuses values or a cluster."""


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm with a folder of its own."""

    home: Path

    def run(self, *arguments: str) -> str:
        """What Helm prints. Raises `Refused` with its complaint."""
        folders = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **folders}
        outcome = subprocess.run([helm(), *arguments], env=environment, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise Refused(outcome.stderr)
        return outcome.stdout

    def text(self, *arguments: str, chart: Path = CHART) -> str:
        """The rendered chart, as release `conch` in namespace `conch-system`."""
        return self.run("template", "conch", str(chart), "--namespace", "conch-system", *arguments)

    def render(self, *arguments: str, chart: Path = CHART) -> "Rendered":
        """The same, parsed."""
        return parse(self.text(*arguments, chart=chart))


@dataclass(frozen=True, slots=True)
class Rendered:
    """The rendered objects."""

    manifests: tuple[Manifest, ...]

    def kinds(self) -> list[tuple[str, str]]:
        """Kind and name of every object, sorted."""
        return sorted((manifest["kind"], manifest["metadata"]["name"]) for manifest in self.manifests)

    def one(self, kind: str, name: str = "conch") -> Manifest:
        """The only object of that kind and name."""
        (found,) = [item for item in self.manifests if (item["kind"], item["metadata"]["name"]) == (kind, name)]
        return found

    @property
    def pod(self) -> Manifest:
        """The operator's pod template."""
        template: Manifest = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Manifest:
        """The operator's only container."""
        (container,) = self.pod["spec"]["containers"]
        found: Manifest = container
        return found


def parse(text: str) -> Rendered:
    """The objects in Helm's output; a template that renders to comments is none."""
    return Rendered(tuple(document for document in yaml.load_all(text, _UniqueKeys) if document is not None))


class _UniqueKeys(yaml.SafeLoader):
    """YAML as the API server reads it in strict mode: the same key twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)
