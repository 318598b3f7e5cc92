"""Which images there are on the nodes, and what each of them runs.

A YAML file lists them; the first pattern (fnmatch) that fits an image counts, and one that fits none cannot be pulled.

    - image: nvcr.io/nvidia/tritonserver:*
      simulator: triton               # in the agent; `settings` go to the simulator
      settings: {speed: 10}
    - image: ghcr.io/acme/operator:*
      process: {}                     # a process of its own over this machine's files
      command: [operator]             # the image's ENTRYPOINT and CMD
      args: [run]
      env: {LOG_LEVEL: info}
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml

from cluster.agent.objects import Object
from cluster.state import REPOSITORY

_PROGRAMS: Final = Path(sys.executable).parent
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

RuntimeName = Literal["simulator", "process"]


@dataclass(frozen=True, slots=True)
class Image:
    """One entry: `runtime` runs it, the rest is what an image's configuration would say."""

    pattern: str
    runtime: RuntimeName
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, entry: Object) -> Self:
        """An entry of the file. Raises ValueError for what it cannot mean."""
        unknown = entry.keys() - {"image", "simulator", "process", "command", "args", "env", "settings"}
        if unknown or ("simulator" in entry) == ("process" in entry):
            raise ValueError(f"image {entry.get('image')}: exactly one of simulator and process; unknown: {unknown}")
        if entry.get("simulator", "triton") != "triton":
            raise ValueError(f"image {entry['image']}: no simulator is called {entry['simulator']}")
        return cls(
            pattern=entry["image"],
            runtime="simulator" if "simulator" in entry else "process",
            command=tuple(entry.get("command", ())),
            args=tuple(entry.get("args", ())),
            env=entry.get("env", {}),
            settings=entry.get("settings", {}),
        )

    def command_of(self, container: Object) -> tuple[str, ...]:
        """The pod's command and arguments, the image's where the pod names none."""
        if container.get("command"):
            return (*container["command"], *(container.get("args") or ()))
        return (*self.command, *(container.get("args") or self.args))

    @property
    def environment(self) -> dict[str, str]:
        """The image's own variables."""
        if self.runtime == "simulator":
            return dict(self.env)
        path = os.pathsep.join((str(_PROGRAMS), _SYSTEM_PATH))
        return {"PATH": path, "HOME": "/root", **self.env}


DEFAULT: Final = (
    Image("nvcr.io/nvidia/tritonserver:*", "simulator", command=("tritonserver",)),
    # The chart's image, in whatever registry.
    Image("*conch-operator*", "process", command=("conch",)),
    Image("conch-operator:*", "process", command=("conch",)),
    # Programs of the tests and the demo: whatever the pod's command is, over this checkout.
    Image("conch.test/tools*", "process", env={"PYTHONPATH": str(REPOSITORY / "tests"), "PYTHONUNBUFFERED": "1"}),
)


class Images:
    """Finds the entry of an image."""

    def __init__(self, entries: tuple[Image, ...] = DEFAULT) -> None:
        self._entries = entries

    @classmethod
    def read(cls, path: Path) -> Self:
        """The entries of a file, and after them the built-in ones."""
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        return cls((*map(Image.parse, content), *DEFAULT))

    def find(self, name: str) -> Image | None:
        """None: there is no such image anywhere."""
        return next((image for image in self._entries if fnmatchcase(name, image.pattern)), None)
