"""Reads what the Anthropic dialect has written, with the types of Anthropic's own SDK, strictly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects import Anthropic
from chatmock.events import Event, EventOrder, Finished, Opened

IDENTITY = Identity("0123456789abcdef01234567", 1_700_000_000)
_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def asked(**fields: Any) -> ChatRequest:
    """A parsed request."""
    body = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return Anthropic().parse(json.dumps(body).encode())


def streamed(events: Iterable[Event], chat: ChatRequest | None = None) -> bytes:
    """The stream of *events*, which must be in order."""
    events = list(events)
    EventOrder().check(events)
    encoder = Anthropic().encoder(chat or asked(), IDENTITY)
    return b"".join(encoder.encode([event]) for event in events)


def whole(events: Iterable[Event], chat: ChatRequest | None = None) -> Message:
    """The whole answer of *events*."""
    answer = Answer()
    answer.fold(events)
    message = Message.model_validate_json(
        Anthropic().complete(chat or asked(), IDENTITY, answer), strict=True
    )
    valid(message)
    return message


def records(data: bytes) -> list[Any]:
    """The records of a stream: each is named by its type, and known to the SDK but for pings and errors."""
    found = []
    for block in data.decode().removesuffix("\n\n").split("\n\n"):
        name, line = block.split("\n")
        text = line.removeprefix("data: ")
        record = json.loads(text)
        assert name == f"event: {record['type']}"
        if record["type"] not in ("ping", "error"):
            valid(_EVENTS.validate_json(text, strict=True))
        found.append(record)
    return found


def folded(data: bytes) -> Message:
    """A stream put together by the SDK."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for record in records(data):
        if record["type"] != "ping":
            snapshot = accumulate_event(
                event=_EVENTS.validate_python(record), current_snapshot=snapshot, json_bufs=buffers
            )
    return Message.model_validate(snapshot.model_dump())


def valid(model: Any) -> None:
    """Fails where *model* has a field that the SDK does not know."""
    for each in _models(model):
        assert not each.model_extra, each


def _models(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _models(each)


def answered(
    *content: Event, reason: Any = "stop", more: Sequence[Event] = (), stop: str | None = None
) -> list[Event]:
    """A complete answer of *content*."""
    return [Opened("chatcmpl-1", 1, "m"), *content, *more, Finished((reason,), stop=stop)]
