"""`conch render`: the children of LLMDeployments without a cluster, by the very code that the operator runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from conch.api.deployment import API_VERSION, KIND, LLMDeployment
from conch.api.parsing import InvalidResource, parse
from conch.engines.triton_vllm import PORTS, InvalidEngineArguments
from conch.manifests.config_map import config_map
from conch.manifests.controller_revision import controller_revision
from conch.manifests.disruption_budget import disruption_budget
from conch.manifests.identity import PREVIEW_UID, Identity, Manifest, Slot
from conch.manifests.rendered_revision import rendered_revision
from conch.manifests.replica_set import replica_set
from conch.manifests.service import service
from conch.manifests.service_account import service_account

PREVIEW: Final = "# A preview by 'conch render': no owners and a UID of zeros. Apply the LLMDeployment, not this.\n"


class UnreadableInput(Exception):
    """A file that is not YAML, or holds no LLMDeployment; the text says which and where."""


def render(text: str, origin: str) -> str:
    """The children of every LLMDeployment in a YAML text. Raises UnreadableInput with every problem it finds."""
    manifests = [child for document in _documents(text, origin) for child in children(_deployment(document, origin))]
    return PREVIEW + yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, width=120)


def children(deployment: LLMDeployment) -> Iterator[Manifest]:
    """All children of a resource that is fully rolled out for the first time."""
    metadata, spec = deployment.metadata, deployment.spec
    identity = Identity(metadata["name"], metadata.get("namespace", "default"), PREVIEW_UID)
    revision = rendered_revision(identity, spec, number=1)
    yield service_account(identity)
    yield config_map(identity, revision)
    yield controller_revision(identity, revision)
    yield service(identity, PORTS)
    yield disruption_budget(identity)
    for replica in range(spec.replicas):
        for rank in range(revision.plan.data):
            yield replica_set(identity, Slot(replica, rank), revision)


def read(file: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises UnreadableInput."""
    try:
        return Path("/dev/stdin").read_text() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"cannot read {file}: {error}") from error


def _documents(text: str, origin: str) -> list[Any]:
    try:
        found = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise UnreadableInput(f"{origin} is not YAML: {error}") from error
    if not found:
        raise UnreadableInput(f"{origin} is empty: give it an LLMDeployment (apiVersion {API_VERSION}, kind {KIND})")
    return found


def _deployment(document: Any, origin: str) -> LLMDeployment:
    try:
        deployment = parse(document)
        list(children(deployment))
    except (InvalidResource, InvalidEngineArguments) as refusal:
        raise UnreadableInput("\n".join(f"{origin}: {problem}" for problem in refusal.problems)) from refusal
    return deployment


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and no aliases: what a person would write."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
