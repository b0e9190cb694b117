"""Reads what Ollama's chat and generate requests have in common (spec upstreams.md, E2; chatgpt.md, 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from chatmock.conversation import ChatRequest, ResponseFormat, Source
from chatmock.dialects.reading import MOST_STOPS, read_object
from chatmock.errors import bad_request
from chatmock.jsontext import Struct

LATEST: Final = ":latest"
MOST_TOP_LOGPROBS: Final = 20
EFFORTS: Final = ("low", "medium", "high", "max")
"""What ``think`` can be besides true and false."""
SAMPLING: Final = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
"""The ``options`` that OpenAI chat knows under the same names."""
_HOMED_OPTIONS: Final = frozenset([*SAMPLING, "num_predict", "stop"])
EXTENSIONS: Final = (
    "service_tier",
    "fast_mode",
    "responses_tools",
    "responses_tool_choice",
    "web_search_options",
)
"""Fields that are none of Ollama's and that chatmock takes from its clients all the same, as in OpenAI chat."""
HOMED: Final = frozenset(
    ["model", "stream", "format", "options", "think", "logprobs", "top_logprobs", *EXTENSIONS]
)

_AMOUNT: Final = r"([0-9]{1,20}(?:\.[0-9]{0,20})?)(ns|us|µs|μs|ms|s|m|h)"
_PIECE: Final = re.compile(_AMOUNT)
DURATION: Final = rf"[-+]?(?:0|(?:{_AMOUNT}){{1,20}})"
"""A duration as Go writes it, as a regular expression."""
_DURATION: Final = re.compile(DURATION)
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_ENDLESS: Final = 2**63 - 1
"""Tokens: what a ``num_predict`` below zero asks for, which the limits hold to the owner's maximum like any other number."""
_SCHEMA_NAME: Final = "answer"
"""OpenAI's schemas have a name, Ollama's have none."""


