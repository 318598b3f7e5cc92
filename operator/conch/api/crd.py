"""The CustomResourceDefinition, generated from the classes: one generator, two files.

`crds/` is for `kubectl apply` and GitOps repositories; the chart's template is the same text between Helm's conditions,
a copy because Flux drops links from its artifacts (fluxcd/flux2#4088). `python -m conch.api.crd --write .` writes both.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import yaml

from conch.api.conditions import REMEDIES, ConditionType, Reason, Status
from conch.api.deployment import CATEGORY, GROUP, KIND, PLURAL, SHORT_NAME, VERSION, LLMDeployment
from conch.api.schema import Schema, structural_schema

NAME: Final = f"{PLURAL}.{GROUP}"
PLAIN_FILE: Final = Path("crds", f"{GROUP}_{PLURAL}.yaml")
CHART_FILE: Final = Path("charts", "conch", "templates", "crds", f"{GROUP}_{PLURAL}.yaml")

_UNSEEN_STATUS: Final[Schema] = {
    "observedGeneration": -1,
    "conditions": [
        {
            "type": ConditionType.READY.value,
            "status": Status.UNKNOWN.value,
            "observedGeneration": -1,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
            "reason": Reason.PENDING.value,
            "message": REMEDIES[Reason.PENDING].meaning,
        }
    ],
}
"""What every tool sees until the operator has spoken. kstatus (Flux, Helm) takes an observedGeneration other than the
generation for work in progress; without any condition it would take the resource for done. Only Ready is here, because
the operator always writes it: server-side apply would leave any other default condition in place for ever."""

_COLUMNS: Final = (
    # name, type, path, priority (0: always, 1: with -o wide), description
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", 0, "Whether the spec's revision serves."),
    ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason", 0, "Why, in one word."),
    ("Model", "string", ".spec.model['huggingFace','persistentVolumeClaim']['repo','claimName']", 0, "What is served."),
    ("Replicas", "integer", ".spec.replicas", 0, "Replicas that are wanted."),
    ("Serving", "integer", ".status.readyReplicas", 0, "Replicas that serve."),
    ("Tensor", "integer", ".status.plan.tensor", 0, "GPUs that each layer is split over."),
    ("Pipeline", "integer", ".status.plan.pipeline", 0, "Stages that the layers are split into."),
    ("Data", "integer", ".status.plan.data", 0, "Copies of the model in one replica."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "How long the resource exists."),
    ("Revision", "string", ".status.revision.updated", 1, "The revision that the spec asks for."),
    ("Release", "string", ".status.plan.release", 1, "Release of the engine."),
    ("URL", "string", ".status.url", 1, "Where clients in the cluster reach the model."),
)

_HEADER: Final = "# Generated from operator/conch/api by 'make crds'; do not edit.\n"
_OPEN_BRACES: Final = '{{ "{{" }}'


def custom_resource_definition() -> Schema:
    """The manifest of the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            dict(zip(("name", "type", "jsonPath", "priority", "description"), column, strict=True))
            for column in _COLUMNS
        ],
        "selectableFields": [{"jsonPath": ".spec.model.huggingFace.repo"}],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root_schema()},
    }


def _root_schema() -> Schema:
    root = structural_schema(LLMDeployment)
    status = {**root["properties"]["status"], "default": _UNSEEN_STATUS}
    # Kubernetes validates the rest itself; a default status makes no status of the user required.
    return {**root, "required": ["spec"], "properties": {**root["properties"], "status": status}}


def crd_yaml() -> str:
    """The text of `crds/`."""
    return _HEADER + _as_yaml(custom_resource_definition())


def chart_template() -> str:
    """The text of the chart's template: installed under `crds.enabled`, left behind by uninstall under `crds.keep`."""
    definition = custom_resource_definition()
    head = {key: definition[key] for key in ("apiVersion", "kind", "metadata")}
    return "".join(
        (
            _HEADER,
            "{{- if .Values.crds.enabled }}\n",
            _as_yaml(head),
            "  {{- if .Values.crds.keep }}\n",
            "  annotations:\n    helm.sh/resource-policy: keep\n",
            "  {{- end }}\n",
            _as_yaml({"spec": definition["spec"]}).replace("{{", _OPEN_BRACES),
            "{{- end }}\n",
        )
    )


def write(repository: Path) -> None:
    """Writes both files below the root of a checkout."""
    for file, text in ((PLAIN_FILE, crd_yaml()), (CHART_FILE, chart_template())):
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).write_text(text)


class _Dumper(yaml.SafeDumper):
    """No aliases: other readers of YAML, and people, get every part where it belongs."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _as_yaml(document: Schema) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def main() -> None:
    """`python -m conch.api.crd --write DIRECTORY`."""
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinition for crds/ and for the chart.")
    parser.add_argument("--write", metavar="DIRECTORY", type=Path, required=True, help="root of the checkout")
    write(parser.parse_args().write)


if __name__ == "__main__":
    main()
