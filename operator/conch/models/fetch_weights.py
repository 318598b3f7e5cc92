"""Downloads one commit of a Hugging Face repository into a cache folder, then exits.

It runs in the init container of every engine pod, by the Python and the `huggingface_hub` of the engine's image, so it
needs nothing of Conch. Only safetensors weights and the texts beside them are fetched: pickled weights can run code.
Its last line on stderr becomes the pod's termination message, hence one plain sentence per failure.
"""

import argparse
import json
import os
from pathlib import Path

WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja"]
UNWANTED = ["consolidated*", "original/*", "metal/*", "onnx/*", "openvino/*", "flax_model*", "tf_model*"]


def fetch(repo: str, revision: str, cache: Path, token_file: Path | None) -> Path:
    """Download `revision` of `repo` into `cache` and return the folder of the snapshot. Raises SystemExit in words."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    token = token_file.read_text().strip() if token_file else False
    try:
        folder = Path(
            snapshot_download(
                repo, revision=revision, cache_dir=cache, token=token, allow_patterns=WANTED, ignore_patterns=UNWANTED
            )
        )
    except GatedRepoError:
        raise SystemExit(
            f"{repo} is gated: accept its licence at https://huggingface.co/{repo} and set "
            "spec.model.huggingFace.tokenSecretRef to a token of that account"
        ) from None
    except RevisionNotFoundError:
        raise SystemExit(f"{repo} has no commit {revision}: correct spec.model.huggingFace.revision") from None
    except RepositoryNotFoundError:
        raise SystemExit(
            f"{repo} does not exist, or is private and the token may not read it: correct "
            "spec.model.huggingFace.repo or tokenSecretRef"
        ) from None
    _check_complete(folder, f"{repo} at {revision}")
    return folder


def _check_complete(folder: Path, model: str) -> None:
    """Some releases of huggingface_hub return an unfinished snapshot when the Hub cannot be reached."""
    if not any(folder.rglob("*.safetensors")):
        raise SystemExit(f"{model} has no safetensors weights: choose a repository that has")
    index = folder / "model.safetensors.index.json"
    shards = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else set()
    missing = sorted(shard for shard in shards if not (folder / shard).exists())
    if missing:
        raise SystemExit(
            f"{model} is incomplete: {len(missing)} of {len(shards)} files are missing, {missing[0]} first"
        )


def main() -> None:
    """Read the command line, download, and say where the files are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--cache-dir", required=True, type=Path)
    parser.add_argument("--token-file", type=Path)
    arguments = parser.parse_args()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        folder = fetch(arguments.repo, arguments.revision, arguments.cache_dir, arguments.token_file)
    except Exception as error:  # whatever this image's release of the library raises must end as one sentence
        raise SystemExit(f"downloading {arguments.repo} failed: {' '.join(str(error).split())}") from None
    print(f"{arguments.repo} is at {folder}")


if __name__ == "__main__":
    main()
