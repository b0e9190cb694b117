"""What a client asks, in words no dialect owns. Frozen values, checked once at the edge by a dialect's ``parse``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import cached_property
from typing import Any, Literal

import attrs

from chatmock.model import Model

Role = Literal["system", "developer", "user", "assistant", "tool"]
ToolChoiceMode = Literal["none", "auto", "required", "named"]
Thinking = Literal["think-tags", "o3", "legacy", "current", "reasoning-content", "parts", "none"]
"""Forms of the model's thinking (spec chatgpt.md, 3.7). ``current`` is another name of ``legacy``; ``parts`` is for dialects
that keep its parts apart themselves."""


def _size(value: Sized | None) -> str:
    """What the `repr` of a request shows in place of what somebody has said: it must not get into a log."""
    return "None" if value is None else f"<{type(value).__name__} of {len(value)}>"


@attrs.frozen
class Text:
    """Plain text."""

    text: str = attrs.field(repr=_size)


@attrs.frozen
class Image:
    """A picture: a ``data:`` URL that holds it, or an ``https:`` URL the model fetches."""

    url: str = attrs.field(repr=_size)
    detail: str | None = None

    @property
    def inline_bytes(self) -> int:
        """The size of the encoded picture carried in the request, in bytes; 0 for a link."""
        return len(self.url) if self.url.startswith("data:") else 0

    @cached_property
    def digest(self) -> bytes:
        """What tells the URL from every other one: 32 bytes, worked out once, since a picture may be large."""
        return hashlib.blake2b(self.url.encode("utf-8", "surrogatepass"), digest_size=32).digest()


@attrs.frozen
class Attachment:
    """A part that only some models read (audio, files, video), kept as the client's dialect has it."""

    kind: str
    value: Mapping[str, Any] = attrs.field(repr=_size)


@attrs.frozen
class RefusalText:
    """An earlier answer in which the model declined."""

    text: str = attrs.field(repr=_size)


@attrs.frozen
class Reasoning:
    """The model's thinking in an earlier turn, as its client has kept it."""

    text: str = attrs.field(default="", repr=_size)
    sealed: str = attrs.field(default="", repr=_size)
    """The thinking in a form that only its upstream can read (``encrypted_content``); empty where there is none."""
    id: str = ""
    """The upstream's name of it, where it had one."""


@attrs.frozen
class ToolCall:
    """The model asked for a tool in an earlier turn."""

    id: str
    name: str
    arguments: str = attrs.field(repr=_size)
    """JSON text for a function, free text for a custom tool."""


@attrs.frozen
class ToolResult:
    """What a tool answered to the call *id*."""

    id: str
    parts: tuple[Text | Image | Attachment, ...]


Part = Text | Image | Attachment | RefusalText | Reasoning | ToolCall | ToolResult


@attrs.frozen
class Message:
    """One message of the conversation."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """All plain text of the message, that of tool results included."""
        return "".join(self.texts())

    def texts(self) -> Iterator[str]:
        """Each piece of text in the message: what is said, thought, refused, called with and answered by tools."""
        for part in self.parts:
            match part:
                case Text(text) | RefusalText(text) | Reasoning(text):
                    yield text
                case ToolCall(arguments=arguments):
                    yield arguments
                case ToolResult(parts=parts):
                    yield from (inner.text for inner in parts if isinstance(inner, Text))
                case _:
                    continue


@attrs.frozen
class Tool:
    """A tool the model may call."""

    name: str
    description: str = attrs.field(default="", repr=_size)
    parameters: Mapping[str, Any] | None = attrs.field(default=None, repr=_size)
    """A JSON Schema of the arguments; None for a custom tool, whose argument is free text."""
    strict: bool = False


@attrs.frozen
class ToolChoice:
    """Whether the model may, must or must not call tools."""

    mode: ToolChoiceMode = "auto"
    name: str | None = None
    """The one tool to call, when the mode is ``named``."""


@attrs.frozen
class ResponseFormat:
    """The form the answer's text must have."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    schema: Mapping[str, Any] | None = attrs.field(default=None, repr=_size)
    strict: bool = False


@attrs.frozen
class Source:
    """The request as the client wrote it, for an upstream that speaks the same dialect."""

    wire: str
    """The dialect's wire name, e.g. ``openai-chat``."""
    body: Mapping[str, Any] = attrs.field(repr=_size)
    """The decoded JSON. Shared and read-only: copy before changing it."""


