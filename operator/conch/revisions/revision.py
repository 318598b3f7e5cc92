"""A revision: one immutable answer to one set of inputs, kept so that it is given only once.

The same inputs always run the stored template, whatever a newer operator would render: an upgrade of Conch restarts
nothing. A revision is stored as a ControllerRevision; all but its template is also recorded on every slot that runs
it, so that a deleted ControllerRevision is rebuilt from what runs, not rendered anew.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Any, Self

from conch.models.source import ResolvedModel
from conch.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Revision:
    """All that decides what an engine pod of this revision is.

    `template` is the pod template without the labels of a slot; `files` are the texts of its ConfigMap by key;
    `number` orders the revisions of one resource, the latest asked for being the highest. What pods forget is kept
    here: `served`, whether an engine of it ever served, and `rolled_out`, whether, since it was last asked for, as
    many engines as wanted served and no older ones were left.
    """

    hash: str
    number: int
    inputs: Mapping[str, Any]
    model: ResolvedModel
    release: str
    image: str
    plan: Plan
    renderer: int
    files: Mapping[str, str]
    template: Mapping[str, Any]
    served: bool = False
    rolled_out: bool = False

    def numbered(self, number: int) -> Self:
        """The same revision, asked for once more: at another place in the order, and not rolled out yet."""
        return replace(self, number=number, rolled_out=False)

    def known_to(self, *, have_served: bool = False, be_rolled_out: bool = False) -> Self:
        """The same revision with what was seen of it now; what was seen before stays."""
        return replace(self, served=self.served or have_served, rolled_out=self.rolled_out or be_rolled_out)

    def record(self) -> dict[str, Any]:
        """The revision without hash, number, template and what was seen of it, as JSON."""
        return {
            "inputs": dict(self.inputs),
            "model": {**asdict(self.model), "path": str(self.model.path)},
            "release": self.release,
            "image": self.image,
            "plan": self.plan.as_json(),
            "renderer": self.renderer,
            "files": dict(self.files),
        }

    def data(self) -> dict[str, Any]:
        """The revision as the data of a ControllerRevision."""
        return {**self.record(), "template": dict(self.template)}

    @classmethod
    def from_data(cls, revision_hash: str, number: int, data: Mapping[str, Any]) -> Self:
        """The revision that `data` wrote. Raises KeyError or TypeError for data that Conch did not write."""
        return cls(
            hash=revision_hash,
            number=number,
            inputs=data["inputs"],
            model=_model(data["model"]),
            release=data["release"],
            image=data["image"],
            plan=Plan.from_json(data["plan"]),
            renderer=data["renderer"],
            files=data["files"],
            template=data["template"],
        )


def _model(document: Mapping[str, Any]) -> ResolvedModel:
    """The model of a record; what a later release wrote beside it is left aside, so that a downgrade can read it."""
    names = {field.name for field in fields(ResolvedModel)}
    known = {name: value for name, value in document.items() if name in names}
    return ResolvedModel(**{**known, "path": PurePosixPath(document["path"])})
