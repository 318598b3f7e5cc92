"""The download of the weights: the script of the init container as a process, by the real huggingface_hub."""

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from conch.api.model import HuggingFaceModel, Model
from conch.models import fetch_weights
from conch.models.source import WEIGHTS_FOLDER, resolve
from models.hub import Hub

REPO = "acme/support-7b"
COMMIT = "c" * 40
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode()
WANTED = {
    "config.json": b"{}",
    "tokenizer.json": b"[]",
    "merges.txt": b"a b",
    "model.safetensors.index.json": INDEX,
    SHARDS[0]: b"weights one",
    SHARDS[1]: b"weights two",
}
UNWANTED = {
    "pytorch_model.bin": b"pickle",
    "training_args.pt": b"pickle",
    "modeling_support.py": b"code",
    "README.md": b"words",
    "original/consolidated.00.safetensors": b"the same weights once more",
}


def hub(**changes: object) -> Hub:
    fields: dict[str, object] = {"repo": REPO, "commit": COMMIT, "files": {**WANTED, **UNWANTED}}
    return Hub(**(fields | changes))  # type: ignore[arg-type]


def fetch(
    hub: Hub, cache: Path, *, repo: str = REPO, revision: str = COMMIT, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    options = [f"--repo={repo}", f"--revision={revision}", f"--cache-dir={cache}"]
    if token is not None:
        token_file = cache / "token"
        token_file.write_text(f"{token}\n")
        options.append(f"--token-file={token_file}")
    with hub.serving() as endpoint:
        return subprocess.run(
            [sys.executable, fetch_weights.__file__, *options],
            # A token in the environment must not be sent, nor one that the developer has in the home folder.
            env={"PATH": os.environ["PATH"], "HOME": str(cache), "HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_environment"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def failure(process: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a pod's termination message ends with."""
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1]


def in_cache(cache: Path) -> Path:
    """Where the engine looks for the model, were the cache mounted as in a pod."""
    resolved = resolve(Model(hugging_face=HuggingFaceModel(repo=REPO, revision=COMMIT)), "m")
    return cache / PurePosixPath(resolved.path).relative_to(WEIGHTS_FOLDER)


def test_files_lie_where_the_engine_looks_for_them(tmp_path: Path) -> None:
    process = fetch(hub(), tmp_path)
    assert process.returncode == 0, process.stderr
    assert {file.name: file.read_bytes() for file in in_cache(tmp_path).iterdir()} == WANTED
    assert process.stdout.splitlines()[-1] == f"{REPO} is at {in_cache(tmp_path)}"


def test_nothing_that_can_run_code_is_even_asked_for(tmp_path: Path) -> None:
    repository = hub()
    fetch(repository, tmp_path)
    assert repository.fetched == WANTED.keys()


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path: Path) -> None:
    fetch(hub(), tmp_path)
    again = hub()
    assert fetch(again, tmp_path).returncode == 0
    assert again.fetched == set()


def test_an_interrupted_download_is_finished(tmp_path: Path) -> None:
    fetch(hub(), tmp_path)
    (in_cache(tmp_path) / SHARDS[1]).resolve().unlink()
    (in_cache(tmp_path) / SHARDS[1]).unlink()
    again = hub()
    assert fetch(again, tmp_path).returncode == 0
    assert again.fetched == {SHARDS[1]}


def test_no_token_is_sent_that_was_not_given(tmp_path: Path) -> None:
    repository = hub()
    fetch(repository, tmp_path)
    assert repository.authorizations == {None}


def test_a_given_token_opens_a_gated_repository(tmp_path: Path) -> None:
    repository = hub(token="hf_right")
    assert fetch(repository, tmp_path, token="hf_right").returncode == 0
    assert repository.authorizations == {"Bearer hf_right"}


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_a_gated_repository_says_how_to_get_in(tmp_path: Path, token: str | None) -> None:
    said = failure(fetch(hub(token="hf_right"), tmp_path, token=token))
    assert said == (
        f"{REPO} is gated: accept its licence at https://huggingface.co/{REPO} and set "
        "spec.model.huggingFace.tokenSecretRef to a token of that account"
    )


def test_a_missing_repository_is_told_from_a_missing_commit(tmp_path: Path) -> None:
    assert failure(fetch(hub(), tmp_path, repo="acme/typo")) == (
        "acme/typo does not exist, or is private and the token may not read it: correct "
        "spec.model.huggingFace.repo or tokenSecretRef"
    )
    assert failure(fetch(hub(), tmp_path, revision="d" * 40)) == (
        f"{REPO} has no commit {'d' * 40}: correct spec.model.huggingFace.revision"
    )


def test_a_repository_of_pickles_is_refused(tmp_path: Path) -> None:
    pickled = hub(files={"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    assert failure(fetch(pickled, tmp_path)) == (
        f"{REPO} at {COMMIT} has no safetensors weights: choose a repository that has"
    )


def test_a_repository_that_lacks_a_shard_is_refused(tmp_path: Path) -> None:
    files = {name: content for name, content in WANTED.items() if name != SHARDS[1]}
    assert failure(fetch(hub(files=files), tmp_path)) == (
        f"{REPO} at {COMMIT} is incomplete: 1 of 2 files are missing, {SHARDS[1]} first"
    )


def test_any_other_refusal_is_one_sentence_too(tmp_path: Path) -> None:
    said = failure(fetch(hub(status=403), tmp_path))
    assert said.startswith(f"downloading {REPO} failed: ")
    assert "403 Forbidden" in said


def test_a_hub_that_is_down_does_not_matter_to_a_full_cache(tmp_path: Path) -> None:
    fetch(hub(), tmp_path)
    assert fetch(hub(status=503), tmp_path).returncode == 0
