"""Carries answers of the Responses API to clients of the same: records as received, but for these rules (spec
upstreams.md, D3; chatgpt.md, 3.8).

* every record has its ``event`` line, and counts up in ``sequence_number`` from 0 without a gap; an event that is not
  of the API's own (``codex.rate_limits``) keeps the number it has, or none;
* response objects name the model as the client did, and hold what the client has sent where the upstream was sent
  something else, see :mod:`~chatmock.providers.responses_echo`;
* calls name their tool as the client did, though its name had to be shortened for the upstream;
* the last response object has the whole output, also where the upstream leaves it out;
* the announcements of the answer (``response.created`` and what comes around it) wait for its first item: an upstream
  that fails before that gives no bytes at all, and can still be asked again, or become an HTTP status;
* a failure is in no bytes. An answer ends once, with ``response.completed`` or ``response.incomplete``; what comes
  after that (``[DONE]`` among it) is dropped;
* a comment of the upstream's becomes a keep-alive of ours;
* where the upstream knows no output limit, the client's is kept to here, see
  :mod:`~chatmock.providers.responses_output_limit`.

Events and items that nobody here knows pass like others. The first three rules do not touch nearly all records, which a
typed read of three fields finds out: those are never opened, and their bytes are the upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock import jsontext
from chatmock.durations import LATEST, bounded
from chatmock.errors import Kind, Refusal, too_long, truncated
from chatmock.events import Announced, Failed, Finished, FinishReason, Usage
from chatmock.framing import WHOLE_ANSWER_LIMIT, Record, RecordTooLarge, SSEParser
from chatmock.jsontext import JSONError
from chatmock.providers import responses_records as wire
from chatmock.providers.responses_echo import Echo, settle_usage
from chatmock.providers.responses_errors import failure, told_failure
from chatmock.providers.responses_items import CALL_KINDS
from chatmock.providers.responses_lines import HEADS, head, is_plain
from chatmock.providers.responses_output_limit import OutputLimit

KEEP_ALIVE: Final = b": keep-alive\n\n"
_OWN: Final = "response."
"""How the API's own events begin."""
_MOST_HELD: Final = 16
"""Announcements that wait for the first item; with more of them the answer counts as begun."""
_OPENED: Final = frozenset(
    [*wire.BEGINNINGS, *wire.FAILURES, *wire.ERRORS, wire.COMPLETED, wire.INCOMPLETE, wire.ITEM_DONE]
)
"""Events that have to be read whole."""
_NAMING: Final = frozenset([wire.ITEM_ADDED, "response.function_call_arguments.done"])
"""Further ones that name a tool."""


