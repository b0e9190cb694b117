"""The output limit of Responses clients: where an answer is cut, and that what comes out is an answer all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.events import Failed, Finished
from tests.providers.responses_events import (
    added,
    arguments,
    call,
    citation,
    created,
    delta,
    done,
    ended,
    frame,
    message,
    text,
)
from tests.providers.test_responses_passage import carry, numbered, passage, play

CUT = Finished(("length",), cut=True)
PART = {"item_id": "item_0", "output_index": 0, "content_index": 0}
OPENED: list[dict[str, Any]] = [
    created(),
    added(0, type="message", role="assistant", status="in_progress", content=[]),
    {"type": "response.content_part.added", **PART, "part": {"type": "output_text", "text": "", "annotations": []}},
]  # fmt: skip


def run(*script: dict[str, Any], max_tokens: int = 2, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    values, carrying = play(numbered(*script), max_tokens=max_tokens, **options)
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    return values, carrying


def test_the_text_ends_where_the_limit_is() -> None:
    values, carrying = run(*OPENED, text("Hello"), text(" wörld", logprobs=[{"x": 1}]), text("never"))
    assert [value["type"].removeprefix("response.") for value in values[3:]] == [
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert [value["delta"] for value in values[3:5]] == ["Hello", " w"], "half of a letter is none"
    assert values[4]["logprobs"] == []
    assert values[5]["text"] == values[6]["part"]["text"] == "Hello w"
    item = values[7]["item"]
    assert (item["id"], item["status"], item["content"][0]["text"]) == ("item_0", "incomplete", "Hello w")
    final = values[-1]["response"]
    assert (final["id"], final["status"], final["output"]) == ("resp_1", "incomplete", [item])
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert carrying.outcome == CUT


def test_an_answer_within_the_limit_passes_as_it_is() -> None:
    script = numbered(*OPENED, text("Hello"), text("you"), done(0, **message("Helloyou")), ended())
    values, carrying = run(*script)
    assert values == play(script)[0]
    assert carrying.outcome == Finished(("stop",))


def test_what_no_event_of_ours_knows_passes() -> None:
    search = {"type": "web_search_call", "status": "completed", "action": {"query": "x"}}
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
    script = [created(), added(0, **thought), done(0, **thought), added(1, **search), done(1, **search)]
    said = [added(2, type="message"), text("Hello, you there", 2)]
    values, carrying = run(*script, *said, keep=True)
    output = json.loads(carrying.answer)["output"]
    assert output == values[-1]["response"]["output"]
    assert [item["id"] for item in output] == ["item_0", "item_1", "item_2"]
    assert output[0]["encrypted_content"] == "sealed"
    assert output[1]["action"] == {"query": "x"}
    assert output[2]["content"][0]["text"] == "Hello, y"


def test_citations_and_parts_that_are_whole_stay() -> None:
    cited = {"type": "response.output_text.annotation.added", **PART, "annotation": citation("https://a")}
    whole = {"type": "response.output_text.done", **PART, "text": "Hello"}
    part = {"type": "response.content_part.done", **PART, "part": message("Hello")["content"][0]}
    script = [*OPENED, text("Hello"), cited, whole, part]
    values, _ = run(*script, text("more", 0, 1))
    first, second = values[-1]["response"]["output"][0]["content"]
    assert (first["text"], first["annotations"]) == ("Hello", [citation("https://a")])
    assert second["text"] == "mor"
    assert [value["type"] for value in values].count("response.content_part.done") == 2


def test_a_refusal_is_counted() -> None:
    values, _ = run(
        created(), added(0, type="message"), delta("refusal", 0, "I would never", content_index=0)
    )
    assert values[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I would "}]
    assert "response.refusal.done" in [value["type"] for value in values]


def test_a_call_that_has_begun_is_told_to_its_end() -> None:
    long = '{"city":"Paris"}'
    begun = [created(), added(0, **call(0)), *(arguments(letter, 0) for letter in long)]
    values, carrying = run(*begun, done(0, **call(0, arguments=long)), ended())
    assert carrying.outcome == Finished(("tool_calls",)), "nothing was cut"
    values, carrying = run(*begun, done(0, **call(0, arguments=long)), added(1, **call(1)), ended())
    assert carrying.outcome == CUT
    assert [item["arguments"] for item in values[-1]["response"]["output"]] == [long]
    values, carrying = run(*begun, added(1, **call(1)), arguments("x", 1), text("x", 2),
                           done(0, **call(0, arguments=long)), done(1, **call(1)), ended())  # fmt: skip
    assert carrying.outcome == CUT
    assert [item["arguments"] for item in values[-1]["response"]["output"]] == [long]
    assert {value.get("output_index") for value in values} == {None, 0}


def test_open_calls_are_told_to_their_end_after_text_is_cut() -> None:
    begun = [created(), added(0, **call(0)), added(1, type="message"), text("Hello, you", 1)]
    rest = [text("more", 1), arguments("{}", 0), done(0, **call(0, arguments="{}")), ended()]
    values, carrying = run(*begun, *rest, names={"weather": "long"})
    assert carrying.outcome == CUT
    told, said = values[-1]["response"]["output"]
    assert (told["name"], told["arguments"]) == ("long", "{}")
    assert said["content"][0]["text"] == "Hello, y"
    failed = run(*begun, {"type": "error", "error": {"code": "server_error", "message": "x"}})[1]
    assert isinstance(failed.outcome, Failed)
    ending = run(*begun, ended())
    assert ending[1].outcome == CUT
    assert [item["type"] for item in ending[0][-1]["response"]["output"]] == ["function_call", "message"]


@pytest.mark.parametrize(
    "script",
    [
        [{"type": "response.output_text.done", **PART, "text": "Hello, you"}],
        [done(0, **message("Hello, you"))],
        [ended(output=[{"id": "item_0", **message("Hello, you")}])],
    ],
    ids=["text", "item", "end"],
)
def test_text_that_is_only_told_whole_is_cut(script: list[dict[str, Any]]) -> None:
    values, carrying = run(created(), *script)
    assert carrying.outcome == CUT
    assert values[-1]["response"]["output"][0]["content"][0]["text"] == "Hello, y"


def test_a_folded_answer_is_cut() -> None:
    folded = run(*OPENED, text("Hello, you there"), folds=True)[1]
    assert json.loads(folded.answer)["status"] == "incomplete"


def test_an_odd_record_is_not_let_through_uncounted() -> None:
    carrying = passage(max_tokens=2)
    odd = b'data: {"type":"response.output_text.delta","output_index":0,"delta":"\xff\xff\xff\xff\xff"}\n\n'
    records = carry([*(frame(each) for each in OPENED), odd, odd], carrying)
    assert carrying.outcome == CUT
    assert json.loads(records[-1][1])["response"]["output"][0]["content"][0]["text"] == "\ufffd" * 2


pieces = st.lists(
    st.tuples(st.sampled_from(["text", "arguments", "done", "search"]), st.text(max_size=9)), max_size=9
)


@settings(max_examples=80, deadline=None)
@given(pieces, st.integers(1, 9))
def test_no_more_is_told_than_the_limit(said: list[tuple[str, str]], most: int) -> None:
    script: list[dict[str, Any]] = [created()]
    for at, (kind, piece) in enumerate(said):
        if kind == "text":
            script += [added(at, type="message"), text(piece, at), done(at, **message(piece))]
        elif kind == "arguments":
            script += [added(at, **call(at)), arguments(piece, at), done(at, **call(at, arguments=piece))]
        elif kind == "done":
            script.append(done(at, **message(piece)))
        else:
            script.append(done(at, type="web_search_call", action=piece))
    values, carrying = run(*script, ended(), max_tokens=most)
    if not isinstance(carrying.outcome, Finished):
        assert not said
        return
    output = values[-1]["response"]["output"]
    texts = [part.get("text", "") for item in output for part in item.get("content", ())]
    calls = [item["arguments"] for item in output if item["type"] == "function_call"]
    assert sum(len(each.encode()) for each in texts) <= 4 * most
    assert sum(len(each.encode()) for each in calls[:-1]) < 4 * most or not calls
    if not carrying.outcome.cut:
        assert len(output) == len(said)
