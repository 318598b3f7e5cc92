"""Generated model repositories, laid out as kubelet mounts them, on the real server and on the simulator."""

import json
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conch.catalogue import RELEASES
from conch.cli.render import render
from triton.engines import METRICS_PORT, Start, StartEngine, until_ready
from triton.exchange import exchange
from triton.repository import MODEL, model_files, mount, write_weights

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def lay_out(example: Path, root: Path) -> tuple[Start, str]:
    """Makes the file system of the example's engine container below `root`; returns its start and its model's name."""
    children = list(yaml.safe_load_all(render(example.read_text(), example.name)))
    data = next(child["data"] for child in children if child["kind"] == "ConfigMap")
    pod = next(child for child in children if child["kind"] == "ReplicaSet")["spec"]["template"]["spec"]
    engine = next(container for container in pod["containers"] if container["name"] == "engine")
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "model-repository")
    folder = next(entry["mountPath"] for entry in engine["volumeMounts"] if entry["name"] == "model-repository")
    files = {item["path"]: data[item["key"]] for item in volume["configMap"]["items"]}
    mount(root / folder.lstrip("/"), files | {"config.pbtxt": without_metrics(files["config.pbtxt"])})
    write_weights(root, json.loads((root / folder.lstrip("/") / "1/model.json").read_text())["model"])
    environment = {entry["name"]: entry["value"] for entry in engine["env"] if "value" in entry}
    return Start(root, tuple(engine["command"]), environment, engine["image"]), Path(folder).name


def without_metrics(config: str) -> str:
    """The config.pbtxt without `model_metrics`, which came with the release after 2.51."""
    parsed = text_format.Parse(config, model_config_pb2.ModelConfig())
    parsed.ClearField("model_metrics")
    return text_format.MessageToString(parsed)


def test_the_catalogue_says_what_no_real_server_was_given_here() -> None:
    assert [release.name for release in RELEASES if "without model_metrics" not in release.verified] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
async def test_what_conch_generates_loads_and_answers(start: StartEngine, tmp_path: Path, example: Path) -> None:
    begin, model = lay_out(example, tmp_path)
    engine = await start(begin)
    await until_ready(engine)
    assert (await exchange(engine, "GET", f"/v2/models/{model}/ready")).code == 200
    body = {"text_input": "a b", "stream": True, "max_tokens": 3}
    assert len((await exchange(engine, "POST", f"/v2/models/{model}/generate_stream", body)).chunks) == 3
    page = (await exchange(engine, "GET", "/metrics", port=METRICS_PORT)).body.decode()
    assert f'vllm:generation_tokens_total{{model="{model}",version="1"}} 3\n' in page


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
