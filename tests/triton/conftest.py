"""Engines under test: `start` starts the real one or the simulated one, `served` is one of each that is ready."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from triton.engines import COMMAND, Engine, RealEngine, SimulatedEngine, Start, StartEngine, until_ready
from triton.installation import Installation, Unsupported, installation
from triton.repository import MODEL, model_files, mount, write_weights

BOTH = [pytest.param("triton", marks=pytest.mark.triton), "simulator"]


@pytest.fixture(scope="session")
def triton() -> Installation:
    """The installed server."""
    try:
        return installation()
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=BOTH)
async def start(request: pytest.FixtureRequest) -> AsyncIterator[StartEngine]:
    """Starts engines of one kind; all end with the test."""
    engines: list[Engine] = []

    async def begin(start: Start) -> Engine:
        real = request.param == "triton"
        engine: Engine = (
            await RealEngine.start(start, request.getfixturevalue("triton"))
            if real
            else await SimulatedEngine.start(start)
        )
        engines.append(engine)
        return engine

    yield begin
    for engine in engines:
        await engine.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's file system with weights and an ordinary repository."""
    write_weights(tmp_path)
    mount(tmp_path / "models" / MODEL, model_files())
    return tmp_path


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BOTH)
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """An engine that serves the ordinary repository, for a whole module."""
    folder = tmp_path_factory.mktemp("served")
    write_weights(folder)
    mount(folder / "models" / MODEL, model_files())
    begin = Start(folder, command=(*COMMAND, "--exit-timeout-secs=5", "--metrics-config=histogram_latencies=true"))
    engine: Engine
    if request.param == "triton":
        engine = await RealEngine.start(begin, request.getfixturevalue("triton"))
    else:
        engine = await SimulatedEngine.start(begin)
    await until_ready(engine)
    yield engine
    await engine.stop()
