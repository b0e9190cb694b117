"""The event stream of OpenAI's Responses API into events, as ChatGPT, OpenAI, xAI and others send it.

Spec: chatgpt.md 3.1 to 3.4, upstreams.md D3. Which events there are is told in
:mod:`~chatmock.providers.responses_records`, what content they add in :mod:`~chatmock.providers.responses_content`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chatmock.durations import LATEST, bounded
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import (
    Content,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    ReasoningSeal,
    Usage,
)
from chatmock.framing import Record, RecordTooLarge, SSEParser
from chatmock.jsontext import JSONError
from chatmock.providers import responses_records as wire
from chatmock.providers.responses_content import StreamedContent
from chatmock.providers.responses_errors import told_failure
from chatmock.providers.responses_records import Delta, FullRecord, ResponseObject

_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})


class ResponsesDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` of the Responses wire.

    ``Opened`` is held back until there is content or a finish: an upstream that fails first gives ``Failed`` alone,
    which can still become an HTTP status. The seal of thinking that is not shown says nothing, and waits as well.

    :param title: the upstream's name for messages.
    :param record_limit: the most bytes of one record.
    :param names: names of tools as sent upstream, to those of the client.
    """

    __slots__ = (
        "_content",
        "_ended",
        "_opened",
        "_opening",
        "_parser",
        "_seals",
        "_title",
        "records",
        "usage",
    )

    def __init__(
        self,
        title: str,
        record_limit: int,
        names: Mapping[str, str] = _NO_NAMES,
    ) -> None:
        self._title = title
        self._parser = SSEParser(record_limit)
        self._content = StreamedContent(names)
        self._opening = Opened()
        self._opened = False
        self._seals: list[Content] = []
        self._ended = False
        self.records = 0
        """How many records of the stream have been read."""
        self.usage: Usage | None = None
        """The token counts, which come with the end alone."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, cut anywhere."""
        events: list[Event] = []
        if self._ended:
            return events
        try:
            records = self._parser.feed(data)
        except RecordTooLarge as error:
            message = f"{self._title} sent too much at once: {error}."
            self._fail(events, Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit"))
            return events
        try:
            self._read_all(records, events)
        except JSONError as error:
            self._fail(events, self._malformed(f"sent a record that cannot be read ({error})"))
        return events

    def close(self) -> list[Event]:
        """End of input. A last record that is cut short counts as truncation."""
        events: list[Event] = []
        if self._ended:
            return events
        with contextlib.suppress(JSONError):  # a record that was cut short
            self._read_all(self._parser.close(), events)
        if not self._ended:
            self._fail(events, truncated(self._title))
        return events

    def _read_all(self, records: list[Record], events: list[Event]) -> None:
        for data, event in records:
            self.records += 1
            self._read(data, event, events)
            if self._ended:
                return

    def _read(self, data: bytes, event: bytes, events: list[Event]) -> None:
        record: Delta | None
        try:
            record = wire.read_delta(data)
        except JSONError:
            record = wire.reread(data, event.decode("ascii", "replace"))
            if record is None:
                return
        kind = record.type or event.decode("ascii", "replace")
        channel = wire.DELTAS.get(kind)
        if channel is None:
            self._read_full(kind, data, events)
        elif record.delta:
            said = self._content.delta(channel, record, record.delta)
            if said is not None:
                if not self._opened:
                    self._open(events)
                events.append(said)

    def _read_full(self, kind: str, data: bytes, events: list[Event]) -> None:
        """A record that is no delta."""
        if kind in wire.ERRORS or kind in wire.FAILURES or not kind:
            self._read_failure(kind, data, events)
        elif kind in wire.KNOWN:
            record = wire.read_full(data)
            response = record.response or ResponseObject()
            self._name(response)
            if kind == wire.COMPLETED:
                self._complete(response, events)
            elif kind == wire.INCOMPLETE:
                self._cut_short(response, events)
            else:
                self._say(self._content_of(kind, record), events)

    def _content_of(self, kind: str, record: FullRecord) -> list[Content]:
        content = self._content
        if kind in (wire.ITEM_ADDED, wire.ITEM_DONE) and record.item is not None:
            return content.item(record, record.item, done=kind == wire.ITEM_DONE)
        if kind in wire.PART_DONE and record.part is not None:
            return content.whole_part(record, record.part)
        if kind == wire.ANNOTATION_ADDED and record.annotation is not None:
            return content.citation(record, record.annotation)
        channel = wire.WHOLES.get(kind)
        if channel == "arguments":
            return content.whole_arguments(record, record.arguments or record.input or "", record.name)
        if channel is not None:
            whole = record.refusal if channel == "refusal" else record.text
            return content.whole_text(channel, record, whole or "")
        return []

    def _read_failure(self, kind: str, data: bytes, events: list[Event]) -> None:
        """What ends the answer before it is complete; a record without a type may do so all the same."""
        record = wire.read_object(data)
        if kind or record.get("error"):
            self._fail(events, told_failure(self._title, kind, record, self._opening.created or None))

    def _complete(self, response: ResponseObject, events: list[Event]) -> None:
        self._say(self._content.output(response.output or ()), events)
        if self._content.nameless:
            self._fail(events, self._malformed("called a tool without naming it"))
        elif not self._opened:
            message = f"{self._title} completed its answer without saying anything. Ask again."
            self._fail(events, Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_empty"))
        else:
            self._finish(response, "tool_calls" if self._content.calls else "stop", events)

    def _cut_short(self, response: ResponseObject, events: list[Event]) -> None:
        self._say(self._content.output(response.output or ()), events)
        self._finish(response, wire.why_cut_short(response.incomplete_details), events)

    def _finish(self, response: ResponseObject, reason: FinishReason, events: list[Event]) -> None:
        self._say([], events, open=True)
        self.usage = wire.read_usage(response.usage)
        if self.usage is not None:
            events.append(self.usage)
        events.append(Finished((reason,)))
        self._ended = True

    def _name(self, response: ResponseObject) -> None:
        """Keep what *response* says of the answer, for its opening."""
        if response.id and not self._opened:
            known = self._opening
            created = int(bounded(response.created_at, LATEST) or known.created)
            self._opening = Opened(response.id, created, response.model or known.model)

    def _say(self, said: list[Content], events: list[Event], *, open: bool = False) -> None:
        if not self._opened:
            if not open and all(isinstance(each, ReasoningSeal) for each in said):
                self._seals += said
                return
            self._open(events)
        events += said

    def _open(self, events: list[Event]) -> None:
        self._opened = True
        events.append(self._opening)
        events += self._seals

    def _fail(self, events: list[Event], refusal: Refusal) -> None:
        self._ended = True
        events.append(Failed(refusal))

    def _malformed(self, fault: str) -> Refusal:
        return Refusal(Kind.UPSTREAM_FAILED, f"{self._title} {fault}. Ask again.", code="upstream_malformed")
