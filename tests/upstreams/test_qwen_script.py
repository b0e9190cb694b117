"""The streams that the fake chat.qwen.ai plays have the peculiarities of the real ones."""

from __future__ import annotations

import json
from typing import Any

from chatmock.framing import SSEParser
from tests.upstreams.qwen_script import Ids, Script

IDS = Ids("chat-1", None, "response-1")


def records(script: Script, phased: bool = True) -> list[dict[str, Any]]:
    parser = SSEParser()
    found = [record for piece in script.pieces(IDS, phased) for record in parser.feed(piece)]
    return [json.loads(record.data) for record in found]


def deltas(script: Script) -> list[dict[str, Any]]:
    return [record["choices"][0]["delta"] for record in records(script) if "choices" in record]


def test_the_first_record_has_a_blank_at_its_end() -> None:
    first, second, *_ = Script().answer("Xin").finish().pieces(IDS)
    assert first == (
        b'data: {"response.created": {"chat_id": "chat-1", "parent_id": "", "response_id": "response-1", '
        b'"response_index": "0"}} \n\n'
    )
    assert second.startswith(b'data: {"choices": [{"delta": {"role": "assistant", "content": "Xin", ')
    assert second.endswith(b"}\n\n")


def test_an_answer_ends_with_empty_frames_and_without_usage() -> None:
    script = Script().answer("a", "b").finish(empties=2)
    assert script.said == "ab"
    told = records(script)[1:]
    assert [record["choices"][0]["delta"]["content"] for record in told] == ["a", "b", "", "", "", ""]
    assert [record.get("usage", {}).get("output_tokens") for record in told] == [1, 2, 3, 4, None, None]
    assert "usage" not in told[-1]
    assert told[-1]["choices"][0]["delta"]["status"] == "finished"
    assert told[-1]["response_id"] == "response-1"


def test_thinking_is_summed_up_in_repeated_snapshots() -> None:
    told = deltas(Script().summary(("Plan", "Look at it"), ("Check", "Yes")))
    thoughts = [delta["extra"]["summary_thought"]["content"] for delta in told]
    assert thoughts == [
        ["Look"],
        ["Look"],
        ["Look at"],
        ["Look at"],
        ["Look at it"],
        ["Look at it"],
        ["Look at it", "Yes"],
        ["Look at it", "Yes"],
        ["Look at it", "Yes"],
    ]
    assert told[-1]["extra"]["summary_title"]["content"] == ["Plan", "Check"]
    assert [delta["status"] for delta in told] == ["typing"] * 8 + ["finished"]
    assert {(delta["content"], delta["phase"]) for delta in told} == {("", "thinking_summary")}


def test_thinking_in_deltas_and_a_search() -> None:
    told = deltas(Script().think("a", "b").web_search("tea", ("Tea", "https://tea.example/x")))
    assert [(d["phase"], d["content"], d["status"]) for d in told[:3]] == [
        ("think", "a", "typing"),
        ("think", "b", "typing"),
        ("think", "", "finished"),
    ]
    begun, called, found = told[3:]
    assert called["function_call"]["arguments"].startswith(begun["function_call"]["arguments"])
    assert json.loads(called["function_call"]["arguments"]) == {"queries": ["tea"]}
    assert (found["role"], found["name"], found["status"]) == ("function", "web_search", "finished")
    assert found["extra"]["web_search_info"][0]["url"] == "https://tea.example/x"


def test_signs_of_life_and_other_records() -> None:
    told = records(
        Script().keep_alive().skip_think().record(b": comment\n\n").delta("KeepAlive", "x").stopped()
    )
    assert [record["response.info"]["action"] for record in told[1:3]] == ["keep_alive", "skip_think"]
    assert told[2]["response.info"]["chat_id"] == "chat-1"
    assert told[3]["choices"][0]["delta"]["phase"] == "KeepAlive"
    assert told[4] == {"response.stopped": {"chat_id": "chat-1", "response_id": "response-1"}}


def test_usage_is_cumulative() -> None:
    script = (
        Script().tokens(1000, cached=512).think("a").web_search("q", ("T", "https://t.example/")).answer("b")
    )
    told = [record["usage"] for record in records(script) if record.get("usage")]
    assert [usage["input_tokens"] for usage in told] == [1000, 1100, 1100, 1100]
    assert told[-1]["total_tokens"] == 1100 + told[-1]["output_tokens"]
    assert told[-1]["prompt_tokens_details"] == {"cached_tokens": 512}
    assert told[-1]["output_tokens_details"]["reasoning_tokens"] == 1