class OptionsBody(Struct):
    """The options that mean something to a model elsewhere."""

    num_predict: int | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class OllamaBody(Struct):
    """The fields of both requests that chatmock reads itself."""

    model: str | None = None
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: OptionsBody | None = None
    keep_alive: float | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of a request body.

    :raises Refusal: bad request, in Ollama's words for an empty body.
    """
    if not data:
        raise bad_request("missing request body")
    return read_object(data)


def read_model(name: str | None) -> str:
    """The model's name, which Ollama's requests must have.

    :raises Refusal: bad request, where there is none.
    """
    if name is None or not name.strip():
        raise bad_request("model is required", param="model")
    return name


def untagged(name: str) -> str | None:
    """*name* without the tag that clients put behind names which have none; None where it has another, or none."""
    bare = name.removesuffix(LATEST)
    return bare if bare and bare != name else None


def ollama_fields(
    asked: OllamaBody,
    body: Mapping[str, Any],
    wire: str,
    load: Literal["load", "unload"] | None,
    homed: frozenset[str],
) -> dict[str, Any]:
    """The fields of a :class:`ChatRequest` that both requests set alike.

    :param homed: the fields of *body* that mean something here.
    :raises Refusal: bad request, naming the field at fault.
    """
    model = read_model(asked.model)
    options = asked.options or OptionsBody()
    given = body.get("options") or {}
    stop = _stop(options.stop)
    predict = options.num_predict
    if asked.top_logprobs is not None and not 0 <= asked.top_logprobs <= MOST_TOP_LOGPROBS:
        raise bad_request(f"top_logprobs must be between 0 and {MOST_TOP_LOGPROBS}", param="top_logprobs")
    if asked.keep_alive is not None:
        read_keep_alive(asked.keep_alive)
    logprobs = bool(asked.logprobs)
    extras = {name: given[name] for name in SAMPLING if given.get(name) is not None}
    extras.update((name, body[name]) for name in EXTENSIONS if body.get(name) is not None)
    return {
        "model": model,
        "otherwise": untagged(model),
        # An answer to nothing is one object, whatever is asked for.
        "stream": asked.stream is not False and load is None,
        "load": load,
        "max_tokens": _ENDLESS if predict is not None and predict < 0 else predict or None,
        "stop": stop,
        # OpenAI's own take no more than these: chatmock then looks for them itself.
        "tell_stop": len(stop) > MOST_STOPS,
        "response_format": _response_format(asked.format),
        "logprobs": logprobs,
        "top_logprobs": asked.top_logprobs if logprobs else None,
        "extras": extras,
        "ignored": tuple(_ignored(body, homed)),
        "source": Source(wire, body),
        **_thinking(asked.think),
    }


def named(chat: ChatRequest) -> str:
    """The model as its client names it, for messages."""
    return (chat.asked_model or chat.model)[:100]


def check_abilities(chat: ChatRequest, body: Mapping[str, Any]) -> None:
    """See that the model can do what the request *body* wants of it, as far as the catalogue knows: clients ask once, and go on
    without it when they read these words.

    :raises Refusal: bad request, in Ollama's words.
    """
    model = chat.details
    if model is None:
        return
    if model.thinks is False and body.get("think"):
        raise bad_request(f'"{named(chat)}" does not support thinking', param="think")
    if model.calls_tools is False and chat.tools:
        raise bad_request(f"registry.ollama.ai/library/{named(chat)} does not support tools", param="tools")


def loading(keep_alive: float | str | None) -> Literal["load", "unload"]:
    """What a request that says nothing to the model is for.

    :raises Refusal: bad request, for a *keep_alive* that is no duration.
    """
    return "unload" if keep_alive is not None and int(read_keep_alive(keep_alive)) == 0 else "load"


def read_keep_alive(value: float | str) -> float:
    """``keep_alive`` in seconds: a number of them, or a duration as Go writes it (``5m``, ``1h30m``, ``-1s``).

    :raises Refusal: bad request, for another string.
    """
    if not isinstance(value, str):
        return value
    if not _DURATION.fullmatch(value):
        raise bad_request(f'time: invalid duration "{value[:50]}"', param="keep_alive")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(value))
    return -seconds if value.startswith("-") else seconds


_THINKS: Final = "medium"
"""The effort that ``true`` stands for: some upstreams think only when they are asked for one."""


def _thinking(think: bool | str | None) -> dict[str, Any]:
    """How much is to be thought, and whether that is shown: it is unless the client says no."""
    if think is False:
        return {"thinking": "none", "least_effort": True}
    if isinstance(think, str) and think not in EFFORTS:
        raise bad_request(
            f'invalid think value: "{think[:50]}" (must be "high", "medium", "low", "max", true, or false)',
            param="think",
        )
    effort = think if isinstance(think, str) else _THINKS if think else None
    return {"thinking": "reasoning-content", "reasoning_effort": effort}


def _response_format(asked: str | Mapping[str, Any] | None) -> ResponseFormat:
    if not asked and not isinstance(asked, Mapping):
        return ResponseFormat()
    if isinstance(asked, Mapping):
        return ResponseFormat("json_schema", _SCHEMA_NAME, asked)
    if asked == "json":
        return ResponseFormat("json_object")
    raise bad_request(
        f'invalid format: "{asked[:50]}"; expected "json" or a valid JSON Schema object', param="format"
    )


def _stop(stop: str | list[str] | None) -> tuple[str, ...]:
    sequences = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return tuple(sequence for sequence in sequences if sequence)


def _ignored(body: Mapping[str, Any], homed: frozenset[str]) -> Iterator[str]:
    """The fields and options that mean nothing to models elsewhere; empty ones mean nothing anywhere."""
    for name, value in body.items():
        if name not in homed and not _is_empty(value):
            yield name
    for name, value in (body.get("options") or {}).items():
        if name not in _HOMED_OPTIONS and value is not None:
            yield f"options.{name}"


def _is_empty(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})
