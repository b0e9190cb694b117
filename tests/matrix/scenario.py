"""What is played in a cell of the matrix: what the client wishes, what the upstream says, what the client has seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@attrs.frozen
class Tool:
    """A tool that is offered; it has one argument, which can have one value."""

    name: str
    argument: str
    value: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": {self.argument: {"type": "string", "enum": [self.value]}},
            "required": [self.argument],
        }

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments that fit."""
        return {self.argument: self.value}


WEATHER = Tool("weather", "city", "Paris")
CLOCK = Tool("clock", "zone", "Tokyo")
RESULTS = {"weather": "25 degrees", "clock": "half past nine"}
"""What the tools answer."""
SEAL = "gAAAAABq+/seal_-=="
"""Thinking that only its upstream can read."""


@attrs.frozen
class Call:
    """A call of a tool, as the upstream makes it, or as the client sees it."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    @property
    def text(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.arguments)


def call(tool: Tool, id: str) -> Call:
    """The call of *tool* that its schema asks for."""
    return Call(tool.name, tool.arguments, id)


@attrs.frozen
class Tokens:
    """How many there were. The details are 0 where they are not told, or not shown."""

    asked: int
    """Those asked with."""
    answered: int
    cached: int = 0
    """Of those asked with."""
    reasoning: int = 0
    """Of those answered with."""


@attrs.frozen
class Scenario:
    """What the upstream says, whatever it speaks."""

    text: Sequence[str] = ()
    """In pieces."""
    thinking: str = ""
    seal: str = ""
    """Comes with the thinking, where the upstream's wire has a place for it."""
    refusal: Sequence[str] = ()
    calls: Sequence[Call] = ()
    status: int | None = None
    """The HTTP status it refuses with, before it says anything."""
    ending: Literal["complete", "error", "cut", "hang"] = "complete"
    """After all that: it is complete, an error is told, the connection is lost, or nothing more comes."""
    by_rule: str = ""
    """What the demo says by its own rules, without being told: a piece of it; empty where it is to say the text."""
    usage: Tokens = Tokens(11, 7)


@attrs.frozen
class Wish:
    """What a client asks."""

    model: str
    prompt: str
    stream: bool
    thinks: bool = False
    seals: bool = False
    """Whether it wants the thinking sealed as well, where that has to be asked for."""
    tools: Sequence[Tool] = ()
    picture: bool = False
    schema: bool = False
    after: Seen | None = None
    """The answer to the same prompt that called the tools, whose results go with this request."""


@attrs.frozen
class Fault:
    """An exception of the SDK."""

    kind: type[BaseException]
    message: str
    status: int | None = None
    retry_after: str | None = None


@attrs.define
class Seen:
    """What a client has read."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[Call] = attrs.field(factory=list)
    finish: str = ""
    """In the dialect's own word."""
    usage: Tokens | None = None
    fault: Fault | None = None
    turn: Any = None
    """The answer as the dialect's clients send it back."""


@attrs.frozen
class Heard:
    """What the upstream was last asked, in words of no wire. Empty where it was not told."""

    tools: set[str] = attrs.field(factory=set)
    """The names of those offered."""
    results: Sequence[str] = ()
    """What tools answered, in the order of their calls."""
    seals: Sequence[str] = ()
    """Those of earlier thinking."""
    pictures: Sequence[bytes] = ()
    schema: Mapping[str, Any] | None = None
    thinks: bool = True
    """Whether it was asked to think; true where it cannot be asked."""
