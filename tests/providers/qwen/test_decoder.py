"""Qwen's streams into events: what is told, what is passed over, how they end."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.conversation import Tool, ToolChoice
from chatmock.errors import Kind
from chatmock.events import Annotation, Event, Failed, Finished, Opened, ReasoningDelta, TextDelta, Usage
from chatmock.providers.output_limits import LimitedDecoder
from chatmock.providers.qwen.decoder import QwenDecoder
from chatmock.providers.qwen.tool_calling import ToolCallingDecoder
from chatmock.providers.recording_decoder import RecordingDecoder
from tests.providers.qwen.frames import (
    ANSWER,
    AT,
    CHAT,
    LIMIT,
    OPENED,
    STOP,
    USAGE,
    USED,
    alive,
    answer,
    citation,
    created,
    decode,
    finish,
    frame,
    play,
    refused,
    searched,
    summary,
    text_of,
    thoughts_of,
    written,
)

SAMPLE = """\
data: {"response.created":{"chat_id": "004c", "parent_id": "6d61", "response_id":"90fd", "response_index": "0"}} 

data: {"choices": [{"delta": {"role": "assistant", "content": "X", "phase": "answer", "status": "typing"}}], "response_id": "90fd", "usage": {"input_tokens": 1047, "output_tokens": 1, "characters": 0, "total_tokens": 1048, "input_tokens_details": {"text_tokens": 1047}, "output_tokens_details": {"text_tokens": 1}, "prompt_tokens_details": {"cached_tokens": 512}}, "timestamp": 1790356348}

data: {"choices": [{"delta": {"role": "assistant", "content": "in chào Khánh", "phase": "answer", "status": "typing"}}]}

data: {"choices": [{"delta": {"content": "", "role": "assistant", "status": "finished", "phase": "answer"}}], "response_id": "90fd"}

