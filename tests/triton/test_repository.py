"""Generated model repositories, laid out as kubelet mounts them, on the real server and on the simulator."""

from pathlib import Path

import pytest

from conch import catalogue
from conch.api.deployment import LLMDeployment
from conch.api.parsing import parse
from conch.cli.render import children
from triton.conftest import StartEngine
from triton.engines import Start, until_ready
from triton.exchange import exchange
from triton.repository import MODEL, model_files, mount, write_weights


async def test_mounted_at_the_models_folder_it_loads(start: StartEngine, root: Path) -> None:
    engine = await start(Start(root))
    await until_ready(engine)
    answer = await exchange(engine, "POST", "/v2/models/llama/generate", {"text_input": "a", "max_tokens": 1})
    assert answer.code == 200
    ignored = "which fails to convert to integral number"
    assert f"ignore version directory '..data' {ignored}" in engine.log


async def test_mounted_at_the_root_it_breaks(start: StartEngine, tmp_path: Path) -> None:
    write_weights(tmp_path)
    files = {f"{MODEL}/{path}": text for path, text in model_files().items()}
    mount(tmp_path / "models", files)
    engine = await start(Start(tmp_path))
    assert await engine.wait() == 1
    assert "failed to load model '..data': at least one version must be available" in engine.log
    assert "error: creating server: Internal - failed to load all models" in engine.log
