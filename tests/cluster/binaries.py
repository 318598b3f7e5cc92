"""The control plane's programs, built from the modules that `controlplane/go.mod` pins.

There is no Go code of ours: `go build` of the module's tool lines is all that happens. The result is cached by the hash
of go.mod and go.sum, so that it is built once per version and user.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cluster.cache import cache_folder, make_once
from cluster.failure import ClusterFailure
from cluster.namespaces import TIED
from cluster.toolchain import find_go

MODULE: Final = Path(__file__).parent / "controlplane"
PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl")

# 16 to 27 measured with Go 1.26 on a cold cache, and the download.
_BUILD_CORE_MINUTES: Final = 30
_PROGRESS_SECONDS: Final = 20.0


def control_plane() -> Path:
    """The folder that holds `PROGRAMS`; builds them if need be, which takes minutes."""
    pins = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        pins.update((MODULE / name).read_bytes())
    return make_once(cache_folder() / "controlplane" / pins.hexdigest()[:16], _build)


def kubernetes_version() -> str:
    """As pinned, with its `v`."""
    match = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ClusterFailure(f"{MODULE / 'go.mod'} does not require k8s.io/kubernetes.")
    return match.group(1)


def _build(folder: Path) -> None:
    go = find_go(MODULE / "go.mod")
    cores = os.cpu_count() or 1
    minutes = max(2, _BUILD_CORE_MINUTES // cores)
    _say(f"Building Kubernetes {kubernetes_version()} and etcd, once: about {minutes} minutes on {cores} cores.")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    _say("Downloading modules ...")
    listing = subprocess.run(
        [go, "list", "-deps", "tool"], cwd=MODULE, env=environment, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        raise ClusterFailure(f"Go cannot fetch the modules of the control plane:\n{listing.stderr}")
    build = subprocess.Popen(
        [*TIED, go, "build", "-v", "-trimpath", "-ldflags", _link_flags(), "-o", f"{folder}/", "tool"],
        cwd=MODULE,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert build.stderr is not None
    with build:
        said = _follow(build.stderr, packages=len(listing.stdout.splitlines()))
    if build.returncode != 0:
        raise ClusterFailure("The control plane does not build:\n" + "\n".join(said[-30:]))
    # Go names a program after the last part of its path without the version: go.etcd.io/etcd/server/v3.
    (folder / "server").rename(folder / "etcd")


def _follow(lines: Iterable[str], packages: int) -> list[str]:
    """Reports progress from the names of packages that `go build -v` prints; returns all lines."""
    began = reported = time.monotonic()
    said: list[str] = []
    for line in lines:
        said.append(line.rstrip())
        if time.monotonic() - reported >= _PROGRESS_SECONDS:
            reported = time.monotonic()
            _say(f"  {len(said)} of at most {packages} packages compiled after {reported - began:.0f} s")
    return said


def _link_flags() -> str:
    """Version and size, as the projects' own release builds set them."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    target = "k8s.io/component-base/version"
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {target}.{name}={value}" for name, value in stamps.items())])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
