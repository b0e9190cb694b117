"""The seals of thinking in a Responses stream."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.answer import Answer
from chatmock.events import Failed, ReasoningDelta, ReasoningSeal, TextDelta
from tests.providers.responses_events import (
    OPENED,
    STOP,
    created,
    done,
    ended,
    message,
    play,
    refused,
    summary,
    text,
)


def thought(at: int, value: str | None = "seal", *parts: str, **more: Any) -> dict[str, Any]:
    summed = [{"type": "summary_text", "text": part} for part in parts]
    return done(at, type="reasoning", summary=summed, encrypted_content=value, **more)


def test_a_seal_comes_after_its_thinking() -> None:
    events = play([created(), summary("Hm", 0), thought(0, "seal", "Hm."), text("Hi", 1), ended()])
    assert events == [
        OPENED,
        ReasoningDelta("Hm", "summary", 0),
        ReasoningDelta(".", "summary", 0),
        ReasoningSeal("seal", "item_0"),
        TextDelta("Hi"),
        *STOP,
    ]


def test_it_is_told_once() -> None:
    output = [thought(0)["item"], {**message("Hi"), "id": "item_1"}]
    events = play([created(), thought(0), done(1, **message("Hi")), ended(output=output)])
    assert events == [OPENED, ReasoningSeal("seal", "item_0"), TextDelta("Hi"), *STOP]


def test_one_that_only_the_end_tells() -> None:
    events = play([created(), text("Hi", 1), ended(output=[thought(0)["item"]])])
    assert ReasoningSeal("seal", "item_0") in events


@pytest.mark.parametrize("value", [None, ""])
def test_thinking_without_one(value: str | None) -> None:
    events = play([created(), thought(0, value, "Hm"), text("Hi", 1), ended()])
    assert not any(isinstance(event, ReasoningSeal) for event in events)


def test_a_seal_alone_says_nothing() -> None:
    error = {"type": "error", "error": {"code": "server_error", "message": "boom"}}
    assert refused(play([created(), thought(0), error])).code == "server_error"
    assert refused(play([created(), thought(0), ended()])).code == "upstream_empty"
    assert refused(play([created(), thought(0)])).code == "upstream_truncated"
    cut = play([created(), thought(0), ended("incomplete")])
    assert cut[:2] == [OPENED, ReasoningSeal("seal", "item_0")]
    assert not isinstance(cut[-1], Failed)


def test_a_whole_answer_keeps_it_with_its_thinking() -> None:
    script = [created(), thought(0, "one", "First."), thought(1, "two"), text("Hi", 2), ended()]
    answer = Answer()
    answer.fold(play(script))
    blocks = [
        (block.kind, "".join(block.pieces), block.seal and block.seal.value)
        for block in answer.choice(0).blocks
    ]
    assert blocks == [("thinking", "First.", "one"), ("thinking", "", "two"), ("text", "Hi", None)]
