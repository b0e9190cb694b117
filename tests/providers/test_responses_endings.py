"""Streams of the Responses API into events: how they end, and what is wrong with those that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.errors import Kind
from chatmock.events import (
    Event,
    Failed,
    Finished,
    TextDelta,
    Usage,
)
from tests.providers.responses_events import (
    OPENED,
    STOP,
    USED,
    Script,
    added,
    arguments,
    call,
    created,
    decode,
    done,
    ended,
    frame,
    message,
    play,
    put_together,
    refused,
    text,
)


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "other"}, "stop"),
        ({"reason": ["other"]}, "stop"),
        (None, "stop"),
    ],
)
@pytest.mark.parametrize("said", [[], [text("a")], [added(0, **call(0)), arguments('{"a', 0)]])
def test_incomplete(details: Any, reason: str, said: Script) -> None:
    events = play([created(), *said, ended("incomplete", incomplete_details=details)])
    assert events[0] == OPENED
    assert events[-2:] == [USED, Finished((reason,))]


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (None, []),
        ({"input_tokens": 1}, []),
        ({"input_tokens": 1, "output_tokens": 2}, [Usage(1, 2)]),
        ({"input_tokens": 1, "output_tokens": 2, "input_tokens_details": None}, [Usage(1, 2)]),
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}},
            [Usage(1, 2, None, 0)],
        ),
    ],
)
def test_usage(usage: Any, wanted: list[Event]) -> None:
    assert play([created(), text("a"), ended(usage=usage)])[2:-1] == wanted


@pytest.mark.parametrize("said", [[], [added(0, type="reasoning"), done(0, **message(""))]])
def test_a_complete_answer_without_content(said: Script) -> None:
    refusal = refused(play([created(), *said, ended()]))
    assert (refusal.kind, refusal.code, refusal.retryable) == (Kind.UPSTREAM_FAILED, "upstream_empty", False)


FAULT = {"code": "rate_limit_exceeded", "message": "Slow down"}


@pytest.mark.parametrize(
    "ends",
    [
        [ended("failed", error=FAULT)],
        [{"type": "error", "error": FAULT}],
        [{"type": "error", **FAULT}],
        [{"type": "response.error", "error": FAULT}],
        [{"type": "error", "error": FAULT}, ended("failed", error={"code": "server_error", "message": "?"})],
        [ended("cancelled", error=FAULT)],
    ],
)
def test_failure_before_and_after_output(ends: Script) -> None:
    refusal = refused(play([created(), added(0, type="message"), *ends]))
    assert (refusal.kind, refusal.retryable) == (Kind.RATE_LIMITED, True)
    assert "Slow down" in refusal.message
    events = play([created(), text("a"), *ends, text("b"), ended()])
    assert events[:2] == [OPENED, TextDelta("a")]
    assert [type(event) for event in events[2:]] == [Failed]


def test_cancelled() -> None:
    assert refused(play([created(), ended("cancelled", error=None)])).code == "upstream_cancelled"
    assert refused(play([created(), {"type": "response.failed"}])).kind is Kind.UPSTREAM_FAILED


def test_an_error_without_a_type() -> None:
    body = json.dumps({"code": "x", "error": "The service is currently unavailable"}).encode()
    assert refused(decode([b"data: " + body + b"\n\n"])).kind is Kind.OVERLOADED


@pytest.mark.parametrize("cut", [0, 20, -3])
def test_end_of_input_without_an_end(cut: int) -> None:
    stream = frame(created()) + frame(text("a"))
    last = frame(ended())
    events = decode([stream + last[:cut]])
    assert events[:2] == [OPENED, TextDelta("a")]
    assert put_together(events).failed == "upstream_truncated"


def test_the_last_blank_line_may_be_missing() -> None:
    assert decode([frame(text("a")), frame(ended())[:-2]])[-1] == Finished(("stop",))


def test_nothing_after_the_end() -> None:
    script = [created(), text("a"), ended(), text("b"), ended("failed", error=FAULT), created(id="resp_2")]
    assert play(script) == [OPENED, TextDelta("a"), *STOP]
    assert decode([b"".join(map(frame, script))]) == [OPENED, TextDelta("a"), *STOP]
