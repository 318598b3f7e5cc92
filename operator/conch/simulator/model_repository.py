"""The model repository as Triton reads it: folders, versions and config.pbtxt; what is wrong there fails the model.

Every folder at the root is a model, so the `..data` links that kubelet makes at the root of a mounted ConfigMap are
models without a version. At a model's own folder they are versions without a number, which only warn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conch.simulator.metrics import DEFAULT_FIRST_RESPONSE_BUCKETS_MILLISECONDS
from conch.simulator.server_log import ServerLog

_FIRST_RESPONSE_FAMILY: Final = "nv_inference_first_response_histogram_ms"


class PollError(Exception):
    """The folder is not taken for a model at all, for the reason in the text."""


class NoVersionError(Exception):
    """The model has no version that could be loaded."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One model of the repository, read but not loaded."""

    path: Path
    """On this host."""
    container_path: str
    """As the server names it."""
    config: model_config_pb2.ModelConfig

    @property
    def name(self) -> str:
        """The model's name, which is its folder's."""
        return self.path.name

    def version(self, log: ServerLog) -> str:
        """The version that is served: the highest, as by the default version policy. Raises NoVersionError."""
        numbers = []
        for folder in sorted(entry for entry in self.path.iterdir() if entry.is_dir()):
            if folder.name.isdecimal():
                numbers.append(int(folder.name))
            else:
                log.line(
                    "W",
                    "model_lifecycle.cc:111",
                    f"ignore version directory '{folder.name}' which fails to convert to integral number",
                )
        if not numbers:
            raise NoVersionError(
                f"at least one version must be available under the version policy of model '{self.name}'"
            )
        return str(max(numbers))

    @property
    def is_decoupled(self) -> bool:
        """Whether config.pbtxt itself says that a request may have any number of responses."""
        return bool(self.config.model_transaction_policy.decoupled)

    def is_true(self, parameter: str) -> bool:
        """Whether that parameter of config.pbtxt is the string "true", in any case."""
        given = dict(self.config.parameters)
        return parameter in given and str(given[parameter].string_value).lower() == "true"

    @property
    def first_response_buckets(self) -> tuple[float, ...]:
        """Upper bounds, in milliseconds, of the histogram of first responses."""
        for control in self.config.model_metrics.metric_control:
            if control.metric_identifier.family == _FIRST_RESPONSE_FAMILY:
                return tuple(control.histogram_options.buckets)
        return DEFAULT_FIRST_RESPONSE_BUCKETS_MILLISECONDS


def folders(root: Path) -> Iterator[Path]:
    """What Triton takes for models. Raises OSError when there is no such repository."""
    return (entry for entry in sorted(root.iterdir()) if entry.is_dir())


def read(path: Path, container_root: str) -> ModelFolder:
    """Reads a folder's config.pbtxt. Raises PollError."""
    container_path = f"{container_root.rstrip('/')}/{path.name}"
    config = model_config_pb2.ModelConfig()
    try:
        text_format.Parse((path / "config.pbtxt").read_text(), config)
    except FileNotFoundError:
        pass  # a backend may complete it; one that is named nowhere cannot
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise PollError(f"failed to read text proto from {container_path}/config.pbtxt ({error})") from None
    if config.name and config.name != path.name:
        raise PollError(
            f"unexpected directory name '{path.name}' for model '{config.name}', directory name must equal model name"
        )
    if _has_versions(path) and not config.backend:
        raise PollError(
            f"Invalid model name: Could not determine backend for model '{path.name}' with no backend in model "
            "configuration. Expected model name of the form 'model.<backend_name>'."
        )
    return ModelFolder(path, container_path, config)


def _has_versions(path: Path) -> bool:
    return any(entry.is_dir() and entry.name.isdecimal() for entry in path.iterdir())
