"""Where the paths inside a container lie on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cluster.agent.environment import expand
from cluster.agent.objects import Object


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: `path` inside the container, `source` on this machine."""

    path: PurePosixPath
    source: Path
    read_only: bool


@dataclass(frozen=True, slots=True)
class Mounts:
    """All mounts of a container; what lies in none of them lies in `scratch`, which dies with the container."""

    mounts: tuple[Mount, ...]
    scratch: Path

    def lay_out(self) -> None:
        """Makes `scratch`, in which the folders above a mount exist, and the mount as a link."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        for mount in sorted(self.mounts, key=lambda mount: len(mount.path.parts)):
            place = self.resolve(str(mount.path.parent)) / mount.path.name
            if place.is_relative_to(self.scratch) and not place.is_symlink():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(mount.source)

    def resolve(self, path: str) -> Path:
        """The place on this machine of an absolute path inside the container."""
        inside = PurePosixPath(path)
        holding = [mount for mount in self.mounts if inside.is_relative_to(mount.path)]
        if not holding:
            return self.scratch / inside.relative_to("/")
        deepest = max(holding, key=lambda mount: len(mount.path.parts))
        return deepest.source / inside.relative_to(deepest.path)


def mounts_of(container: Object, folders: Mapping[str, Path], variables: Mapping[str, str]) -> tuple[Mount, ...]:
    """The volume mounts of a container; a `subPath` that is not there becomes a folder, as a kubelet makes it."""
    return tuple(_mount(mount, folders, variables) for mount in container.get("volumeMounts") or ())


def _mount(mount: Object, folders: Mapping[str, Path], variables: Mapping[str, str]) -> Mount:
    below = mount.get("subPath") or expand(mount.get("subPathExpr", ""), variables)
    source = folders[mount["name"]]
    if below:
        # A subPath is resolved once, when the container starts: later changes of a ConfigMap do not reach it.
        source = (source / below).resolve()
        if not source.exists():
            source.mkdir(parents=True)
    return Mount(PurePosixPath(mount["mountPath"]), source, bool(mount.get("readOnly", False)))
