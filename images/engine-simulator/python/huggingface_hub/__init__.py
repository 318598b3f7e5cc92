"""A stand-in for the Hub's client in the engine simulator's image: a download without the network.

Conch's own `fetch_weights.py` runs in the init container of every engine pod and imports this name from the engine's
image. Here it finds the simulator, which waits and lays down a plausible snapshot, with `CONCH_SIMULATOR_*` as
everywhere. The Hub is never asked, so no repository is gated or missing; only how it would say so is kept (`errors`).
"""

import os
from pathlib import Path

from conch.simulator.__main__ import main
from conch.simulator.weights import snapshot_path


def snapshot_download(repo_id: str, *, revision: str, cache_dir: Path, **_choices: object) -> str:
    """The folder of the snapshot, once the simulator has laid it down.

    `_choices` are the token and the patterns, which make no difference to it. Ends the process with the simulator's
    exit code when there is none.
    """
    arguments = (f"--repo={repo_id}", f"--revision={revision}", f"--cache-dir={cache_dir}")
    code = main(["--", "python3", "fetch_weights.py", *arguments], os.environ)
    if code != 0:
        raise SystemExit(code)
    return str(cache_dir / snapshot_path(repo_id, revision))
