"""Turns the text of an answer into prose and calls of tools (spec upstreams.md, A1.7; issue 4, point 4).

A decoder around a decoder. Which calls count:

* One of a tool that may be called now, by its name in any letters if only one tool has it. Its arguments are checked
  against the schema where a fault can still be made good, see below, and always where the tool is ``strict``, since its
  client relies on it. Else they are given as they are: a client's own checks tell the model what is wrong better than an
  answer that fails behind its beginning.
* In a code fence or in inline code anything else that looks like a call is prose, as it was written: the model explains
  what calls look like. One of a tool that may be called is a call even there: models put fences around calls they mean.
* Elsewhere a call that cannot be used (of a tool that is not there, with arguments that do not fit, or not in the
  grammar) fails the answer, with what is wrong as :data:`FAULT`. It is neither shown nor left out in silence. Where
  nothing has been given yet, a caller can ask once more, with :func:`~chatmock.providers.qwen.tool_prompt.repair_note`;
  else the client is told.
* Where a call is forced, an answer without one fails, too. What is said before it is dropped: it is no answer, and stop
  sequences and limits, which are kept to outside of here, must not end the answer in it. The thinking is held back
  until there is a call, so that a caller can ask once more before the client has been given any of the answer.
* A result that the model makes up after its calls ends the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from chatmock import jsontext
from chatmock.conversation import Tool, ToolChoice
from chatmock.errors import Kind, Refusal
from chatmock.events import Event, Failed, Finished, Opened, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from chatmock.providers.client_fields import quoted
from chatmock.providers.interface import StreamDecoder
from chatmock.providers.qwen.argument_schemas import fault
from chatmock.providers.qwen.code_marks import CodeMarks
from chatmock.providers.qwen.contract import TITLE
from chatmock.providers.qwen.tool_markup import (
    DEFAULT_LIMIT,
    Broken,
    Call,
    CallTooLarge,
    Piece,
    Prose,
    ToolMarkup,
)
from chatmock.providers.qwen.tool_prompt import INVALID_TOOL_CALL, NO_TOOL_CALL, RESPONSE_OPEN
from chatmock.providers.qwen.tool_tags import arguments_text

FAULT: Final = "fault"
"""The further field of a refusal that says what is wrong with the call."""
_WITHHELD_LIMIT: Final = DEFAULT_LIMIT
_SPACE_LIMIT: Final = 1000


class ToolCallingDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` that finds the calls in another one's single answer.

    The thinking passes as it is: calls stand in the answer only. White space before, between and after calls is dropped.

    :param tools: those that may be called now, see :attr:`~chatmock.providers.qwen.tool_offer.Offer.usable`.
    :param choice: with the mode ``required`` or ``named``, the answer must hold a call.
    :param parallel: whether there may be several calls; else the answer is cut where something
        follows the first. One that just ends is whole, so its chat can be gone on with.
    :param id_prefix: what the ids of calls begin with; must not be the same for two answers of a conversation.
    :param streamed: whether the client is given the answer while it comes. Else a failure can be made good up to the
        answer's end, and every call is checked.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        tools: Sequence[Tool],
        choice: ToolChoice,
        parallel: bool,
        id_prefix: str,
        streamed: bool = True,
    ) -> None:
        self._decoder = decoder
        named = choice.name if choice.mode == "named" else None
        self._tools: Mapping[str, Tool] = {t.name: t for t in tools if named is None or t.name == named}
        self._forced = choice.mode in ("required", "named")
        self._parallel = parallel
        self._id_prefix = id_prefix
        self._streamed = streamed
        self._markup = ToolMarkup()
        self._code = CodeMarks()
        self._calls = 0
        self._given = False
        """Whether the client has been given anything: all but the opening, which is held back until then."""
        self._told = False
        """Whether prose has been given since the beginning, or since the last call."""
        self._space = ""
        """White space that is dropped if a call, or nothing, follows; after it maybe the beginning of a made-up result."""
        self._withheld: list[Event] = []
        """What comes before a call that is forced but prose; else the opening."""
        self._withheld_chars = 0
        self._ended = False
        self.fault: str | None = None
        """What is wrong with the call on which the answer failed."""

    @property
    def records(self) -> int:
        """How many records of the stream have been read."""
        return self._decoder.records

    @property
    def usage(self) -> Usage | None:
        """The token counts so far."""
        return self._decoder.usage

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes."""
        return () if self._ended else self._read(self._decoder.feed(data))

    def close(self) -> Sequence[Event]:
        """End of input."""
        return () if self._ended else self._read(self._decoder.close())

    def _read(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            self._take(event, out)
            if self._ended:
                break
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        match event:
            case TextDelta(text=text):
                self._pieces(text, out)
            case Usage():
                self._settle(out)
                if not self._ended:
                    self._pass_or_hold(event, 0, out)
            case Finished():
                self._settle(out)
                if not self._ended:
                    self._finish(event, out)
            case Failed():
                self._end(event, out)
            case _:
                size = len(event.text) if isinstance(event, ReasoningDelta) else 0
                self._pass_or_hold(event, size, out)

    def _pass_or_hold(self, event: Event, size: int, out: list[Event]) -> None:
        """Give *event* out; before a call that is forced nothing is, or the client could not be spared a failure."""
        forced = self._forced and not self._calls
        if not forced and not isinstance(event, Opened):
            self._release(out)
            out.append(event)
            return
        if not isinstance(event, TextDelta):
            self._withheld.append(event)
        self._withheld_chars += size
        if self._withheld_chars > _WITHHELD_LIMIT:
            self._fail_without_call(out)

    def _release(self, out: list[Event]) -> None:
        """Something is to be given: what was held back goes before it."""
        self._given = self._streamed
        out += self._withheld
        self._withheld = []

    def _settle(self, out: list[Event]) -> None:
        """The text is complete: give what was held back. There is nothing left for a second time."""
        self._pieces(None, out)
        space, self._space = self._space, ""
        if not self._ended and (space.strip() or not self._calls):
            self._give(space, out)

    def _pieces(self, text: str | None, out: list[Event]) -> None:
        """Take more text, or None for its end."""
        try:
            pieces = self._markup.close() if text is None else self._markup.feed(text)
        except CallTooLarge as error:
            self._fail(f"{TITLE} wrote a call that is not read any further: {error}.", INVALID_TOOL_CALL, out)
            return
        for piece in pieces:
            if self._calls and not self._parallel:
                if isinstance(piece, Call) or piece.text.strip():
                    self._cut(out)
            else:
                self._piece(piece, out)
            if self._ended:
                break

    def _piece(self, piece: Piece, out: list[Event]) -> None:
        tool = self._tool(piece.name) if isinstance(piece, Call) else None
        match piece:
            case Prose(text=text):
                self._code.feed(text)
                self._prose(text, out)
            case Call() if tool is not None:
                self._call(piece, tool, out)
            case Call(source=text) | Broken(text=text) if self._code.inside:
                self._code.feed(text)
                self._prose(text, out)
            case Call(name=name):
                self._unusable(f"there is no tool {quoted(name)}", out)
            case Broken(fault=wrong):
                self._unusable(wrong, out)

    def _prose(self, text: str, out: list[Event]) -> None:
        if not self._told:
            text, self._space = self._space + text, ""
            word = text.lstrip()
            called = self._calls > 0
            if called and word.startswith(RESPONSE_OPEN):
                self._cut(out)
                return
            if (not word or (called and RESPONSE_OPEN.startswith(word))) and len(text) < _SPACE_LIMIT:
                self._space = text
                return
            self._told = True
        self._give(text, out)

    def _give(self, text: str, out: list[Event]) -> None:
        if text:
            self._pass_or_hold(TextDelta(text), len(text), out)

    def _tool(self, name: str) -> Tool | None:
        """The tool that is called *name*; models do not keep to its letters' case."""
        if name in self._tools:
            return self._tools[name]
        alike = [tool for tool in self._tools.values() if tool.name.casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else None

    def _call(self, call: Call, tool: Tool, out: list[Event]) -> None:
        schema, arguments = tool.parameters or {}, call.arguments
        if not isinstance(arguments, str):
            arguments = arguments_text(arguments, schema)
        if tool.strict or not self._given:
            wrong = fault(schema, jsontext.loads_object(arguments))
            if wrong is not None:
                self._unusable(wrong, out)
                return
        self._release(out)
        out.append(ToolCallDelta(self._calls, f"{self._id_prefix}{self._calls}", tool.name, arguments))
        self._calls += 1
        self._space, self._told = "", False

    def _unusable(self, wrong: str, out: list[Event]) -> None:
        """A call that cannot be used, for what is *wrong* with it."""
        self.fault = wrong
        if self._forced and not self._calls:
            self._fail_without_call(out)
        else:
            message = f"{TITLE} called a tool in a way that cannot be used: {wrong}. Ask again."
            self._fail(message, INVALID_TOOL_CALL, out)

    def _finish(self, finished: Finished, out: list[Event]) -> None:
        if self._calls:
            reasons = tuple("tool_calls" if reason == "stop" else reason for reason in finished.reasons)
            self._end(attrs.evolve(finished, reasons=reasons), out)
        elif self._forced:
            self._fail_without_call(out)
        else:
            self._end(finished, out)

    def _cut(self, out: list[Event]) -> None:
        """End the answer after a call, with the token counts as far as they are known."""
        if (usage := self.usage) is not None:
            out.append(usage)
        self._finish(Finished(("stop",), cut=True), out)

    def _fail_without_call(self, out: list[Event]) -> None:
        why = (
            "answered without calling one"
            if self.fault is None
            else f"made none that can be used: {self.fault}"
        )
        self._fail(
            f"A call of a tool was asked for, and {TITLE} {why}. Ask again, or leave 'tool_choice' at auto.",
            NO_TOOL_CALL,
            out,
        )

    def _fail(self, message: str, code: str, out: list[Event]) -> None:
        more = {} if self.fault is None else {FAULT: self.fault}
        self._end(Failed(Refusal(Kind.UPSTREAM_FAILED, message, code=code, more=more)), out)

    def _end(self, event: Finished | Failed, out: list[Event]) -> None:
        self._ended = True
        if isinstance(event, Finished):
            self._release(out)
        self._withheld = []
        out.append(event)
