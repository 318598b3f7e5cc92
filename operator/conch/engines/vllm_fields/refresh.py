"""`python -m conch.engines.vllm_fields.refresh VERSION...`: writes the tables of these vLLM releases, from PyPI.

The source archive is looked up in PyPI's index, checked against its SHA-256 and read where it lies. `pip download`
cannot do that: for a source archive it runs the archive's own set-up code first, and vLLM's wants torch.
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from conch.engines.vllm_fields.source import Package

_INDEX: Final = Request("https://pypi.org/simple/vllm/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
_SECONDS: Final = 60
_LARGEST_ARCHIVE_BYTES: Final = 256 * 2**20
_PREFIX: Final = "vllm/"


def table(version: str) -> dict[str, Any]:
    """The table of one release as its file holds it. Raises LookupError, OSError, ValueError, UnreadableSource."""
    file = f"vllm-{version}.tar.gz"
    archive = _download(file)
    return {
        "archive": {"file": file, "sha256": hashlib.sha256(archive).hexdigest()},
        "fields": Package(_sources(archive)).engine_arguments(),
    }


def _download(file: str) -> bytes:
    with urlopen(_INDEX, timeout=_SECONDS) as response:  # noqa: S310
        entries = json.load(response)["files"]
    entry = next((entry for entry in entries if entry["filename"] == file), None)
    if entry is None:
        raise LookupError(f"PyPI has no {file}")
    with urlopen(entry["url"], timeout=_SECONDS) as response:  # noqa: S310 an https URL of the index
        archive: bytes = response.read(_LARGEST_ARCHIVE_BYTES)
    if hashlib.sha256(archive).hexdigest() != entry["hashes"]["sha256"]:
        raise ValueError(f"{file} is not the file that PyPI's index describes")
    return archive


def _sources(archive: bytes) -> dict[str, str]:
    """Python files of the package by path."""
    texts = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            path = member.name.partition("/")[2]
            content = members.extractfile(member) if path.startswith(_PREFIX) and path.endswith(".py") else None
            if content is not None:
                texts[path] = content.read().decode()
    return texts


def main() -> int:
    """Writes one file per version beside this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="a release of vLLM, such as 0.27.1")
    for version in parser.parse_args().versions:
        file = Path(__file__).with_name(f"{version}.json")
        file.write_text(json.dumps(table(version), indent=1) + "\n")
        print(f"{file.name}: {len(json.loads(file.read_text())['fields'])} fields")
    return 0


if __name__ == "__main__":
    sys.exit(main())
