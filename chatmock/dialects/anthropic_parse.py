"""Reads the body of a Messages request into a :class:`ChatRequest` (spec upstreams.md, F).

What Claude Code sends for Anthropic's servers alone is taken without a word: hints for their prompt cache, their tiers,
their editing of the context. Other fields that nobody here can follow are named to the client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from chatmock.conversation import ChatRequest, Message, ResponseFormat, Source, Text, ToolResult
from chatmock.dialects.anthropic_blocks import Content, read_content
from chatmock.dialects.anthropic_fields import MISSING, fault, read
from chatmock.dialects.anthropic_tools import ToolChoiceBody, read_tool_choice, read_tools
from chatmock.dialects.anthropic_turns import check_calls
from chatmock.dialects.reading import read_object
from chatmock.jsontext import Struct

Effort = Literal["low", "medium", "high", "xhigh", "max"]

MOST_STOPS: Final = 64
LEAST_BUDGET: Final = 1024
"""Tokens of thinking."""
NO_MESSAGES: Final = "at least one message is required"
NOTHING_SAID: Final = "user messages must have non-empty content"
TOLERATED: Final = frozenset(
    [
        "anthropic_version",
        "betas",
        "billing_policy",
        "cache_control",
        "context_management",
        "diagnostics",
        "inference_geo",
        "service_tier",
        "speed",
        "user_profile_id",
        "workspace_id",
    ]
)
"""Fields that say how Anthropic's servers are to do their work, and nothing of the answer."""
_EFFORTS: Final = ((4096, "low"), (16384, "medium"))
"""Up to so many tokens of thinking, the effort; beyond, ``high``."""
_BILLING: Final = "x-anthropic-billing-header:"
"""How a text begins that Claude Code puts before its prompt for Anthropic's accounts. It differs in every request, and so
would empty every prompt cache."""
_ANSWER: Final = "answer"
"""The schema's name: OpenAI's upstreams want one."""


class MessageBody(Struct):
    """A message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class MetadataBody(Struct):
    """Who asks."""

    user_id: str | None = None


class ThinkingBody(Struct):
    """Whether and how the model thinks."""

    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class FormatBody(Struct):
    """The wanted form of the answer."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfigBody(Struct):
    """How much effort the answer is worth, and its form."""

    effort: Effort | None = None
    format: FormatBody | None = None


class CountBody(Struct):
    """The fields that are read of a request whose tokens are to be counted."""

    model: str
    messages: list[MessageBody]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoiceBody | None = None
    metadata: MetadataBody | None = None
    thinking: ThinkingBody | None = None
    output_config: OutputConfigBody | None = None
    output_format: FormatBody | None = None


def parse_messages(data: bytes, wire: str, aliases: Mapping[str, str]) -> ChatRequest:
    """Read a request for an answer.

    :param aliases: patterns of models' names, to the model that answers to each.
    :raises Refusal: bad request, naming the field at fault.
    """
    body = read_object(data)
    asked = read(body, CountBody)
    chat = _read(asked, body, wire, aliases)
    if chat.max_tokens is None:
        raise fault("max_tokens", MISSING)
    check_calls(asked.messages)
    return chat


def parse_count(data: bytes, wire: str, aliases: Mapping[str, str]) -> ChatRequest:
    """Read a request whose tokens are to be counted: the same, but that ``max_tokens`` may be absent, and that it may be a
    piece of a conversation, with calls or results alone.

    :raises Refusal: as :func:`parse_messages`.
    """
    body = read_object(data)
    return _read(read(body, CountBody), body, wire, aliases)


def _read(asked: CountBody, body: Mapping[str, Any], wire: str, aliases: Mapping[str, str]) -> ChatRequest:
    _check(asked)
    ignored = [name for name in body if name not in CountBody.__struct_fields__ and name not in TOLERATED]
    offered = read_tools(asked.tools or ())
    told = tuple(_messages(asked, ignored))
    if not told:
        raise fault("messages", NO_MESSAGES)
    thinking = asked.thinking
    return ChatRequest(
        model=named(asked.model, aliases) or asked.model,
        messages=tuple(message for _, message in told),
        places=tuple(where for where, _ in told),
        asked_model=asked.model,
        otherwise=otherwise(asked.model, aliases),
        stream=bool(asked.stream),
        tools=offered.tools,
        other_tools=offered.hosted,
        tool_choice=read_tool_choice(asked.tool_choice, offered),
        parallel_tool_calls=not (asked.tool_choice and asked.tool_choice.disable_parallel_tool_use),
        max_tokens=asked.max_tokens,
        stop=tuple(dict.fromkeys(stop for stop in asked.stop_sequences or () if stop)),
        tell_stop=True,
        reasoning_effort=_effort(asked),
        least_effort=thinking is not None and thinking.type == "disabled",
        response_format=_response_format(asked),
        extras=_extras(asked),
        ignored=(*ignored, *offered.ignored),
        source=Source(wire, body),
        thinking="none" if thinking is None or thinking.type == "disabled" else "parts",
    )


