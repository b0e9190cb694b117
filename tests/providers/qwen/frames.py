"""Builders of the records of Qwen's web chat, after the samples of the spec, and what a decoder makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chatmock.events import Event, EventOrder, Failed, Finished, Opened, ReasoningDelta, TextDelta, Usage
from chatmock.providers.qwen.decoder import QwenDecoder

LIMIT = 1 << 20
CHAT = "004c84c5-0000-4000-8000-000000000001"
ANSWER = "90fd8ab0-0000-4000-8000-000000000002"
AT = 1_790_356_348
USAGE = {
    "input_tokens": 1047,
    "output_tokens": 9,
    "characters": 0,
    "total_tokens": 1056,
    "input_tokens_details": {"text_tokens": 1047},
    "output_tokens_details": {"text_tokens": 5, "reasoning_tokens": 4},
    "prompt_tokens_details": {"cached_tokens": 512},
}
USED = Usage(1047, 9, cached_tokens=512, reasoning_tokens=4)
OPENED = Opened(ANSWER, AT)
STOP = Finished(("stop",))

Script = list[dict[str, Any]]


def created() -> dict[str, Any]:
    names = {"chat_id": CHAT, "parent_id": "6d61", "response_id": ANSWER, "response_index": "0"}
    return {"response.created": names}


def alive(action: str = "keep_alive") -> dict[str, Any]:
    return {
        "response.info": {"action": action, "chat_id": CHAT, "response_id": ANSWER, "timestamp": AT},
    }


def frame(phase: str, content: Any = "", status: str = "typing", **more: Any) -> dict[str, Any]:
    """A frame of *phase*; ``extra`` and ``role`` go into its delta, all else beside it."""
    delta = {"role": "assistant", "content": content, "phase": phase, "status": status}
    delta |= {key: more.pop(key) for key in ("extra", "role", "function_call") if key in more}
    return {"choices": [{"delta": delta}], "response_id": ANSWER, "timestamp": AT, **more}


def answer(text: str, **more: Any) -> dict[str, Any]:
    return frame("answer", text, usage=USAGE, **more)


def finish(phase: str = "answer") -> dict[str, Any]:
    """The last frame of a phase, without usage."""
    return frame(phase, status="finished")


def summary(*parts: tuple[str, str], status: str = "typing") -> dict[str, Any]:
    """A snapshot of titles and thoughts."""
    extra = {
        "summary_title": {"content": [title for title, _ in parts]},
        "summary_thought": {"content": [thought for _, thought in parts]},
    }
    return frame("thinking_summary", status=status, extra=extra)


def searched(*pages: tuple[str, str], status: str = "finished") -> dict[str, Any]:
    """What the site's own search found."""
    found = [{"url": url, "title": title, "snippet": "…", "hostname": "h"} for url, title in pages]
    return frame(
        "web_search", status=status, role="function", name="web_search", extra={"web_search_info": found}
    )


def citation(url: str, title: str) -> dict[str, Any]:
    value = {"url": url, "title": title, "start_index": 0, "end_index": 0}
    return {"type": "url_citation", "url_citation": value}


def written(script: Iterable[dict[str, Any]]) -> bytes:
    """The records as the site writes them, the first with a space at its end."""
    records = [b"data: " + json.dumps(record, ensure_ascii=False).encode() for record in script]
    return b"".join(
        record + (b" \n\n" if position == 0 else b"\n\n") for position, record in enumerate(records)
    )


def decode(pieces: Iterable[bytes], decoder: QwenDecoder | None = None) -> list[Event]:
    """All events, in an order that was checked, up to an end that was checked too."""
    decoder = decoder or QwenDecoder("Upstream", LIMIT)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.close()
    order = EventOrder()
    order.check(events)
    assert order.ended
    assert decoder.feed(written([answer("more")])) == []
    assert decoder.close() == []
    return events


def play(*script: dict[str, Any]) -> list[Event]:
    return decode([written(script)])


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thoughts_of(events: Iterable[Event]) -> list[tuple[str, str]]:
    """Kind and text of each part of the thinking."""
    parts: dict[int, tuple[str, str]] = {}
    for event in events:
        if isinstance(event, ReasoningDelta):
            kind, text = parts.get(event.part, (event.kind, ""))
            assert kind == event.kind
            parts[event.part] = (kind, text + event.text)
    return list(parts.values())


def refused(events: list[Event]) -> Any:
    """The refusal of a stream that gave nothing else."""
    assert [type(event) for event in events] == [Failed]
    return events[0].refusal
