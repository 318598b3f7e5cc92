"""Model repositories as the engine's container sees them: what Conch generates, laid out as kubelet mounts it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MODEL: Final = "llama"

CONFIG: Final = """
backend: "vllm"
instance_group [ { count: 1 kind: KIND_MODEL } ]
parameters: { key: "REPORT_CUSTOM_METRICS" value: { string_value: "true" } }
"""


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """Lays files out as kubelet does with a ConfigMap's items: real files in a dated folder, links through `..data`."""
    dated = folder / "..2026_11_23_20_40_00.1234567890"
    for name, text in files.items():
        (dated / name).parent.mkdir(parents=True, exist_ok=True)
        (dated / name).write_text(text)
    (folder / "..data").symlink_to(dated.name)
    for top in {Path(name).parts[0] for name in files}:
        (folder / top).symlink_to(f"..data/{top}")


def model_files(config: str = CONFIG, **arguments: Any) -> dict[str, str]:
    """The files of a small model; `arguments` go to its model.json."""
    document = {"model": "/weights/model", "max_model_len": 2048} | arguments
    return {"config.pbtxt": config, "1/model.json": json.dumps(document)}


def write_weights(root: Path, path: str = "/weights/model") -> None:
    """What an engine reads of weights before it loads them, at that path of the container."""
    folder = root / path.lstrip("/")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"num_attention_heads": 64, "max_position_embeddings": 131072}')
