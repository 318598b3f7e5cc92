"""The body of a `generate` request: which of its keys are inputs of the vLLM backend, and what they ask for.

Triton flattens the body: a key that names an input of the model becomes that input, at the top or inside `parameters`;
everything else becomes a request parameter, which the backend takes for one of vLLM's sampling parameters. Refusals
have Triton's words and codes; what the backend itself cannot do with a request comes as an error in the response.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson

STRING_INPUTS: Final = ("text_input", "image", "sampling_parameters", "embedding_request")
BOOLEAN_INPUTS: Final = (
    "stream",
    "exclude_input_in_output",
    "return_finish_reason",
    "return_cumulative_logprob",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)

_SAMPLING_PARAMETERS: Final = """
    allowed_token_ids bad_words detokenize extra_args flat_logprobs frequency_penalty ignore_eos
    include_stop_str_in_output logit_bias logits_processors logprobs lora_name max_tokens min_p min_tokens n output_kind
    presence_penalty prompt_logprobs repetition_penalty seed skip_clone skip_reading_prefix_cache skip_special_tokens
    spaces_between_special_tokens stop stop_token_ids structured_outputs temperature top_k top_p
    truncate_prompt_tokens
"""
"""Fields of SamplingParams in vLLM 0.19 to 0.27, and the backend's own `lora_name`."""

_KNOWN_SAMPLING_PARAMETERS: Final = frozenset(_SAMPLING_PARAMETERS.split())
_DEFAULT_OUTPUT_TOKENS: Final = 16


class Refusal(Exception):
    """Triton refuses the request before the backend sees it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """The response's status and the text of its error."""
        super().__init__(message)
        self.status = status


class BackendError(Exception):
    """The backend answers the request with this error."""


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A request that reaches the backend."""

    id: str | None
    inputs: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The prompt's text. Raises BackendError: Triton counts inputs, and takes any one for the one it needs."""
        if "text_input" not in self.inputs:
            raise BackendError("Error generating stream: 'NoneType' object has no attribute 'as_numpy'")
        return str(self.inputs["text_input"])

    @property
    def streams(self) -> bool:
        """Whether the backend answers token by token."""
        return bool(self.inputs.get("stream"))

    def wants(self, output: str) -> bool:
        """Whether `return_<output>` is asked for."""
        return bool(self.inputs.get(f"return_{output}"))

    def echoes_prompt(self) -> bool:
        """Whether the answer starts with the prompt. Raises BackendError."""
        excluded = self.inputs.get("exclude_input_in_output")
        if self.streams and excluded is False:
            raise BackendError(
                "Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed."
            )
        return not self.streams if excluded is None else not excluded

    def check_adapter(self, adapters: Sequence[str] | None) -> None:
        """Whether the engine has the LoRA adapter that is asked for. Raises BackendError; None: LoRA is off."""
        name = self._sampling().get("lora_name")
        if name is not None and adapters is None:
            raise BackendError("LoRA feature is not enabled.")
        if name is not None and adapters is not None and name not in adapters:
            raise BackendError(f"LoRA {name} is not supported, we currently support {list(adapters)}")

    def output_tokens(self, prompt_tokens: int, max_model_length_tokens: int) -> int:
        """How many tokens the answer has. Raises BackendError as vLLM does."""
        counts = self._counts()
        if prompt_tokens > max_model_length_tokens:
            raise BackendError(
                f"Error generating stream: The decoder prompt (length {prompt_tokens}) is longer than the maximum "
                f"model length of {max_model_length_tokens}. Make sure that `max_model_len` is no smaller than the "
                "number of text tokens."
            )
        asked = counts.get("max_tokens", _DEFAULT_OUTPUT_TOKENS)
        return max(1, min(asked, max_model_length_tokens - prompt_tokens))

    def _counts(self) -> dict[str, int]:
        sampling = self._sampling()
        try:
            counts = {name: int(sampling[name]) for name in ("max_tokens", "n") if sampling.get(name) is not None}
        except (TypeError, ValueError):
            counts = {"max_tokens": 0}
        if not sampling.keys() <= _KNOWN_SAMPLING_PARAMETERS or counts.get("max_tokens", 1) < 1:
            # The backend logs what is wrong with a parameter, goes on with None, and this is what the client reads.
            raise BackendError("Error generating stream: 'NoneType' object has no attribute 'lora_name'")
        if counts.get("n", 1) != 1:
            raise BackendError("Error generating stream: the simulator generates one sequence per request (n=1)")
        return counts

    def _sampling(self) -> dict[str, Any]:
        if "sampling_parameters" not in self.inputs:
            return self.parameters
        try:
            given = orjson.loads(self.inputs["sampling_parameters"])
        except orjson.JSONDecodeError as error:
            raise BackendError(f"Error generating stream: {error}") from None
        return given if isinstance(given, dict) else {}


def parse(body: bytes, model: str) -> GenerateRequest:
    """The request of a body. Raises Refusal."""
    document = _document(body)
    inputs: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    nested = document.pop("parameters", {})
    if not isinstance(nested, dict):
        raise Refusal(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Expected JSON object for keyword: 'parameters': attempt to access JSON non-object as object",
        )
    identifier = _identifier(document.pop("id", ""))
    for where, members in (("Converting keyword: 'parameters': ", nested), ("", document)):
        for name, value in members.items():
            if name in inputs:
                raise Refusal(HTTPStatus.BAD_REQUEST, f"{_named(identifier)} input '{name}' already exists in request")
            if name in STRING_INPUTS or name in BOOLEAN_INPUTS:
                inputs[name] = _input(name, value)
            else:
                parameters[name] = _parameter(name, value, where)
    if not inputs:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{_named(identifier)} {_no_inputs(model)}")
    return GenerateRequest(identifier or None, inputs, parameters)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"Invalid value. at {error.pos}" if body else "The document is empty. at 0"
        message = f"failed to parse the request JSON buffer: {reason}"
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message) from None
    if not isinstance(document, dict):
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "attempt to get members for non-object")
    return document


def _identifier(value: Any) -> str:
    if not isinstance(value, str):
        raise Refusal(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Unable to parse 'id': attempt to access JSON non-string as string"
        )
    return value


def _named(identifier: str) -> str:
    return f"[request id: {identifier or '<id_unknown>'}]"


def _input(name: str, value: Any) -> Any:
    if isinstance(value, list) and len(value) != 1 and name != "image":
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The schema can not convert input '{name}' to tensor with proper shape")
    element = value[0] if isinstance(value, list) and value else value
    if name in BOOLEAN_INPUTS and not isinstance(element, bool):
        raise Refusal(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Unable to parse 'data': attempt to access JSON non-boolean as boolean",
        )
    if name in STRING_INPUTS and not isinstance(element, str):
        raise Refusal(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Unable to parse JSON bytes array: attempt to access JSON non-string as string",
        )
    return element


def _parameter(name: str, value: Any, where: str) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            f"{where}parameter '{name}' has invalid type. It should be either 'int', 'bool', or 'string'.",
        )
    return value


def _no_inputs(model: str) -> str:
    most = len(STRING_INPUTS) + len(BOOLEAN_INPUTS)
    return (
        f"expected number of inputs between 1 and {most} but got 0 inputs for model '{model}'. Got input(s) [], but "
        "missing required input(s) ['text_input']. Please provide all required input(s)."
    )
