"""Reads the body of a Responses request into a :class:`ChatRequest` (spec upstreams.md, D3; chatgpt.md, 2.12).

Fields that other APIs have as well go on in the words of OpenAI chat; those that say how the answer is kept and shown
are chatmock's own business; what is left means nothing to another API and is named as ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from chatmock.conversation import ChatRequest, Message, ResponseFormat, Source, Text
from chatmock.dialects.reading import read_shape
from chatmock.dialects.responses_input import ReadInput, read_input
from chatmock.dialects.responses_tools import read_tools
from chatmock.errors import bad_request
from chatmock.jsontext import Struct

WIRE: Final = "openai-responses"
LOGPROBS: Final = "message.output_text.logprobs"
SEALS: Final = "reasoning.encrypted_content"

_PASSED_ON = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "user",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
)
"""Fields of the same meaning in OpenAI chat."""
_OWN = frozenset(
    {
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "reasoning",
        "text",
        "top_logprobs",
        "include",
        "metadata",
        "store",
        "background",
        "conversation",
        "previous_response_id",
        "prompt",
    }
)
"""Fields that are read here, or that the answer only repeats."""
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_IGNORED = 20


class ReasoningBody(Struct):
    """How the model is to think, and whether its thinking is to be summed up."""

    effort: str | None = None
    summary: Literal["auto", "concise", "detailed", "none"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    """The older name of ``summary``."""


class TextFormatBody(Struct):
    """The wanted form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextBody(Struct):
    """How the answer's text is to be."""

    format: TextFormatBody | None = None
    verbosity: str | None = None


class ResponsesBody(Struct):
    """The fields of a Responses request that chatmock reads itself."""

    input: str | list[dict[str, Any]] | None = None
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    reasoning: ReasoningBody | None = None
    text: TextBody | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    background: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    previous_response_id: str | None = None


def parse_object(body: Mapping[str, Any], earlier: int = 0) -> ChatRequest:
    """Read a request's decoded JSON.

    ``previous_response_id`` is not looked at: whoever knows the conversation has put it into ``input``.

    :param earlier: how many items of ``input`` are that, and not the client's.
    :raises Refusal: bad request, naming the field at fault.
    """
    asked = read_shape(body, ResponsesBody)
    _refuse_the_impossible(body, asked)
    said = _said(asked, earlier)
    offered = read_tools(body, asked.tool_choice)
    thinking = asked.reasoning or ReasoningBody()
    wants_logprobs = bool(asked.top_logprobs) or LOGPROBS in (asked.include or ())
    ignored = (*said.ignored, *offered.ignored, *_without_meaning(body))
    return ChatRequest(
        model=asked.model or "",
        messages=said.messages,
        places=said.places,
        stream=bool(asked.stream),
        tools=offered.tools,
        other_tools=offered.others,
        tool_choice=offered.choice,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        max_tokens=asked.max_output_tokens,
        reasoning_effort=thinking.effort,
        response_format=_response_format(asked.text),
        logprobs=wants_logprobs,
        top_logprobs=asked.top_logprobs or None,
        extras=_extras(body, asked),
        source=Source(WIRE, body),
        thinking="parts",
        keep=asked.store is not False,
        ignored=ignored[:_MOST_IGNORED],
    )


def wants_summary(body: Mapping[str, Any]) -> bool:
    """Whether the request *body* asks for summaries of the thinking."""
    return _asked_summary(body) not in (None, "none")


def wants_thinking(body: Mapping[str, Any]) -> bool:
    """Whether thinking that is no summary may be shown: unless the request *body* says that it wants none."""
    return _asked_summary(body) != "none"


def wants_seals(body: Mapping[str, Any]) -> bool:
    """Whether the request *body* asks for the thinking in its upstream's own form."""
    return SEALS in (body.get("include") or ())


def _asked_summary(body: Mapping[str, Any]) -> str | None:
    reasoning = body.get("reasoning") or {}
    summary: str | None = reasoning.get("summary") or reasoning.get("generate_summary")
    return summary


def _refuse_the_impossible(body: Mapping[str, Any], asked: ResponsesBody) -> None:
    """Refuse what would be another request without it.

    :raises Refusal: bad request, naming the field.
    """
    if asked.background:
        message = "'background' is not possible: chatmock answers while the client waits. Ask with 'stream'."
        raise bad_request(message, param="background", code="unsupported_parameter")
    if body.get("conversation") is not None:
        message = "'conversation' is not possible: chatmock has no such objects. Go on by 'previous_response_id', or send all of it."
        raise bad_request(message, param="conversation", code="unsupported_parameter")
    if body.get("prompt") is not None:
        message = "'prompt' names a text kept at OpenAI, which chatmock cannot read. Send it as 'instructions' and 'input'."
        raise bad_request(message, param="prompt", code="unsupported_parameter")
    if asked.max_output_tokens is not None and asked.max_output_tokens < 1:
        message = f"'max_output_tokens' must be at least 1, not {asked.max_output_tokens}."
        raise bad_request(message, param="max_output_tokens")
    if not asked.input:
        raise bad_request("'input' is empty: send a text, or at least one item.", param="input")


def _said(asked: ResponsesBody, earlier: int) -> ReadInput:
    said = read_input(asked.input or "", earlier)
    if asked.instructions is None or not asked.instructions.strip():
        return said
    rules = Message("system", (Text(asked.instructions),))
    return ReadInput((rules, *said.messages), ("instructions", *said.places), said.ignored)


def _response_format(text: TextBody | None) -> ResponseFormat:
    wanted = None if text is None else text.format
    if wanted is None or wanted.type == "text":
        return ResponseFormat()
    if wanted.type == "json_object":
        return ResponseFormat("json_object")
    if wanted.schema is None:
        raise bad_request("'text.format' needs a 'schema'.", param="text.format.schema")
    return ResponseFormat("json_schema", wanted.name or "", wanted.schema, strict=bool(wanted.strict))


def _extras(body: Mapping[str, Any], asked: ResponsesBody) -> dict[str, Any]:
    """What goes on under the names of OpenAI chat."""
    extras = {name: body[name] for name in _PASSED_ON if body.get(name) is not None}
    if asked.text is not None and asked.text.verbosity is not None:
        extras["verbosity"] = asked.text.verbosity
    return extras


def _without_meaning(body: Mapping[str, Any]) -> list[str]:
    """The fields that mean nothing to an API other than this one; names that no header can hold are not told."""
    return [
        name
        for name, value in body.items()
        if value is not None
        and name not in _OWN
        and name not in _PASSED_ON
        and (name, value) != ("truncation", "disabled")
        and _PLAIN.fullmatch(name)
    ]
