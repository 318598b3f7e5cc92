"""`python -m load URL MODEL`: send requests, say every second how it goes, end with the result as JSON."""

import argparse
import asyncio
import json
import time

from load.clients import Connections, Load, run
from load.result import LoadResult


async def main(load: Load) -> LoadResult:
    """Run the load and report on it."""
    result = LoadResult()
    work = asyncio.create_task(run(load, result))
    started = time.monotonic()
    while not work.done():
        await asyncio.wait([work], timeout=1)
        elapsed = time.monotonic() - started
        print(f"{elapsed:5.0f} s: {result.answered} answered, {result.lost_total} lost", flush=True)
    await work
    return result


def arguments() -> Load:
    """The load of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--connections", type=Connections, default=Connections.NEW)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--max-tokens", type=int, default=16)
    return Load(**vars(parser.parse_args()))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(arguments())).as_json()), flush=True)
