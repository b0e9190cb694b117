"""Carries answers of an Ollama to Ollama's own clients (spec upstreams.md, E2): lines as received, but for these rules.

* the model has the name that the client asked for;
* nothing follows the line that says ``done``, and a stream without one has failed;
* a line that says ``error`` is not carried: whoever carries the bytes tells the client, as of any other upstream.
"""

from __future__ import annotations

from typing import Any, Final

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import Failed, Finished, FinishReason, Usage
from chatmock.framing import LineParser, RecordTooLarge
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.ollama_errors import TITLE, read_error

LINE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes: the last line of ``/api/generate`` repeats the whole context as numbers."""
_LONG: Final = 1024
"""Bytes of a line from which on it may hold numbers or depths that clients stumble over."""


class MessagePiece(Struct, gc=False):
    """What a line adds to the answer of ``/api/chat``."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Line(Struct, gc=False):
    """One line of the stream, or a whole answer."""

    model: str | None = None
    message: MessagePiece | None = None
    response: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    context: list[int] | None = None
    error: Any = None


_read_line = jsontext.reader(Line)


class LinePassage:
    """A :class:`~chatmock.providers.interface.Passage` of ``/api/chat`` and ``/api/generate``.

    :param chat: the request, whose client is told its own name of the model.
    """

    answer: None = None
    folds: bool = False

    __slots__ = (
        "_calls",
        "_head",
        "_name",
        "_parser",
        "_told",
        "_told_head",
        "outcome",
        "records",
        "usage",
    )

    def __init__(self, chat: ChatRequest, limit: int = LINE_LIMIT) -> None:
        self._name = chat.asked_model or chat.model
        self._head = _head(self._name)
        self._told: str | None = None
        self._told_head = _head(None)
        self._parser = LineParser(limit)
        self._calls = False
        self.outcome: Finished | Failed | None = None
        self.usage: Usage | None = None
        self.records = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of a stream, return whole lines for the client."""
        if self.outcome is not None:
            return b""
        try:
            return self._carry_all(self._parser.feed(data))
        except RecordTooLarge as error:
            message = f"{TITLE} sent too much at once: {error}."
            self.outcome = Failed(Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit"))
            return b""

    def close(self) -> bytes:
        """End of the stream."""
        if self.outcome is not None:
            return b""
        lines = self._parser.close()
        out = self._carry_all(lines)
        if self.outcome is None or (lines and _is_malformed(self.outcome)):
            self.outcome = Failed(truncated(TITLE))
        return out

    def whole(self, body: bytes) -> bytes:
        """Carry a complete answer; sets the outcome."""
        out = self._carry(body.strip())
        if self.outcome is None:
            self.outcome = Failed(_malformed("it does not say that it is done"))
        return out.rstrip(b"\n") if isinstance(self.outcome, Finished) else b""

    def _carry_all(self, lines: list[bytes]) -> bytes:
        out = []
        for line in lines:
            out.append(self._carry(line))
            if self.outcome is not None:
                break
        return b"".join(out)

    def _carry(self, data: bytes) -> bytes:
        """The line for the client: as it is, unless a rule touches it."""
        self.records += 1
        if not data.isascii():
            data = data.decode("utf-8", "replace").encode()
        try:
            line = _read_line(data)
            if line.error is not None:
                self.outcome = Failed(read_error(jsontext.loads_object(data)))
                return b""
            if line.message is None and line.response is None and not line.done:
                raise JSONError("it adds nothing to an answer")
            _check(data, line)
            carried = data if line.model == self._name else self._renamed(data, line.model)
        except JSONError as error:
            self.outcome = Failed(_malformed(str(error)))
            return b""
        self._calls |= line.message is not None and bool(line.message.tool_calls)
        if line.done:
            self._finish(line)
        return carried + b"\n"

    def _renamed(self, data: bytes, told: str | None) -> bytes:
        """The line under the client's name of the model, which Ollama told first: all after it stays as it is."""
        if told != self._told:
            self._told, self._told_head = told, _head(told)
        end = len(self._told_head)
        if data.startswith(self._told_head) and data.startswith((b",", b"}"), end):
            return self._head + data[end:]
        return jsontext.dumps({**jsontext.loads_object(data), "model": self._name})

    def _finish(self, line: Line) -> None:
        if line.prompt_eval_count is not None or line.eval_count is not None:
            self.usage = Usage(line.prompt_eval_count or 0, line.eval_count or 0)
        reason: FinishReason = "tool_calls" if self._calls else "stop"
        self.outcome = Finished(("length" if line.done_reason == "length" else reason,))


def _head(model: str | None) -> bytes:
    """How a line begins that names *model* first."""
    return b'{"model":' + jsontext.dumps(model)


def _check(data: bytes, line: Line) -> None:
    """Look at what is passed on; the context is numbers, however many, and nothing to look at.

    :raises JSONError: when clients would stumble over it.
    """
    if len(data) <= _LONG:
        return
    if line.context:
        data = jsontext.dumps({**jsontext.loads_object(data), "context": []})
    jsontext.check_foreign(data)


def _malformed(fault: str) -> Refusal:
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"{TITLE} sent an answer that cannot be read ({fault}). Ask again.",
        code="upstream_malformed",
    )


def _is_malformed(outcome: Finished | Failed) -> bool:
    return isinstance(outcome, Failed) and outcome.refusal.code == "upstream_malformed"
