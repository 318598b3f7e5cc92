"""Which vLLM an image holds, and which engine arguments that vLLM knows."""

import re
from typing import Final

from conch import catalogue
from conch.engines import vllm_fields

_TAG: Final = re.compile(r":(?P<release>\d\d\.\d\d)-vllm-python-py3(?:$|@)")


def release_of(image: str) -> catalogue.EngineRelease | None:
    """The catalogue's entry for an image with NVIDIA's tag; None for an image that it does not know."""
    tag = _TAG.search(image)
    try:
        return catalogue.release(tag["release"]) if tag else None
    except KeyError:
        return None


def engine_argument_names(image: str) -> frozenset[str] | None:
    """The fields of AsyncEngineArgs in that image; None when nobody knows, and then any name will do."""
    release = release_of(image)
    return frozenset(vllm_fields.fields(release.vllm)) if release else None