""".replace("90fd", ANSWER).replace("004c", CHAT).encode()  # fmt: skip  # noqa: W291


def test_the_sample_of_the_spec() -> None:
    decoder = QwenDecoder("Qwen", LIMIT)
    assert decode([SAMPLE], decoder) == [
        OPENED,
        TextDelta("X"),
        TextDelta("in chào Khánh"),
        Usage(1047, 1, cached_tokens=512),
        STOP,
    ]
    assert decoder.response_id == ANSWER


@pytest.mark.parametrize(
    "record", [created(), alive(), {"response.stopped": {"response_id": ANSWER, "chat_id": CHAT}}]
)
def test_the_names_of_the_answer(record: dict[str, Any]) -> None:
    decoder = QwenDecoder("Qwen", LIMIT)
    decoder.feed(written([record]))
    assert decoder.response_id == ANSWER


def test_a_frame_names_the_answer_too() -> None:
    decoder = QwenDecoder("Qwen", LIMIT)
    decoder.feed(written([frame("web_search")]))
    assert decoder.response_id == ANSWER


def test_nothing_is_opened_before_there_is_content() -> None:
    decoder = QwenDecoder("Qwen", LIMIT)
    before = [
        created(),
        alive(),
        frame("think"),
        frame("web_search", "…"),
        searched(("https://a", "A")),
        answer(""),
    ]
    assert decoder.feed(written(before)) == []
    assert decoder.feed(written([answer("a")]))[:2] == [OPENED, TextDelta("a")]


@pytest.mark.parametrize("phase", ["answer", "think"])
def test_equal_deltas_are_told_each(phase: str) -> None:
    events = play(
        created(), frame(phase, "ha"), frame(phase, "ha"), frame(phase, "haha"), answer("."), finish()
    )
    told = [event.text for event in events if isinstance(event, TextDelta | ReasoningDelta)]
    assert told == ["ha", "ha", "haha", "."]


def test_thinking_in_deltas_is_one_part_until_it_is_finished() -> None:
    events = play(
        frame("think", "one "),
        frame("think", "two"),
        finish("think"),
        frame("think", "three"),
        answer("a"),
        finish(),
    )
    assert thoughts_of(events) == [("text", "one two"), ("text", "three")]


@pytest.mark.parametrize(
    "phase",
    [
        "web_extractor",
        "code_interpreter",
        "image_gen",
        "image_gen_tool",
        "image_edit_tool",
        "code_working",
        "KeepAlive",
        "DeepThinking",
        "deep_research_answer",
        "ReportGeneration",
        "PdfMdGen",
        "something_new",
        "Answer",
        "",
        None,
    ],
)
@pytest.mark.parametrize("content", ["secret", ["secret"], {"text": "secret"}, None])
def test_other_phases_are_neither_told_nor_the_end(phase: Any, content: Any) -> None:
    other = [frame(phase, content), frame(phase, content, status="finished")]
    assert play(created(), *other, answer("a"), *other, answer("b"), finish()) == [
        OPENED,
        TextDelta("a"),
        TextDelta("b"),
        USED,
        STOP,
    ]


@pytest.mark.parametrize(
    "other", [finish("think"), summary(status="finished"), finish("web_search"), alive("skip_think")]
)
def test_only_the_answers_finish_ends(other: dict[str, Any]) -> None:
    assert play(created(), answer("a"), other, answer("b"), finish())[-3:] == [TextDelta("b"), USED, STOP]


def test_arguments_of_the_sites_own_tools_are_passed_over() -> None:
    calls = [
        frame("web_search", function_call={"name": "web_search", "arguments": arguments}, function_id="f1")
        for arguments in ("", '{"q', '{"query": "x"}')
    ]
    assert play(created(), *calls, answer("a"), finish()) == [OPENED, TextDelta("a"), USED, STOP]


def test_what_a_tool_gave_is_no_answer_whatever_its_phase() -> None:
    result = frame("answer", "raw result", status="finished", role="function")
    assert text_of(play(created(), result, answer("a"), finish())) == "a"


def test_empty_frames_near_the_end() -> None:
    assert play(created(), answer("a"), answer(""), answer(""), finish()) == [
        OPENED,
        TextDelta("a"),
        USED,
        STOP,
    ]


def test_text_in_the_last_frame() -> None:
    assert text_of(play(answer("a"), frame("answer", "b", status="finished"))) == "ab"


@pytest.mark.parametrize(
    ("usages", "wanted"),
    [
        ([USAGE], USED),
        ([USAGE, {}], USED),
        ([USAGE, None], USED),
        ([USAGE, {"width": 1, "height": 1, "image_count": 1}], USED),
        ([USAGE, {"input_tokens": 2000, "output_tokens": 10}], Usage(2000, 10)),
        ([{"input_tokens": 2000, "output_tokens": 10}, USAGE], USED),
        ([{"input_tokens": True, "output_tokens": "9"}], None),
        ([{}], None),
    ],
)
def test_the_last_usage_counts(usages: list[Any], wanted: Usage | None) -> None:
    events = play(*(frame("answer", "a", usage=usage) for usage in usages), finish())
    assert events[len(usages) + 1 :] == [*([wanted] if wanted else []), STOP]


def test_search_results_become_citations_once_the_answer_begins() -> None:
    docs = [{"url": "https://b", "title": "B"}, {"url": "https://c"}, {"title": "no address"}, "?"]
    events = play(
        frame("think", "hm"),
        searched(("https://a", "A"), ("javascript:x", "J"), ("https://b", "B")),
        frame("web_extractor", role="function", extra={"tool_result": {"docs": docs, "used_id": [1]}}),
        frame("think", " so"),
        answer("a"),
        frame(
            "answer", extra={"web_search_info": [{"url": "https://a", "title": "again"}, {"url": "http://d"}]}
        ),
        answer("b [[1]]"),
        finish(),
    )
    cited = [
        Annotation(citation(*page)) for page in [("https://a", "A"), ("https://b", "B"), ("https://c", "")]
    ]
    assert events == [
        OPENED,
        ReasoningDelta("hm"),
        ReasoningDelta(" so"),
        TextDelta("a"),
        *cited,
        Annotation(citation("http://d", "")),
        TextDelta("b [[1]]"),
        USED,
        STOP,
    ]


@pytest.mark.parametrize(
    "extra", [{"tool_result": [{"url": "https://a", "title": "A"}]}, {"tool_result": "x"}, "x", [1], None]
)
def test_search_results_in_other_shapes(extra: Any) -> None:
    events = play(frame("web_search", role="function", extra=extra), answer("a"), finish())
    assert text_of(events) == "a"
    assert sum(isinstance(event, Annotation) for event in events) == ("https://a" in str(extra))


def test_citations_of_an_answer_without_text() -> None:
    events = play(frame("think", "hm"), searched(("https://a", "A")), finish())
    assert events == [OPENED, ReasoningDelta("hm"), Annotation(citation("https://a", "A")), STOP]


def test_a_finished_answer_that_says_nothing() -> None:
    refusal = refused(play(created(), searched(("https://a", "A")), answer(""), finish()))
    assert (refusal.kind, refusal.code, refusal.retryable) == (Kind.UPSTREAM_FAILED, "upstream_empty", False)


@pytest.mark.parametrize(
    "end", [[], [{"response.stopped": {"chat_id": CHAT}}], [{"response.stopped": True}], [{"done": True}]]
)
@pytest.mark.parametrize("said", [[], [answer("a")], [frame("think", "a"), finish("think")]])
def test_an_early_end_is_no_complete_answer(end: list[Any], said: list[Any]) -> None:
    events = play(created(), *said, *end)
    assert isinstance(events[-1], Failed)
    assert events[-1].refusal.code == "upstream_truncated"
    assert len(events) == (3 if said else 1)


def test_no_end_marker_takes_the_place_of_the_finish() -> None:
    events = decode([written([answer("a")]) + b"data: [DONE]\n\n"])
    assert isinstance(events[-1], Failed)
    assert decode([written([answer("a"), finish()]) + b"data: [DONE]\n\n"])[-1] == STOP


FAULT = {"code": "RateLimited", "details": "Too fast for us", "num": 2}


@pytest.mark.parametrize(
    "fault",
    [
        {"error": FAULT},
        {"success": False, "data": FAULT},
        {"success": False, "request_id": "r", "data": FAULT},
        frame("answer", status="error", extra={"error": FAULT}),
        frame("think", status="error", extra={"error": FAULT}),
        frame("something_new", status="error", extra={"error": FAULT}),
    ],
)
def test_errors_in_the_stream(fault: dict[str, Any]) -> None:
    refusal = refused(play(created(), fault))
    assert (refusal.kind, refusal.code, refusal.retry_after) == (
        Kind.RATE_LIMITED,
        "rate_limit_exceeded",
        7200,
    )
    assert "Too fast for us" in refusal.message
    events = play(created(), answer("a"), fault, answer("b"), finish())
    assert events[:2] == [OPENED, TextDelta("a")]
    assert [type(event) for event in events[2:]] == [Failed]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"error": "Internal error"}, Kind.UPSTREAM_FAILED),
        (frame("answer", status="error", extra={"error": "Internal error"}), Kind.UPSTREAM_FAILED),
        (frame("answer", status="error"), Kind.UPSTREAM_FAILED),
        (frame("answer", status="error", extra={"error": ["?"]}), Kind.UPSTREAM_FAILED),
        ({"ret": ["FAIL_SYS_USER_VALIDATE"], "data": {"url": "https://chat.qwen.ai"}}, Kind.FORBIDDEN),
        ({"success": False}, Kind.UPSTREAM_FAILED),
    ],
)
def test_errors_in_other_shapes(fault: dict[str, Any], kind: Kind) -> None:
    assert refused(play(created(), fault)).kind is kind


def test_records_of_no_kind_are_passed_over() -> None:
    odd = [
        {},
        {"error": None, "choices": None},
        {"response.new": {}},
        {"choices": []},
        {"choices": [{}]},
        {"done": False},
    ]
    odd += [{"response.info": "x", "response.created": 1, "timestamp": "now", "response_id": 7, "usage": [1]}]
    events = play(*odd, answer("a"), *odd, finish())
    assert text_of(events) == "a"
    assert events[-1] == STOP


@pytest.mark.parametrize(
    "data",
    [
        b"data: {oops\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        written([frame("answer", ["text"])]),
        written([frame("think", {"text": "x"})]),
    ],
)
def test_records_that_cannot_be_read(data: bytes) -> None:
    assert refused(decode([data])).code == "upstream_malformed"
    events = decode([written([answer("a")]) + data])
    assert events[:2] == [OPENED, TextDelta("a")]
    assert isinstance(events[-1], Failed)


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert text_of(decode([written([answer("a@b"), finish()]).replace(b"@", b"\xff")])) == "a\ufffdb"


@pytest.mark.parametrize("start", [b"", b"{", b"<html>"])
def test_too_much_at_once(start: bytes) -> None:
    pieces = [start + b"data: ", *([b"x" * 600] * 3)]
    assert refused(decode(pieces, QwenDecoder("Upstream", 1000))).code == "upstream_limit"


BODIES: list[tuple[bytes, str]] = [
    (
        b'{"success":false,"request_id":"r","data":{"code":"RateLimited","details":"d","num":10}}',
        "rate_limit_exceeded",
    ),
    (b' \r\n{"success":false,"data":{"code":"Unauthorized"}}\n\n', "invalid_api_key"),
    (
        b'\xef\xbb\xbf{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM"],"data":{"url":"u"}}',
        "upstream_captcha",
    ),
    (b"<!doctypehtml><script>_____tmd_____</script>", "upstream_captcha"),
    (b"<html><body>Hello</body></html>", "upstream_blocked"),
    (b'{"success":true,"data":{"id":"1"}}', "upstream_not_a_stream"),
    (b"[1]", "upstream_not_a_stream"),
    (b'{"success":false,"data":{"code":"Ra', "upstream_not_a_stream"),
    (b"", "upstream_truncated"),
    (b" \n\n ", "upstream_truncated"),
]


@pytest.mark.parametrize(("body", "code"), BODIES)
def test_a_body_that_is_no_stream(body: bytes, code: str) -> None:
    assert refused(decode([body])).code == code
    assert refused(decode([body[at : at + 1] for at in range(len(body))])).code == code


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\n\n", b": hello\n\n", b"\r\n", b"id: 1\n"])
def test_how_a_stream_may_start(start: bytes) -> None:
    stream = start + written([created(), answer("a"), finish()])
    for pieces in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        assert decode(pieces) == [OPENED, TextDelta("a"), USED, STOP]


def test_a_last_record_without_its_blank_line() -> None:
    assert decode([written([answer("a"), finish()])[:-2]])[-1] == STOP
    cut = decode([written([answer("a"), finish()])[:-9]])
    assert isinstance(cut[-1], Failed)
    assert cut[-1].refusal.code == "upstream_truncated"


@pytest.mark.parametrize(("at", "told"), [(AT, AT), (AT * 1000, 0), (-1, 0), ("x", 0), (None, 0)])
def test_when_it_was_opened(at: Any, told: int) -> None:
    record = {**answer("a"), "timestamp": at}
    events: list[Event] = play(record, finish())
    assert events[0] == Opened(ANSWER, told)


def test_an_early_end_is_not_waited_for() -> None:
    for end in ({"response.stopped": {"chat_id": CHAT}}, {"done": True}):
        decoder = QwenDecoder("Upstream", LIMIT)
        events = decoder.feed(written([answer("a"), end]))
        assert [type(event) for event in events] == [Opened, TextDelta, Failed]


def test_the_counts_so_far_are_told_through_all_decoders_around() -> None:
    stream = QwenDecoder("Upstream", LIMIT)
    calling = ToolCallingDecoder(stream, [Tool("f", "", {})], ToolChoice(), True, "call_")
    said = RecordingDecoder(LimitedDecoder(calling, ["END"], None))
    assert said.usage is None
    said.feed(written([created(), answer("one "), {**answer("two"), "usage": {}}]))
    assert said.usage == USED
    assert list(said.feed(written([answer(" END")])))[-2:] == [
        USED,
        Finished(("stop",), cut=True, stop="END"),
    ]
