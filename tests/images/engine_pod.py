"""The pod of one engine as Conch renders it: the commands of its containers, and the files it mounts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from cluster.state import REPOSITORY
from conch.cli.render import render

EXAMPLE: Final = REPOSITORY / "examples" / "8b-one-gpu.yaml"
MODEL: Final = "qwen3-8b"


@dataclass(frozen=True, slots=True)
class EnginePod:
    """`volumes` are folders of this machine by the name of their volume; the weights are still to be downloaded."""

    download: list[str]
    engine: list[str]
    volumes: dict[str, Path]

    @classmethod
    def rendered(cls, folder: Path) -> Self:
        """The pod of the smallest example, with the files of its ConfigMap laid out below `folder`."""
        children = {child["kind"]: child for child in yaml.safe_load_all(render(EXAMPLE.read_text(), EXAMPLE.name))}
        pod = children["ReplicaSet"]["spec"]["template"]["spec"]
        texts: dict[str, str] = children["ConfigMap"]["data"]
        for volume in pod["volumes"]:
            _lay_out(volume, texts, folder)
        return cls(
            download=pod["initContainers"][0]["command"],
            engine=pod["containers"][0]["command"],
            volumes={volume["name"]: folder / volume["name"] for volume in pod["volumes"]},
        )


def _lay_out(volume: dict[str, Any], texts: dict[str, str], folder: Path) -> None:
    (folder / volume["name"]).mkdir()
    for item in volume.get("configMap", {}).get("items", ()):
        file = folder / volume["name"] / item["path"]
        file.parent.mkdir(exist_ok=True)
        file.write_text(texts[item["key"]])
