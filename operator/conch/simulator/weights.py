"""The init container that brings the weights, without the network: it waits, then lays down a plausible cache.

What is laid down is a Hugging Face cache with the snapshot of one commit: a `config.json` of an invented dense model
(64 heads, so that every usual tensor parallelism divides it) and an almost empty `model.safetensors`.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

from conch.simulator.process import ContainerSpec, Exit, UnhandledSigterm
from conch.simulator.settings import Settings

_CONFIG: Final[dict[str, Any]] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}

_EMPTY_SAFETENSORS: Final = (2).to_bytes(8, "little") + b"{}"
"""The length of the header, and a header that names no tensor."""


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ValueError(message)


class WeightsDownload:
    """The program `python3 fetch_weights.py --repo R --revision COMMIT --cache-dir DIR`."""

    def __init__(self, spec: ContainerSpec, settings: Settings) -> None:
        """Reads nothing yet: a bad argument is an exit code, as everywhere."""
        self._spec = spec
        self._seconds = settings.download_seconds
        self._sigterm = UnhandledSigterm(is_pid_one=spec.is_pid_one)

    async def run(self) -> int:
        """Downloads, unless the snapshot is there already."""
        arguments = self._arguments()
        snapshot = self._spec.root(arguments.cache_dir) / snapshot_path(arguments.repo, arguments.revision)
        if (snapshot / "config.json").is_file():
            self._spec.log(f"{arguments.repo} at {arguments.revision} is in the cache")
            return 0
        self._spec.log(f"downloading {arguments.repo} at {arguments.revision}")
        await self._sigterm.sleep(self._seconds)
        _lay_down(snapshot)
        self._spec.log(f"downloaded {arguments.repo} at {arguments.revision}")
        return 0

    def terminate(self) -> None:
        """SIGTERM: the downloader has no handler for it."""
        self._sigterm.receive()

    def close(self) -> None:
        """It has no sockets."""

    def _arguments(self) -> argparse.Namespace:
        parser = _Arguments(prog="fetch_weights.py", add_help=False)
        for flag in ("--repo", "--revision", "--cache-dir"):
            parser.add_argument(flag, required=True)
        try:
            return parser.parse_known_args(self._spec.command[1:])[0]
        except ValueError as error:
            self._spec.log(f"{parser.prog}: error: {error}")
            raise Exit(2) from None


def snapshot_path(repo: str, revision: str) -> Path:
    """Where the Hub's client keeps a commit of a repository, below its cache folder."""
    return Path(f"models--{repo.replace('/', '--')}", "snapshots", revision)


def _lay_down(snapshot: Path) -> None:
    unfinished = snapshot.with_name(f"{snapshot.name}.incomplete")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "config.json").write_text(json.dumps(_CONFIG))
    (unfinished / "model.safetensors").write_bytes(_EMPTY_SAFETENSORS)
    unfinished.rename(snapshot)  # a snapshot is whole or not there, however the download ends
