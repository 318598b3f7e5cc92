"""The images, built and run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from images import buildah, inside
from images.engine_pod import MODEL, EnginePod

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

POD_USER = "1000:1000"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        buildah.check()
    except buildah.Unsupported as reason:
        pytest.skip(str(reason))
    buildah.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def operator(base: None) -> Iterator[buildah.Container]:
    container = buildah.Container(buildah.build("operator"))
    yield container
    container.remove()


@pytest.fixture(scope="module")
def simulator(base: None) -> Iterator[buildah.Container]:
    container = buildah.Container(buildah.build("engine-simulator"))
    yield container
    container.remove()


def test_the_operator_runs_as_its_user_and_cannot_change_its_code(operator: buildah.Container) -> None:
    assert operator.run(["id", "-u"]) == "65532"
    assert operator.run(["find", "/opt/conch", "-writable", "-not", "-type", "l"]) == ""


def test_the_operator_prints_the_definition_of_its_resource(operator: buildah.Container) -> None:
    assert "run" in operator.run(["conch", "run", "--help"])
    definition = yaml.safe_load(operator.run(["conch", "crd"]))
    assert definition["metadata"]["name"] == "llmdeployments.conch.dev"


def test_the_simulator_runs_the_pod_of_an_engine(simulator: buildah.Container, tmp_path: Path) -> None:
    pod = EnginePod.rendered(tmp_path)
    weights = pod.volumes["weights"]
    weights.chmod(0o777)
    simulator.run(
        pod.download,
        user=POD_USER,
        volumes={"/opt/conch/fetch": pod.volumes["fetch"], "/weights": weights},
        env={"CONCH_SIMULATOR_WEIGHTS_SECONDS": "0"},
    )
    seen = simulator.run(
        ["python3", "-c", Path(inside.__file__).read_text(), MODEL, *pod.engine],
        user=POD_USER,
        volumes={f"/models/{MODEL}": pod.volumes["model-repository"], "/weights": weights},
        env={"CONCH_SIMULATOR_LOAD_SECONDS": "0"},
    )
    outcome = json.loads(seen)
    assert outcome["ready"] == 200
    assert outcome["generated"]["text_output"].startswith("The sea is ")
    assert outcome["exit_code"] == 0
