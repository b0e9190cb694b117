"""What a request asks of the demo: an OpenAI chat body read into a few values, by the demo's own reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.errors import Kind, Refusal, bad_request
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.demo.directives import MOST_WORDS, Directives, read_directives

MODELS = ("demo", "demo-thinking")
MOST_CHOICES = 128


class FunctionBody(Struct):
    """A function, offered or called."""

    name: str
    parameters: dict[str, Any] | None = None
    arguments: str | None = None


class CustomBody(Struct):
    """A custom tool, offered or called: its argument is free text."""

    name: str
    format: dict[str, Any] | None = None
    input: str | None = None


class ToolBody(Struct):
    """A tool that is offered, or a call of one; of kinds the demo does not have, only the kind."""

    type: str = "function"
    id: str = ""
    function: FunctionBody | None = None
    custom: CustomBody | None = None

    @property
    def name(self) -> str:
        """Of the function or custom tool; empty for other kinds."""
        named = self.custom if self.type == "custom" else self.function
        return "" if named is None else named.name


class MessageBody(Struct):
    """One message."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[ToolBody] | None = None
    tool_call_id: str | None = None

    def parts(self, kind: str) -> list[Any]:
        """Find the values of the content's parts of one *kind*, such as ``text`` or ``image_url``."""
        content = self.content
        if isinstance(content, str):
            return [content] if kind == "text" else []
        return [part.get(kind) for part in content or () if part.get("type") == kind]

    def texts(self) -> Iterator[str]:
        """Go through all text: what is said, refused and called with."""
        yield from (text for text in self.parts("text") if isinstance(text, str))
        yield from (text for text in self.parts("refusal") if isinstance(text, str))
        yield self.refusal or ""
        for call in self.tool_calls or ():
            yield (call.function.arguments if call.function else None) or ""
            yield (call.custom.input if call.custom else None) or ""


class SchemaBody(Struct):
    """The schema that structured output is to fit."""

    schema: dict[str, Any] | None = None


class FormatBody(Struct):
    """The form of the answer."""

    type: str = "text"
    json_schema: SchemaBody | None = None


class AskedBody(Struct):
    """The fields of a request that the demo heeds."""

    model: str
    messages: list[MessageBody]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[ToolBody] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: FormatBody | None = None

    @property
    def usable_tools(self) -> list[tuple[int, ToolBody]]:
        """The tools of kinds the demo can call, each with its place in ``tools``."""
        return [(i, tool) for i, tool in enumerate(self.tools or ()) if tool.name]


_read_body = jsontext.reader(AskedBody)


@attrs.frozen
class Asked:
    """A request, read."""

    body: AskedBody = attrs.field(repr=False)
    text: str = attrs.field(repr=False)
    """The last user message without its directives."""
    directives: Directives

    @property
    def most_tokens(self) -> int | None:
        """How many tokens an answer may have."""
        body = self.body
        return body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens

    @property
    def stops(self) -> list[str]:
        """The texts before which an answer stops."""
        stop = self.body.stop
        return [text for text in ([stop] if isinstance(stop, str) else stop or ()) if text]

    @property
    def thinks(self) -> bool:
        """Whether the answer shows reasoning."""
        effort = self.body.reasoning_effort
        return self.body.model == "demo-thinking" or self.directives.think or effort not in (None, "none")

    @property
    def results(self) -> list[MessageBody]:
        """What tools have answered since the model spoke last."""
        results: list[MessageBody] = []
        for message in reversed(self.body.messages):
            if message.role == "assistant":
                break
            if message.role in ("tool", "function"):
                results.insert(0, message)
        return results

    def earlier_calls(self) -> list[ToolBody]:
        """List the calls of the conversation so far."""
        return [call for message in self.body.messages for call in message.tool_calls or ()]


def read_asked(body: bytes) -> Asked:
    """Read a request.

    :raises Refusal: bad request, for what the demo cannot read; ``model_not_found``.
    """
    try:
        read = _read_body(body)
    except JSONError as error:
        raise bad_request(f"The demo cannot read the request: {error}.") from None
    if read.model not in MODELS:
        message = f"The demo has no model {read.model[:100]!r}; it has {' and '.join(MODELS)}."
        raise Refusal(Kind.NOT_FOUND, message, code="model_not_found", param="model")
    choices = 1 if read.n is None else read.n
    if not 1 <= choices <= MOST_CHOICES:
        raise bad_request(f"The demo gives 1 to {MOST_CHOICES} choices, not {choices}.", "n")
    said = [message for message in read.messages if message.role == "user"]
    directives, text = read_directives("\n".join(map(str, said[-1].parts("text"))) if said else "")
    if choices * (directives.words or 0) > MOST_WORDS:
        raise bad_request(f"The demo says at most {MOST_WORDS} words, over all choices.", "n")
    return Asked(read, text, directives)