def named(model: str, aliases: Mapping[str, str]) -> str | None:
    """The model that *aliases* have for the name *model*, by the first pattern that fits; None where none does."""
    return next((known for pattern, known in aliases.items() if fnmatchcase(model, pattern)), None)


def otherwise(model: str, aliases: Mapping[str, str]) -> str | None:
    """What to ask for where no provider knows the name *model*: the default model (empty) for one of Anthropic's own that
    *aliases* have nothing for; None for any other."""
    return "" if model.startswith("claude") and named(model, aliases) is None else None


def omits_thinking(chat: ChatRequest) -> bool:
    """Whether the client wants the thinking sealed, and not to read it."""
    thinking = None if chat.source is None else chat.source.body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("display") == "omitted"


def _check(asked: CountBody) -> None:
    if not asked.model:
        raise fault("model", MISSING)
    if not asked.messages:
        raise fault("messages", NO_MESSAGES)
    if asked.max_tokens is not None and asked.max_tokens < 1:
        raise fault("max_tokens", "It must be at least 1.")
    if len(asked.stop_sequences or ()) > MOST_STOPS:
        raise fault("stop_sequences", f"{MOST_STOPS} are the most.")
    _check_sampling(asked)
    thinking = asked.thinking
    if thinking is not None and thinking.type == "enabled":
        if thinking.budget_tokens is None:
            raise fault("thinking.enabled.budget_tokens", MISSING)
        if thinking.budget_tokens < LEAST_BUDGET:
            words = f"Input should be greater than or equal to {LEAST_BUDGET}"
            raise fault("thinking.enabled.budget_tokens", words)


def _check_sampling(asked: CountBody) -> None:
    for name, value in (("temperature", asked.temperature), ("top_p", asked.top_p)):
        if value is not None and not 0 <= value <= 1:
            raise fault(name, "range: 0..1")
    if asked.top_k is not None and asked.top_k < 0:
        raise fault("top_k", "Input should be greater than or equal to 0")


def _messages(asked: CountBody, ignored: list[str]) -> Iterator[tuple[str, Message]]:
    """The messages, each after the place that it has in the body."""
    system = _system(asked.system or "", "system", ignored)
    if system is not None:
        yield "system", system
    for position, message in enumerate(asked.messages):
        place = f"messages.{position}"
        where = f"{place}.content"
        if message.role == "system":
            system = _system(message.content, where, ignored)
            if system is not None:
                yield place, system
            continue
        left_out = len(ignored)
        parts = read_content(message.content, message.role, where, ignored)
        if not parts:
            if message.role == "user" and len(ignored) == left_out:
                raise fault(place, NOTHING_SAID)
            continue  # upstreams take no turn that is empty
        results = [part for part in parts if isinstance(part, ToolResult)]
        # Upstreams want the answers to calls right after them, each in a message of its own.
        yield from ((place, Message("tool", (result,))) for result in results)
        said = tuple(part for part in parts if not isinstance(part, ToolResult))
        if said:
            yield place, Message(message.role, said)


def _system(content: Content, where: str, ignored: list[str]) -> Message | None:
    parts = read_content(content, "system", where, ignored)
    texts = [_without_billing(part.text) for part in parts if isinstance(part, Text)]
    text = "\n\n".join(text for text in texts if text)
    return Message("system", (Text(text),)) if text else None


def _without_billing(text: str) -> str:
    return text.partition("\n")[2] if text.startswith(_BILLING) else text


def _effort(asked: CountBody) -> str | None:
    """How hard the model is to think: as the client says, or by the tokens that it gives for it."""
    thinking = asked.thinking
    if thinking is not None and thinking.type == "disabled":
        return None
    if asked.output_config is not None and asked.output_config.effort is not None:
        return asked.output_config.effort
    if thinking is None or thinking.type != "enabled" or thinking.budget_tokens is None:
        return None
    return next((effort for most, effort in _EFFORTS if thinking.budget_tokens <= most), "high")


def _response_format(asked: CountBody) -> ResponseFormat:
    wanted = (asked.output_config and asked.output_config.format) or asked.output_format
    if wanted is None:
        return ResponseFormat()
    return ResponseFormat("json_schema", _ANSWER, wanted.schema, strict=_is_strict(wanted.schema))


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes *schema*: each object names all its properties as needed, and has no others."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties")
        names = set(properties) if isinstance(properties, Mapping) else set()
        required = schema.get("required") or ()
        whole = isinstance(required, list | tuple) and names == {
            each for each in required if isinstance(each, str)
        }
        if schema.get("additionalProperties") is not False or not whole:
            return False
    return all(map(_is_strict, schema.values()))


def _extras(asked: CountBody) -> dict[str, Any]:
    user = asked.metadata.user_id if asked.metadata is not None else None
    if user is not None:  # which names the device and the account
        user = hashlib.blake2b(user.encode(), digest_size=16).hexdigest()
    extras = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k, "user": user}
    return {name: value for name, value in extras.items() if value is not None}
