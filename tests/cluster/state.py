"""The folder of one cluster: its settings, credentials, logs and sockets. Two clusters have two folders."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from cluster.failure import ClusterFailure

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER: Final = REPOSITORY / "build" / "cluster"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where each thing of a cluster lies; `root` is absolute."""

    root: Path

    @property
    def settings(self) -> Path:
        """Also the mark by which a folder is known to be ours."""
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, from outside; the others' are beside the credentials."""
        return self.root / "kubeconfig"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def programs(self) -> Path:
        """kubectl and helm, for PATH."""
        return self.root / "bin"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        return self.root / "audit.log"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    def clear(self) -> None:
        """An empty folder with the mark. Refuses to empty a folder that is not ours."""
        if self.root.exists() and any(self.root.iterdir()) and not self.settings.exists():
            raise ClusterFailure(f"{self.root} holds files and no cluster: name another folder with --state.")
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.root, self.credentials, self.programs, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings.touch()

    def remove(self) -> None:
        """Takes the whole folder away."""
        shutil.rmtree(self.root)


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose.

    `nodes` and `images` are files for the node agent, which documents them. The admission plugin
    OwnerReferencesPermissionEnforcement, which OpenShift turns on, demands `update` on `finalizers` from whoever sets
    `blockOwnerDeletion`.
    """

    nodes: Path | None = None
    images: Path | None = None
    enforce_owner_references: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """What the first process inside the namespaces must know; `listener` is a file descriptor it inherits."""

    control_plane: Path
    listener: int
    options: Options

    def write(self, path: Path) -> None:
        """See `read`."""
        path.write_text(json.dumps(asdict(self), default=str, indent=2), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The settings that `write` wrote."""
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        options = content["options"]
        return cls(
            control_plane=Path(content["control_plane"]),
            listener=content["listener"],
            options=Options(
                nodes=Path(options["nodes"]) if options["nodes"] else None,
                images=Path(options["images"]) if options["images"] else None,
                enforce_owner_references=options["enforce_owner_references"],
            ),
        )