class ResponsesPassage:
    """A :class:`~chatmock.providers.interface.Passage` of the Responses wire.

    :param title: the upstream's name for messages.
    :param limit: the most bytes of one record.
    :param echo: what the client is told of its request.
    :param keep: whether :attr:`answer` is wanted.
    :param folds: whether the upstream streams although the client wants the answer whole.
    :param most: the output limit that is kept to here; None for none.
    """

    __slots__ = (
        "_begun",
        "_comments",
        "_created",
        "_echo",
        "_held",
        "_items",
        "_keep",
        "_most",
        "_next",
        "_opened",
        "_parser",
        "_response",
        "_size",
        "_title",
        "answer",
        "folds",
        "outcome",
        "records",
        "usage",
    )

    def __init__(
        self,
        title: str,
        limit: int,
        echo: Echo,
        *,
        keep: bool,
        folds: bool = False,
        most: OutputLimit | None = None,
    ) -> None:
        self._title = title
        self._parser = SSEParser(limit)
        self._echo = echo
        self._keep = keep or folds
        self._most = most
        self._opened = _OPENED if not echo.names and echo.seals else _OPENED | _NAMING
        self._begun = False
        self._held: list[bytes] = []
        self._next = 0
        self._response: dict[str, Any] = {}
        self._created: float | None = None
        self._items: dict[int, Any] = {}
        self._size = 0
        self._comments = 0
        self.folds = folds
        self.records = 0
        """How many records have been read."""
        self.answer: bytes | None = None
        self.outcome: Finished | Failed | None = None
        self.usage: Usage | None = None

    @property
    def announced(self) -> Announced | None:
        """How far the client is, for whoever tells it that the answer has failed; None as long as it has had nothing."""
        return Announced(self._response, self._next) if self._begun else None

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of a stream, return those for the client."""
        if self.outcome is not None:
            return b""
        try:
            records = self._parser.feed(data)
        except RecordTooLarge as error:
            message = f"{self._title} sent too much at once: {error}."
            return self._fail(Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit"))
        out = self._carry_all(records)
        if self._parser.comments != self._comments:
            self._comments = self._parser.comments
            if not out and self._begun and self.outcome is None:
                return KEEP_ALIVE
        return out

    def close(self) -> bytes:
        """End of the stream. A last record that is cut short counts as truncation."""
        if self.outcome is not None:
            return b""
        out = self._carry_all(self._parser.close(), cut=True)
        if self.outcome is None:
            self._fail(truncated(self._title))
        return out

    def whole(self, body: bytes) -> bytes:
        """Carry a complete answer; sets the outcome."""
        try:
            response = jsontext.loads_object(body)
        except JSONError as error:
            return self._fail(self._malformed(f"sent an answer that cannot be read ({error})"))
        status = response.get("status", "completed")
        if response.get("error") or status in ("failed", "cancelled"):
            told = response.get("error")
            told = told if isinstance(told, Mapping) else response
            return self._fail(failure(self._title, told, None))
        if status not in ("completed", "incomplete") or not isinstance(response.get("output"), list):
            return self._fail(self._malformed("sent an answer that is not complete, or has no output"))
        if status == "completed" and not response["output"]:
            return self._fail(self._empty())
        self._settle_end(response)
        out = jsontext.dumps(response)
        self.answer = out if self._keep else None
        return out if self._echo.show_all(response) else jsontext.dumps(response)

    def _carry_all(self, records: list[Record], *, cut: bool = False) -> bytes:
        out = []
        for data, event in records:
            self.records += 1
            try:
                out.append(
                    self._carry(data, event)
                    if self._most is None
                    else self._carry_limited(self._most, data, event)
                )
            except JSONError as error:
                if not cut:
                    self._fail(self._malformed(f"sent a record that cannot be read ({error})"))
            if self.outcome is not None:
                break
        return out[0] if len(out) == 1 else b"".join(out)

    def _carry(self, data: bytes, event: bytes) -> bytes:
        try:
            passing = wire.read_passing(data)
        except JSONError:
            return self._carry_odd(data, event)
        kind = passing.type
        if (
            passing.sequence_number == self._next
            and kind is not None
            and kind not in self._opened
            and self._begun
            and passing.error is None
            and is_plain(data)
        ):
            self._next += 1
            return b"%b%b\n\n" % (HEADS.get(kind) or head(kind), data)
        return self._open(kind or event.decode("ascii", "replace"), data)

    def _carry_limited(self, most: OutputLimit, data: bytes, event: bytes) -> bytes:
        """A record, or what becomes of it where the answer is cut; the end with the last one of an answer that is."""
        out = b"".join([self._carry(*record) for record in most.take(data, event)])
        if not most.met:
            return out
        why = {"reason": "max_output_tokens"}
        response = {**self._response, "incomplete_details": why, "output": []}
        return out + self._end(wire.INCOMPLETE, {"type": wire.INCOMPLETE, "response": response})

    def _carry_odd(self, data: bytes, event: bytes) -> bytes:
        """A record that is not of the shape that each has: nothing, the end of other APIs' streams, or odd in a field."""
        if not data.strip() or data.startswith(b"[DONE]"):
            return b""
        kind = wire.read_object(data).get("type")
        return self._open(kind if isinstance(kind, str) else event.decode("ascii", "replace"), data)

    def _open(self, kind: str, data: bytes) -> bytes:
        """A record that a rule may touch."""
        record = wire.read_object(data)
        if kind in wire.ERRORS or kind in wire.FAILURES or record.get("error"):
            return self._fail(told_failure(self._title, kind, record, self._created))
        if not kind:
            return b""  # nobody could tell what it is
        if kind == wire.ITEM_DONE:
            self._size += len(data)
            if self._size > WHOLE_ANSWER_LIMIT:
                return self._fail(too_long(self._title, WHOLE_ANSWER_LIMIT))
        changed = not is_plain(data) or record.get("type") != kind
        record["type"] = kind
        if kind in (wire.COMPLETED, wire.INCOMPLETE):
            return self._end(kind, record)
        changed |= self._settle(kind, record)
        changed |= self._number(kind, record)
        out = b"%b%b\n\n" % (head(kind), jsontext.dumps(record) if changed else data)
        return self._begin(kind, out)

    def _begin(self, kind: str, out: bytes) -> bytes:
        """*out* now, after what was held back for it; or nothing, where it is an announcement itself."""
        if self._begun:
            return out
        self._held.append(out)
        announces = kind in wire.BEGINNINGS or not kind.startswith(_OWN)
        return b"" if announces and len(self._held) < _MOST_HELD else self._release()

    def _release(self) -> bytes:
        self._begun = True
        held, self._held = self._held, []
        return b"".join(held)

    def _number(self, kind: str, record: dict[str, Any]) -> bool:
        """Give *record* its number, if it is to have one; whether that changed it."""
        number = record.get("sequence_number")
        if number is None and not kind.startswith(_OWN):
            return False
        record["sequence_number"] = expected = self._next
        self._next += 1
        return type(number) is not int or number != expected

    def _settle(self, kind: str, record: dict[str, Any]) -> bool:
        """Put what *record* holds in order, and remember what the end needs; whether that changed it."""
        if kind in wire.BEGINNINGS and isinstance(response := record.get("response"), dict):
            self._created = bounded(response.get("created_at"), LATEST) or self._created
            self._response = response
            return self._echo.settle(response)
        item = record.get("item")
        if kind == wire.ITEM_DONE:
            changed = self._echo.name(item)
            index = record.get("output_index")
            self._items[index if isinstance(index, int) else len(self._items)] = item
            record["item"] = shown = self._echo.shown(item)
            return changed or shown is not item
        if kind == wire.ITEM_ADDED:
            record["item"] = shown = self._echo.shown(item)
            return self._echo.name(shown) or shown is not item
        name = record.get("name")
        if kind in _NAMING and isinstance(name, str) and name in self._echo.names:
            record["name"] = self._echo.names[name]
            return True
        return False

    def _end(self, kind: str, record: dict[str, Any]) -> bytes:
        """The last record, which has the answer whole."""
        response = record.get("response")
        if not isinstance(response, dict):
            return self._fail(self._malformed("ended its answer without saying what it is"))
        if not response.get("output"):
            response["output"] = [self._items[index] for index in sorted(self._items)]
        if kind == wire.COMPLETED and not response["output"] and not self._begun:
            return self._fail(self._empty())
        response["status"] = kind.removeprefix(_OWN)
        self._settle_end(response)
        self._number(kind, record)
        if self._keep:
            self.answer = jsontext.dumps(response)
        self._echo.show_all(response)
        return self._release() + b"%b%b\n\n" % (head(kind), jsontext.dumps(record))

    def _settle_end(self, response: dict[str, Any]) -> None:
        self._echo.settle(response)
        settle_usage(response)
        self.usage = wire.read_usage(response.get("usage"))
        reason: FinishReason = "stop"
        if response.get("status") == "incomplete":
            reason = wire.why_cut_short(response.get("incomplete_details"))
        elif any(isinstance(i, dict) and i.get("type") in CALL_KINDS for i in response["output"]):
            reason = "tool_calls"
        self.outcome = Finished((reason,), cut=self._most is not None and self._most.met)

    def _fail(self, refusal: Refusal) -> bytes:
        self.outcome = Failed(refusal)
        return b""

    def _malformed(self, fault: str) -> Refusal:
        return Refusal(Kind.UPSTREAM_FAILED, f"{self._title} {fault}. Ask again.", code="upstream_malformed")

    def _empty(self) -> Refusal:
        message = f"{self._title} completed its answer without saying anything. Ask again."
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_empty")
