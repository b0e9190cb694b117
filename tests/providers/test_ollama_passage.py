"""Lines of an Ollama on their way to its own clients: as received but for the rules, at any split."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest
from chatmock.errors import Kind
from chatmock.events import Failed, Finished, Usage
from chatmock.providers.ollama_passage import LinePassage
from tests.captures import Recording, parametrised, recordings

FOUND = recordings("ollama")
STREAMS = [r for r in FOUND if r.kind == "ndjson"]
WHOLE = [r for r in FOUND if r.kind == "json"]
CHAT = ChatRequest("m", (), stream=True)
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


def line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def said(text: str = "Hi", **more: Any) -> bytes:
    return line({"model": "m", "message": {"role": "assistant", "content": text, **more}, "done": False})


def last(**more: Any) -> bytes:
    return line({"model": "m", "message": {"role": "assistant", "content": ""}, **LAST, **more})


def carry(stream: bytes, cuts: list[int] | None = None, chat: ChatRequest = CHAT) -> tuple[bytes, Any, Any]:
    """What the client gets, the outcome and the usage."""
    passage = LinePassage(chat)
    places = [0, *sorted(cuts or []), len(stream)]
    out = b"".join(passage.feed(stream[a:b]) for a, b in zip(places, places[1:], strict=False))  # noqa: RUF007
    return out + passage.close(), passage.outcome, passage.usage


def model_of(recording: Recording) -> str:
    return str(json.loads(recording.response.splitlines()[0])["model"])


@parametrised(STREAMS)
def test_a_recorded_stream_passes_as_it_is_cut_at_every_byte(recording: Recording) -> None:
    chat = ChatRequest(model_of(recording), (), stream=True)
    stream = recording.response.rstrip(b"\n") + b"\n"
    final = json.loads(stream.splitlines()[-1])
    called = b'"tool_calls"' in stream
    passage = LinePassage(chat)
    out = b"".join(passage.feed(stream[at : at + 1]) for at in range(len(stream))) + passage.close()
    assert out == stream
    assert passage.outcome == Finished(("tool_calls" if called else "stop",))
    assert passage.usage == Usage(final.get("prompt_eval_count", 0), final["eval_count"])
    step = max(len(stream) // 200, 1)
    for cut in range(1, len(stream), step):
        assert carry(stream, [cut], chat)[0] == stream


@parametrised(STREAMS)
def test_a_recorded_stream_that_ends_anywhere_else_has_failed(recording: Recording) -> None:
    chat = ChatRequest(model_of(recording), (), stream=True)
    stream = recording.response.rstrip(b"\n")
    for end in {*range(0, len(stream), max(len(stream) // 150, 1)), len(stream) - 1}:
        out, outcome, _ = carry(stream[:end], chat=chat)
        assert isinstance(outcome, Failed)
        assert outcome.refusal.code == "upstream_truncated"
        assert (stream + b"\n").startswith(out)


@parametrised(WHOLE)
def test_a_recorded_whole_answer_passes(recording: Recording) -> None:
    passage = LinePassage(ChatRequest(model_of(recording), ()))
    assert json.loads(passage.whole(recording.response)) == json.loads(recording.response)
    assert isinstance(passage.outcome, Finished)
    assert passage.usage is not None


@pytest.mark.parametrize(
    ("told", "carried"),
    [
        (
            b'{"model":"m","n":1.50e3,"x": "\\u003c","done":true}',
            b'{"model":"<c>","n":1.50e3,"x": "\\u003c","done":true}',
        ),
        (b'{"n":1.50e3,"model":"m","done":true}', b'{"n":1500.0,"model":"<c>","done":true}'),
        (b'{"model":"\\u006d","done":true}', b'{"model":"<c>","done":true}'),
        (
            b'{"n":"{\\"model\\":\\"m\\"","done":true}',
            b'{"n":"{\\"model\\":\\"m\\"","done":true,"model":"<c>"}',
        ),
    ],
)
def test_all_but_the_name_stays_as_it_is(told: bytes, carried: bytes) -> None:
    chat = ChatRequest("m", (), asked_model="<c>", stream=True)
    assert carry(told + b"\n", chat=chat)[0] == carried + b"\n"


def test_the_model_has_the_name_that_was_asked_for() -> None:
    chat = ChatRequest("m", (), asked_model="ollama/m", stream=True)
    out, outcome, _ = carry(said("a", thinking="\u00e9") + last(), chat=chat)
    first, final = (json.loads(each) for each in out.splitlines())
    assert first["model"] == final["model"] == "ollama/m"
    assert first["message"] == {"role": "assistant", "content": "a", "thinking": "\u00e9"}
    assert list(final)[:2] == ["model", "message"]
    assert outcome == Finished(("stop",))
    whole = LinePassage(chat)
    assert json.loads(whole.whole(last()))["model"] == "ollama/m"


@pytest.mark.parametrize(
    ("reason", "calls", "told"),
    [
        ("stop", False, "stop"),
        ("length", False, "length"),
        ("length", True, "length"),
        ("stop", True, "tool_calls"),
        ("load", False, "stop"),
        ("unload", False, "stop"),
        (None, False, "stop"),
    ],
)
def test_how_it_ended(reason: str | None, calls: bool, told: str) -> None:
    call = [{"function": {"name": "f", "arguments": {}}}]
    stream = said("", tool_calls=call) if calls else said()
    assert carry(stream + last(done_reason=reason))[1] == Finished((told,))


def test_an_error_line_is_not_carried() -> None:
    out, outcome, _ = carry(said() + line({"error": "model runner has unexpectedly stopped"}) + said())
    assert out == said()
    assert isinstance(outcome, Failed)
    assert outcome.refusal.kind is Kind.UPSTREAM_FAILED
    assert "model runner has unexpectedly stopped" in outcome.refusal.message


def test_nothing_follows_the_end() -> None:
    stream = said() + last()
    assert carry(stream + said("more") + b"{nonsense\n") == (stream, Finished(("stop",)), Usage(3, 2))


def test_blank_lines_and_carriage_returns_are_nothing() -> None:
    stream = b"\n\r\n" + said().replace(b"\n", b"\r\n") + b" \n" + last().rstrip(b"\n")
    assert carry(stream)[:2] == (said() + last(), Finished(("stop",)))


@pytest.mark.parametrize(
    "bad",
    [
        b"{nonsense\n",
        b"[]\n",
        b"data: {}\n",
        line({"model": "m", "done": False}),
        line({"model": "m", "message": "text", "done": False}),
        line({"message": {"content": 5}}),
        line({"done": "yes"}),
        b'{"model":"m","response":"%s","x":%s}\n' % (b"a" * 1100, b"[" * 70 + b"]" * 70),
    ],
)
def test_a_line_that_is_none_fails(bad: bytes) -> None:
    out, outcome, _ = carry(said() + bad + last())
    assert out == said()
    assert isinstance(outcome, Failed)
    assert outcome.refusal.code == "upstream_malformed"


def test_a_line_too_long_fails_before_it_is_complete() -> None:
    passage = LinePassage(CHAT, limit=1000)
    assert passage.feed(said()) == said()
    for _ in range(20):
        assert passage.feed(b"x" * 99) == b""
    assert isinstance(passage.outcome, Failed)
    assert passage.outcome.refusal.code == "upstream_limit"


def test_a_long_context_passes() -> None:
    stream = line({"model": "m", "response": "", "context": list(range(150_000)), **LAST})
    assert carry(stream)[:2] == (stream, Finished(("stop",)))


def test_what_is_no_utf8_is_replaced() -> None:
    out, outcome, _ = carry(b'{"model":"m","response":"\xff","done":false}\n' + last())
    assert out.splitlines()[0].decode() == '{"model":"m","response":"\ufffd","done":false}'
    assert isinstance(outcome, Finished)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        line({"error": "boom"}),
        said(),
        line({"message": {"content": []}, "done": True}),
    ],
)
def test_a_whole_answer_that_is_none_fails(body: bytes) -> None:
    passage = LinePassage(ChatRequest("m", ()))
    assert passage.whole(body) == b""
    assert isinstance(passage.outcome, Failed)


some_line = st.one_of(
    st.text(max_size=6).map(said),
    st.text(max_size=6).map(lambda text: said("", thinking=text)),
    st.just(said("", tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}])),
    st.just(last()),
    st.just(line({"error": "x"})),
    st.just(b"\n"),
    st.just(b"{nonsense\n"),
    st.just(b'{"response":"\xff\xfe","model":"other"}\r\n'),
    st.binary(max_size=8),
)


@given(lines=st.lists(some_line, max_size=10), data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_split_of_any_stream_gives_the_same(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(lines)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    out, outcome, usage = carry(stream)
    assert repr(carry(stream, cuts)) == repr((out, outcome, usage))
    assert outcome is not None
    told = [json.loads(each) for each in out.splitlines()]
    assert all(each["model"] == "m" and "error" not in each for each in told)
    assert [each.get("done", False) for each in told].count(True) == isinstance(outcome, Finished)
