"""A revision: one immutable answer to one set of inputs, kept so that it is given only once.

The same inputs always run the stored template, whatever a newer operator would render: an upgrade of Conch restarts
nothing. A revision is stored as a ControllerRevision; all but its template is also recorded on every slot that runs
it, so that a deleted ControllerRevision is rebuilt from what runs, not rendered anew.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any, Self

from conch.models.source import ResolvedModel
from conch.planning.plan import Plan


class Milestone(IntEnum):
    """How far a revision ever got. It is kept with the revision, because pods forget."""

    NONE = 0
    SERVED = 1
    """An engine of it has served."""
    COMPLETE = 2
    """It was fully rolled out: as many engines as wanted served, and no older ones were left."""


@dataclass(frozen=True, slots=True)
class Revision:
    """All that decides what an engine pod of this revision is.

    `template` is the pod template without the labels of a slot; `files` are the texts of its ConfigMap by key;
    `number` orders the revisions of one resource, the latest asked for being the highest.
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
    milestone: Milestone = Milestone.NONE

    def numbered(self, number: int) -> Self:
        """The same revision at another place in the order."""
        return replace(self, number=number)

    def reached(self, milestone: Milestone) -> Self:
        """The same revision, at this milestone or at a later one that it reached before."""
        return replace(self, milestone=max(milestone, self.milestone))

    def record(self) -> dict[str, Any]:
        """The revision without hash, number, template and milestone, as JSON."""
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
            model=ResolvedModel(**{**data["model"], "path": PurePosixPath(data["model"]["path"])}),
            release=data["release"],
            image=data["image"],
            plan=Plan.from_json(data["plan"]),
            renderer=data["renderer"],
            files=data["files"],
            template=data["template"],
        )
