"""The lines in which an Ollama tells how far a pull has come (spec upstreams.md, E3 and E4)."""

from __future__ import annotations

from typing import Any, Final

from chatmock import jsontext
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import Failed, Finished
from chatmock.framing import LineParser, RecordTooLarge
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.ollama_errors import TITLE, read_error

_LINE_LIMIT: Final = 64 * 1024
_DONE: Final = "success"


class _Progress(Struct, gc=False):
    status: str | None = None
    error: Any = None


_read = jsontext.reader(_Progress)


class ProgressLines:
    """Carries them as they are, up to the one that says that all is done; one that says ``error`` is not carried."""

    usage: None = None
    answer: None = None

    def __init__(self) -> None:
        self._parser = LineParser(_LINE_LIMIT)
        self.last = b""
        """The last line so far, without its end."""
        self.outcome: Finished | Failed | None = None
        self.records = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, return whole lines."""
        if self.outcome is not None:
            return b""
        try:
            return self._carry_all(self._parser.feed(data))
        except RecordTooLarge as error:
            self._fail(f"{TITLE} sent too much at once: {error}.", "upstream_limit")
            return b""

    def close(self) -> bytes:
        """End of input: a pull that has not said that it is done has failed."""
        if self.outcome is not None:
            return b""
        out = self._carry_all(self._parser.close())
        if self.outcome is None:
            self.outcome = Failed(truncated(TITLE))
        return out

    def _carry_all(self, lines: list[bytes]) -> bytes:
        out = []
        for line in lines:
            if self.outcome is not None:
                break
            out.append(self._carry(line))
        return b"".join(out)

    def _carry(self, line: bytes) -> bytes:
        self.records += 1
        try:
            told = _read(line)
        except JSONError as error:
            self._fail(f"{TITLE} sent a line that cannot be read ({error}).", "upstream_malformed")
            return b""
        if told.error is not None:
            self.outcome = Failed(read_error(jsontext.loads_object(line)))
            return b""
        self.last = line
        if told.status == _DONE:
            self.outcome = Finished(("stop",))
        return line + b"\n"

    def _fail(self, message: str, code: str) -> None:
        self.outcome = Failed(Refusal(Kind.UPSTREAM_FAILED, message, code=code))