def _no_time() -> int:
    """No time goes by where nobody has brought a clock."""
    return 0


@attrs.frozen
class Identity:
    """What names one answer: given by the caller, since the pure core has neither chance nor clock."""

    id: str
    """A random suffix for answer ids, without a dialect's prefix."""
    created: int
    """Unix time in seconds."""
    elapsed: Callable[[], int] = _no_time
    """Tells the nanoseconds since the request came, by a clock that never jumps."""
    created_ns: int = attrs.Factory(lambda self: self.created * 1_000_000_000, takes_self=True)
    """Unix time in nanoseconds when the request came."""


@attrs.frozen
class Resumption:
    """Where an earlier try of the same request stands at the upstream."""

    chat_id: str
    """The chat at the upstream; empty where everything is to be told anew."""
    parent_id: str | None
    """What the next message goes on from."""
    start: int
    """The index of the first message that the upstream does not have yet."""
    answered: bool
    """Whether the upstream has answered, if not as it should have: only a note on that is to be sent."""
    tries: int
    """How often it has been tried."""


@attrs.frozen
class ChatRequest:
    """One request for an answer."""

    model: str
    """The model as the client named it; after routing, as the upstream knows it."""
    messages: tuple[Message, ...]
    places: tuple[str, ...] = ()
    """Where each of the messages stands in the client's body, for what it is told of them; empty where that is
    ``messages[i]``."""
    asked_model: str = ""
    """The model as the client named it, set by routing unless its dialect knows better: answers name it so where the dialect wants its own name back."""
    otherwise: str | None = None
    """The model to ask for where no provider knows :attr:`model`; empty for the default one."""
    stream: bool = False
    include_usage: bool = False
    """Whether a stream is to end with its token counts."""
    tools: tuple[Tool, ...] = ()
    other_tools: tuple[Mapping[str, Any], ...] = attrs.field(default=(), repr=_size)
    """Tools that run at the upstream (``{"type": "web_search"}``), as the client's dialect has them."""
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    choices: int = 1
    """How many answers are wanted side by side (``n``)."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = attrs.field(default=(), repr=_size)
    tell_stop: bool = False
    """Whether the client wants to know which of :attr:`stop` ended the answer: chatmock then looks for them itself, since
    most upstreams do not tell."""
    reasoning_effort: str | None = None
    response_format: ResponseFormat = ResponseFormat()
    logprobs: bool = False
    top_logprobs: int | None = None
    echo: bool = False
    """Text completion only: whether the answer repeats the prompt first."""
    extras: Mapping[str, Any] = attrs.field(factory=dict, repr=_size)
    """Fields without a home above (sampling, vendor extensions), as OpenAI chat names them."""
    load: Literal["load", "unload"] | None = None
    """Set where nothing is asked of the model, which a client only wants in memory, or out of it. Only an upstream of the
    client's own dialect is asked then."""
    source: Source | None = None
    details: Model | None = None
    """What the catalogue says of the model, set by routing."""
    least_effort: bool = False
    """Whether the model is to think as little as it can, which each provider has its own way of saying."""
    model_effort: str | None = None
    """The reasoning effort that the model's name ended in; what the request itself says goes before it."""
    session: str | None = attrs.field(default=None, repr=_size)
    """The client's own name for the conversation (``X-Session-Id``), which keeps the upstream's prompt cache."""
    upstream_chat: str | None = None
    """The upstream's own chat to go on in (``?chat_id=``), a UUID."""
    resume: Resumption | None = None
    """Set for another try."""
    note: str = attrs.field(default="", repr=_size)
    """What chatmock itself has to say to the model after the conversation; no part of it."""
    thinking: Thinking = "reasoning-content"
    """How an OpenAI chat client is shown the model's thinking by an upstream of another dialect."""
    keep: bool = False
    """Whether the answer is to be kept: its encoder then has it whole at the end, as ``answer``."""
    force_stream: bool = False
    """Whether the upstream is to be asked for a stream although the client wants a whole answer."""
    ignored: tuple[str, ...] = ()
    """What of the request could not be told in the words of this module, named for a response header; an upstream that
    speaks the client's dialect gets it all the same."""
