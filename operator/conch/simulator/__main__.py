"""`python -m conch.simulator [options] -- tritonserver --model-repository=...`: one simulated container as a process.

Settings are read from a YAML file, then from variables `CONCH_SIMULATOR_<SETTING>`, which win.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from conch import catalogue
from conch.simulator.container import ContainerSpec, run_container

_PREFIX: Final = "CONCH_SIMULATOR_"
_OWN: Final = ("ADDRESS", "IMAGE", "SETTINGS")


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Runs until the program ends, and returns its exit code."""
    options = _parser(env).parse_args(arguments)
    try:
        return asyncio.run(_run(options, env))
    except (ValueError, OSError) as error:
        print(f"conch.simulator: {error}", file=sys.stderr)
        return 2


async def _run(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    container = run_container(
        ContainerSpec(
            image=options.image,
            command=tuple(options.command),
            env=env,
            address=options.address,
            root=Path,
            log=lambda line: print(line, file=sys.stderr, flush=True),
            is_pid_one=os.getpid() == 1,
            settings=_settings(options.settings, env),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, container.terminate)
    return await container.wait()


def _settings(file: Path | None, env: Mapping[str, str]) -> dict[str, Any]:
    written = yaml.safe_load(file.read_text()) if file else {}
    named = {name.removeprefix(_PREFIX): value for name, value in env.items() if name.startswith(_PREFIX)}
    return {**(written or {}), **{name.lower(): value for name, value in named.items() if name not in _OWN}}


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conch.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--address", default=env.get(f"{_PREFIX}ADDRESS", "127.0.0.1"), help="where ports are opened")
    parser.add_argument(
        "--image", default=env.get(f"{_PREFIX}IMAGE", catalogue.NEWEST.image), help="the image to be; its tag counts"
    )
    parser.add_argument(
        "--settings", type=Path, default=env.get(f"{_PREFIX}SETTINGS"), help="YAML file of the simulator's settings"
    )
    parser.add_argument("command", nargs="+", help="the container's command, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
