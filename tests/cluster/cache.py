"""What is made once and used by every cluster of this user: built and downloaded programs."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """`conch` in the user's cache folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a path that is not absolute is ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "conch"


def make_once(target: Path, make: Callable[[Path], None]) -> Path:
    """The folder `target`, made by `make` if it does not exist.

    `make` gets an empty folder beside it that is renamed when complete, so that `target` is never half full, and no
    two processes make it at the same time.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{target.name}.lock"), f"another process makes {target}"):
        if target.is_dir():
            return target
        for abandoned in target.parent.glob(f".{target.name}-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            make(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


@contextmanager
def locked(path: Path, meanwhile: str) -> Iterator[None]:
    """Holds a file lock; the kernel lets go of it when the process ends. Says `meanwhile` if it must wait."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting: {meanwhile} ...", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
