"""A pod of the simulator: an address, a file system in a folder, a log, and the container that is started in it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conch.catalogue import NEWEST
from conch.simulator.container import ContainerSpec, RunningContainer, run_container

CONFIG = """
backend: "vllm"
instance_group [ { count: 1 kind: KIND_MODEL } ]
parameters: { key: "REPORT_CUSTOM_METRICS" value: { string_value: "true" } }
"""
COMMAND = ("tritonserver", "--model-repository=/models", "--metrics-config=histogram_latencies=true")
PACE = {
    "base_seconds": 0.01,
    "per_prefill_token_seconds": 0.0001,
    "per_decoding_sequence_seconds": 0.0005,
    "per_kv_token_seconds": 0.00001,
    "kv_capacity_tokens": 4096,
}


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """Lays files out as kubelet mounts a ConfigMap: real files in a dated folder, links through `..data`."""
    dated = folder / "..2026_11_23_20_40_00.123"
    for name, text in files.items():
        (dated / name).parent.mkdir(parents=True, exist_ok=True)
        (dated / name).write_text(text)
    (folder / "..data").symlink_to(dated.name)
    for top in {Path(name).parts[0] for name in files}:
        (folder / top).symlink_to(f"..data/{top}")


@dataclass
class Pod:
    """One container's surroundings, and the container once it is started."""

    root: Path
    address: str
    lines: list[str] = field(default_factory=list)
    container: RunningContainer | None = None

    def write_weights(self, **config: Any) -> None:
        folder = self.root / "weights/model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(
            json.dumps({"num_attention_heads": 32, "max_position_embeddings": 2048} | config)
        )

    def write_model(self, name: str = "llama", config: str = CONFIG, **arguments: Any) -> None:
        document = {"model": "/weights/model", "max_num_seqs": 4, "max_num_batched_tokens": 256} | arguments
        mount(self.root / "models" / name, {"config.pbtxt": config, "1/model.json": json.dumps(document)})

    def start(
        self,
        *command: str,
        is_pid_one: bool = False,
        env: Mapping[str, str] | None = None,
        image: str = NEWEST.image,
        **settings: Any,
    ) -> RunningContainer:
        self.container = run_container(
            ContainerSpec(
                image=image,
                command=command or COMMAND,
                env=env or {},
                address=self.address,
                root=lambda path: self.root / path.lstrip("/"),
                log=self.lines.append,
                is_pid_one=is_pid_one,
                settings={"load-seconds": "0", "latency": PACE} | settings,
            )
        )
        return self.container

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def url(self, path: str, port: int = 8000) -> str:
        return f"http://{self.address}:{port}{path}"

    async def is_open(self, port: int = 8000) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.address, port)
        except OSError:
            return False
        writer.close()
        return True

    async def until_open(self, *ports: int, seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            for port in ports or (8000, 8002):
                while not await self.is_open(port):
                    await asyncio.sleep(0.01)
