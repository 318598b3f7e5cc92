"""A volume's folder as a kubelet lays it out, replaced as a whole.

    ..2026_11_23_21_40_01.123456789/     the files
    ..data -> ..2026_11_23_21_40_01...   switched by one rename
    config.pbtxt -> ..data/config.pbtxt  one link per entry at the top, folders too

Source: Kubernetes' `pkg/volume/util/atomic_writer.go`. Whoever reads the folder as if it were a plain one meets the
two dotted entries here as on a real node.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

_CURRENT: Final = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


def write(folder: Path, files: Mapping[str, File]) -> bool:
    """Makes the folder hold exactly these files, by relative path. False if it did already."""
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / _CURRENT
    old = current.readlink() if current.is_symlink() else None
    if old is not None and _content(folder / old) == files:
        return False
    new = folder / datetime.now(UTC).strftime(f"..%Y_%m_%d_%H_%M_%S.{time.time_ns() % 10**9:09d}")
    new.mkdir(mode=0o755)
    for path, file in files.items():
        target = new / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    _point(current, new.name)
    _link_top(folder, {PurePosixPath(path).parts[0] for path in files})
    if old is not None:
        shutil.rmtree(folder / old)
    return True


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f"{link.name}_tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(link)


def _link_top(folder: Path, names: set[str]) -> None:
    existing = {entry.name for entry in folder.iterdir() if not entry.name.startswith("..")}
    for name in names - existing:
        (folder / name).symlink_to(f"{_CURRENT}/{name}")
    for name in existing - names:
        (folder / name).unlink()


def _content(folder: Path) -> dict[str, File]:
    return {
        str(path.relative_to(folder)): File(path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in folder.rglob("*")
        if path.is_file()
    }
