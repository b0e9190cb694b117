"""A decoder that remembers what it gave: for upstreams that have to be told later what they said."""

from __future__ import annotations

from collections.abc import Sequence

from chatmock.answer import CompleteCall
from chatmock.events import Event, TextDelta, ToolCallDelta, Usage
from chatmock.providers.interface import StreamDecoder


class RecordingDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` around another one's single answer."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self._text: list[str] = []
        self.calls: list[CompleteCall] = []
        """The tool calls so far."""

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

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
        return self._record(self._decoder.feed(data))

    def close(self) -> Sequence[Event]:
        """End of input."""
        return self._record(self._decoder.close())

    def _record(self, events: Sequence[Event]) -> Sequence[Event]:
        for event in events:
            match event:
                case TextDelta(text):
                    self._text.append(text)
                case ToolCallDelta():
                    if event.id:
                        self.calls.append(CompleteCall(event.id, event.name))
                    self.calls[event.index].arguments.append(event.arguments)
                case _:
                    continue
        return events
