"""The event stream of Qwen's web chat into events (spec upstreams.md, A1.4).

Each frame belongs to a phase. Those of the answer and of the thinking are told; search results become citations; all
others, also those that nobody knows yet, are passed over. Only the finish of the phase ``answer`` is the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from chatmock.durations import LATEST
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import Annotation, Content, Event, Failed, Finished, Opened, TextDelta, Usage
from chatmock.framing import Record as Framed
from chatmock.framing import RecordTooLarge, SSEParser
from chatmock.jsontext import JSONError
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.errors import failure, read_refusal
from chatmock.providers.qwen.records import (
    Delta,
    Record,
    has_counts,
    read_object,
    read_record,
    read_usage,
    summary_entries,
    web_pages,
)
from chatmock.providers.qwen.thinking import ThinkingParts

_BEFORE_THE_FIRST = b"\xef\xbb\xbf \t\r\n"
_BODY_STARTS = b"{[<"
"""How JSON and pages begin, and no line of an event stream."""


class QwenDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` of Qwen's web chat.

    ``Opened`` is held back until there is content: an upstream that fails first gives ``Failed`` alone, which can still
    become an HTTP status. Citations are held back until the answer's text begins, since the model searches while it thinks.

    :param title: the upstream's name for messages.
    :param record_limit: the most bytes of one record.
    """

    __slots__ = (
        "_answering",
        "_begun",
        "_cited",
        "_counts",
        "_created",
        "_ended",
        "_is_body",
        "_limit",
        "_opened",
        "_parser",
        "_start",
        "_thinking",
        "_title",
        "_waiting",
        "finished",
        "records",
        "response_id",
    )

    def __init__(self, title: str, record_limit: int) -> None:
        self._title = title
        self._limit = record_limit
        self._parser = SSEParser(record_limit)
        self._thinking = ThinkingParts()
        self._start = bytearray()
        self._begun = False
        self._is_body = False
        self._created = 0
        self._opened = False
        self._answering = False
        self._ended = False
        self._counts = b"null"
        """The last frame's that has some, as they came: nearly all are replaced by the next frame's and never asked for."""
        self._cited: set[str] = set()
        self._waiting: list[Annotation] = []
        self.finished = False
        """Whether the site has said that it is done: its chat is free then."""
        self.records = 0
        """The records read so far; keep-alives are none."""
        self.response_id = ""
        """What the next turn names as its parent, and what is stopped by name; empty until it is told."""

    @property
    def usage(self) -> Usage | None:
        """The token counts so far."""
        return read_usage(self._counts)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, cut anywhere."""
        events: list[Event] = []
        if self._ended:
            return events
        try:
            self._read_all(self._parser.feed(data if self._begun else self._after_start(data)), events)
        except RecordTooLarge as error:
            message = f"{self._title} sent too much at once: {error}."
            self._fail(events, Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit"))
        except JSONError as error:
            message = f"{self._title} sent a record that cannot be read ({error}). Ask again."
            self._fail(events, Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_malformed"))
        return events

    def close(self) -> list[Event]:
        """End of input. A last record that is cut short counts as truncation."""
        events: list[Event] = []
        if self._ended:
            return events
        if self._is_body:
            self._fail(events, read_refusal(200, {}, bytes(self._start)))
            return events
        with contextlib.suppress(JSONError, RecordTooLarge):  # a record that was cut short
            self._read_all(self._parser.close(), events)
        if not self._ended:
            self._fail(events, truncated(self._title))
        return events

    def _after_start(self, data: bytes) -> bytes:
        """The stream so far once it is seen to be one; nothing while it may be, or is, a body of another kind.

        :raises RecordTooLarge: when that is longer than a record may be.
        """
        self._start += data
        if not self._is_body:
            first = self._start.lstrip(_BEFORE_THE_FIRST)[:1]
            if first and first not in _BODY_STARTS:
                self._begun = True
                data, self._start = bytes(self._start), bytearray()
                return data
            self._is_body = bool(first)
        if len(self._start) > self._limit:
            raise RecordTooLarge(f"an answer that is no event stream is longer than {self._limit} bytes")
        return b""

    def _read_all(self, records: list[Framed], events: list[Event]) -> None:
        for data, _ in records:
            record = read_record(data)
            if record is not None:
                self.records += record.info is None
                self._read(record, data, events)
            if self._ended:
                return

    def _read(self, record: Record, data: bytes, events: list[Event]) -> None:
        if not self.response_id:
            self.response_id = record.answers_id
        if record.failed:
            self._fail(events, failure(read_object(data)))
            return
        if has_counts(record.usage):
            self._counts = bytes(record.usage)
        at = record.timestamp
        if not self._created and isinstance(at, int) and 0 < at < LATEST:
            self._created = at
        for choice in record.choices or ():
            if choice.delta is not None and not self._ended:
                self._read_delta(choice.delta, events)
        if record.ended_early and not self._ended:
            self._fail(events, truncated(self._title))

    def _read_delta(self, delta: Delta, events: list[Event]) -> None:
        if delta.status == contract.FAILED:
            error = delta.extra.get("error") if isinstance(delta.extra, Mapping) else None
            self._fail(events, failure(error if isinstance(error, Mapping | str) else {}))
            return
        if delta.extra and delta.phase in contract.SOURCE_PHASES:
            self._cite(delta, events)
        if delta.role == contract.FUNCTION_ROLE:
            return
        finished = delta.status == contract.FINISHED
        if delta.phase == contract.ANSWER:
            if text := _text(delta):
                self._answer(text, events)
            if finished:
                self._finish(events)
        elif delta.phase == contract.THINK:
            if text := _text(delta):
                self._say(self._thinking.text(text), events)
            if finished:
                self._thinking.close_text()
        elif delta.phase == contract.SUMMARY:
            for said in self._thinking.summary(summary_entries(delta.extra)):
                self._say(said, events)
            if finished:
                self._thinking.close_summary()

    def _answer(self, text: str, events: list[Event]) -> None:
        self._say(TextDelta(text), events)
        if not self._answering:
            self._answering = True
            events += self._waiting

    def _cite(self, delta: Delta, events: list[Event]) -> None:
        """Where in the answer a page is cited is not told: the text has ``[[37]]``, in any form the model likes."""
        for url, title in web_pages(delta.extra):
            if url in self._cited:
                continue
            self._cited.add(url)
            citation = {"url": url, "title": title, "start_index": 0, "end_index": 0}
            annotation = Annotation({"type": "url_citation", "url_citation": citation})
            (events if self._answering else self._waiting).append(annotation)

    def _say(self, said: Content, events: list[Event]) -> None:
        if not self._opened:
            self._opened = True
            events.append(Opened(self.response_id, self._created))
        events.append(said)

    def _finish(self, events: list[Event]) -> None:
        self.finished = True
        if not self._opened:
            message = f"{self._title} completed its answer without saying anything. Ask again."
            self._fail(events, Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_empty"))
            return
        if not self._answering:
            events += self._waiting
        if (usage := self.usage) is not None:
            events.append(usage)
        events.append(Finished(("stop",)))
        self._ended = True

    def _fail(self, events: list[Event], refusal: Refusal) -> None:
        self._ended = True
        events.append(Failed(refusal))


def _text(delta: Delta) -> str:
    """The text of a frame of a phase that has text.

    :raises JSONError: when it is something else, which must not be lost in silence.
    """
    content = delta.content
    if content is None:
        return ""
    if not isinstance(content, str):
        raise JSONError(f"the content of the phase `{delta.phase}` is no text")
    return content
