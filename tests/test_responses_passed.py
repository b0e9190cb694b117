"""Clients of the Responses API at ChatGPT, whose backend speaks it: through the official SDK, at a backend that refuses
what the real one does."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.captures import Recording, parametrised, recordings
from tests.conftest import Daemon, Start, settle, until
from tests.test_recordings import cuts
from tests.upstreams.chatgpt_backend import LIMITS, ChatGPTBackend, Script, detail, sse
from tests.upstreams.playing_site import Reply

FUNCTION: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
TOOL = ("call_a", "weather", '{"city":"Paris"}')
ERROR = {"type": "server_error", "code": "server_error", "message": "The model stumbled."}
STREAMS = [
    recording
    for recording in recordings("chatgpt-codex", "openai-responses", "xai-responses", "openrouter-responses")
    if recording.kind == "sse" and "rate-limited" not in recording.name and "encrypted" not in recording.name
]


@pytest.fixture
def daemon(start_chatgpt: Start, login_file: Path) -> Daemon:
    """A daemon with a login."""
    return start_chatgpt()


def create(sdk: openai.OpenAI, **more: Any) -> Any:
    return sdk.responses.create(**{"model": "gpt-5.6-sol", "input": "Hello?", **more})


async def told(daemon: Daemon, **more: Any) -> list[dict[str, Any]]:
    """The events of a stream."""
    return await daemon.ask(  # type: ignore[no-any-return]
        lambda sdk: [
            event.model_dump(exclude_unset=True, warnings=False) for event in create(sdk, stream=True, **more)
        ]
    )


async def test_a_stream_passes_and_ends_whole(daemon: Daemon, backend: ChatGPTBackend) -> None:
    script = Script().reasoning("Think hard.").text("Hel", "lo").calls(TOOL).end()
    backend.stream(*script)
    events = await told(daemon, instructions="Mine.", tools=[FUNCTION], temperature=0.2, user="me")
    assert events[2:-1] == script[2:-1]
    assert [event["sequence_number"] for event in events] == list(range(len(script)))
    final = events[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call"]
    assert final["output"][0]["encrypted_content"] == "sealed"
    assert (final["model"], final["instructions"], final["temperature"], final["user"]) == (
        "gpt-5.6-sol", "Mine.", 0.2, "me",
    )  # fmt: skip
    assert final["tools"][0]["name"] == "weather"
    assert final["usage"]["total_tokens"] == 30


async def test_the_sdks_own_accumulation(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().reasoning("Think.").text("Hel", "lo").end())

    def stream(sdk: openai.OpenAI) -> Any:
        with sdk.responses.stream(model="gpt-5.6-sol", input="Hi") as events:
            for _ in events:
                pass
            return events.get_final_response()

    final = await daemon.ask(stream)
    assert final.output_text == "Hello"


async def test_a_whole_answer_is_folded_from_the_stream(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().reasoning("Think.").text("Hel", "lo").end())
    answer = await daemon.ask(lambda sdk: create(sdk, metadata={"a": "b"}))
    assert (answer.output_text, answer.status, answer.metadata) == ("Hello", "completed", {"a": "b"})
    assert backend.asks()[-1].body["stream"] is True
    assert "metadata" not in backend.asks()[-1].body


async def test_a_whole_answer_has_its_limit(
    daemon: Daemon, backend: ChatGPTBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatmock.transcoding.WHOLE_ANSWER_LIMIT", 5_000)
    backend.stream(*Script().text("word " * 2_000).end())
    with pytest.raises(openai.InternalServerError) as caught:
        await daemon.ask(create)
    assert caught.value.code == "upstream_limit"
    assert (await told(daemon))[-1]["type"] == "response.completed"


async def test_an_incomplete_answer_is_one(daemon: Daemon, backend: ChatGPTBackend) -> None:
    why = {"reason": "max_output_tokens"}
    backend.stream(*Script().text("Half").end("incomplete", incomplete_details=why))
    answer = await daemon.ask(create)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output_text == "Half"
    assert (await told(daemon))[-1]["type"] == "response.incomplete"


async def test_a_tool_round_trip_keeps_the_chain_of_thought(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().reasoning("Look.").calls(TOOL).end())
    first = await daemon.ask(lambda sdk: create(sdk, tools=[FUNCTION]))
    backend.stream(*Script().text("Sunny").end())
    result = {"type": "function_call_output", "call_id": "call_a", "output": "sun"}
    for more in (
        {"input": [result], "previous_response_id": first.id},
        {"input": [{"role": "user", "content": "Hello?"}, *first.output, result], "store": False},
    ):
        second = await daemon.ask(partial(create, tools=[FUNCTION], **more))
        assert second.output_text == "Sunny"
        assert second.previous_response_id == more.get("previous_response_id")
        sent = backend.asks()[-1].body
        assert [item["type"] for item in sent["input"]] == [
            "message", "reasoning", "function_call", "function_call_output",
        ]  # fmt: skip
        assert sent["input"][1]["encrypted_content"] == "sealed"
        assert "previous_response_id" not in sent


async def test_a_stream_that_is_kept_can_be_gone_on_from(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().text("One").end())
    first = (await told(daemon))[-1]["response"]
    assert first["store"] is True
    await daemon.ask(lambda sdk: create(sdk, input="Two?", previous_response_id=first["id"]))
    texts = [item["content"][0]["text"] for item in backend.asks()[-1].body["input"]]
    assert texts == ["Hello?", "One", "Two?"]


async def test_long_names_of_tools(daemon: Daemon, backend: ChatGPTBackend) -> None:
    name = "look_up_the_weather_" * 4

    def answer(asked: Any) -> Reply:
        short = asked.body["tools"][0]["name"]
        assert len(short) <= 64
        return Reply([sse(each) for each in Script().calls(("call_a", short, "{}")).end()], headers=LIMITS)

    backend.answer = answer
    events = await told(daemon, tools=[{**FUNCTION, "name": name}])
    names = {event["item"]["name"] for event in events if "item" in event}
    assert names == {name}
    final = events[-1]["response"]
    assert final["output"][0]["name"] == final["tools"][0]["name"] == name


async def test_the_clients_limit_is_kept_to(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().text("word " * 100, "more").end())
    raw = await daemon.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="gpt-5.6-sol", input="Hi", max_output_tokens=3
        )
    )
    answer = raw.parse()
    assert answer.output_text == "word word wo"
    assert answer.status == "incomplete"
    assert raw.headers["x-chatmock-max-tokens"].startswith("3,")
    assert "max_output_tokens" not in backend.asks()[-1].body


async def test_ignored_fields_are_named(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().text("Hi").end())
    raw = await daemon.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="gpt-5.6-sol", input="Hi", temperature=1, top_p=0.5
        )
    )
    assert raw.headers["x-chatmock-ignored"] == "temperature, top_p"


async def test_what_nobody_knows_passes(daemon: Daemon, backend: ChatGPTBackend) -> None:
    item = {"type": "dance", "id": "d_1", "steps": [1, 2]}
    script = Script().add("response.output_item.added", output_index=0, item={**item, "steps": []})
    script.add("response.dance.step", output_index=0, step=1)
    script.add("response.output_item.done", output_index=0, item=item)
    backend.stream(*script.end())
    events = await told(daemon, input=[{"type": "dance", "steps": [0]}, {"role": "user", "content": "Go."}],
                        tools=[{"type": "namespace", "name": "n", "tools": []}])  # fmt: skip
    assert events[3]["type"] == "response.dance.step"
    assert events[-1]["response"]["output"] == [item]
    sent = backend.asks()[-1].body
    assert sent["input"][0] == {"type": "dance", "steps": [0]}
    assert sent["tools"] == [{"type": "namespace", "name": "n", "tools": []}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_failure_before_the_first_word_is_a_status(
    daemon: Daemon, backend: ChatGPTBackend, *, stream: bool, begun: bool
) -> None:
    script = Script().events if begun else []
    failed = {"type": "response.failed", "response": {"error": {"code": "context_length_exceeded"}}}
    backend.stream(*script, failed)
    with pytest.raises(openai.BadRequestError) as caught:
        await daemon.ask(lambda sdk: create(sdk, stream=stream))
    assert caught.value.code == "context_length_exceeded"


async def test_a_used_up_plan(daemon: Daemon, backend: ChatGPTBackend) -> None:
    error = {"type": "usage_limit_reached", "message": "Used.", "plan_type": "plus", "resets_in_seconds": 60}
    backend.reply([json.dumps({"error": error}).encode()], status=429, content_type=b"application/json")
    with pytest.raises(openai.RateLimitError) as caught:
        await daemon.ask(create)
    assert caught.value.response.headers["retry-after"] == "60"
    assert len(backend.asks()) == 1


async def test_a_failure_after_the_first_word_is_in_the_stream(
    daemon: Daemon, backend: ChatGPTBackend
) -> None:
    backend.stream(*Script().text("Half").events, {"type": "error", "error": ERROR})
    seen: list[Any] = []

    def ask(sdk: openai.OpenAI) -> None:
        seen.extend(create(sdk, stream=True))

    with pytest.raises(openai.APIError, match="stumbled"):
        await daemon.ask(ask)
    assert "response.output_text.delta" in [event.type for event in seen]
    assert "response.completed" not in [event.type for event in seen]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stream_that_is_cut_is_no_answer(
    daemon: Daemon, backend: ChatGPTBackend, stream: bool
) -> None:
    backend.reply([sse(event) for event in Script().text("Half").events], ending="cut", headers=LIMITS)
    with pytest.raises(openai.APIError):
        await daemon.ask(lambda sdk: list(create(sdk, stream=stream)))


async def test_an_empty_answer_is_asked_for_again(daemon: Daemon, backend: ChatGPTBackend) -> None:
    replies = [Script().end(), Script().text("Hi").end()]
    backend.answer = lambda _: Reply([sse(event) for event in replies.pop(0)], headers=LIMITS)
    assert (await told(daemon))[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"
    assert len(backend.asks()) == 2


async def test_thinking_that_cannot_be_read_is_left_out(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.stream(*Script().text("Hi").end())
    good, error = backend.answer, {"code": "invalid_encrypted_content", "message": "could not be verified"}
    bad = Reply([json.dumps({"error": error}).encode()], status=400, content_type=b"application/json")
    backend.answer = lambda asked: bad if "elsewhere" in str(asked.body) else good(asked)
    sealed: Any = {"type": "reasoning", "summary": [], "encrypted_content": "elsewhere"}
    raw = await daemon.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="gpt-5.6-sol",
            input=[{"role": "user", "content": "Hi"}, sealed, {"role": "user", "content": "?"}],
        )
    )
    assert raw.parse().output_text == "Hi"
    assert "x-chatmock-thinking" in raw.headers


async def test_a_reference_to_an_item_is_refused(daemon: Daemon, backend: ChatGPTBackend) -> None:
    with pytest.raises(openai.BadRequestError, match="msg_1"):
        await daemon.ask(
            lambda sdk: create(
                sdk, input=[{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": "msg_1"}]
            )
        )
    assert backend.asks() == []


async def test_a_refusal_of_the_backends(daemon: Daemon, backend: ChatGPTBackend) -> None:
    backend.answer = lambda _: detail(400, "Unsupported tool")
    with pytest.raises(openai.BadRequestError, match="Unsupported tool"):
        await daemon.ask(lambda sdk: create(sdk, stream=True))


async def test_a_client_that_leaves_ends_the_stream(daemon: Daemon, backend: ChatGPTBackend) -> None:
    begun = [sse(event) for event in Script().text("Half").events]
    backend.reply(begun, ending="hang", headers=LIMITS)

    def leave(sdk: openai.OpenAI) -> None:
        with create(sdk, stream=True) as events:
            next(iter(events))

    await daemon.ask(leave)
    await until(lambda: backend.active == 0)
    await settle()


@pytest.mark.parametrize("cut", ["bytes", "records", "random"])
@parametrised(STREAMS)
async def test_recordings_through_the_sdk(
    daemon: Daemon, backend: ChatGPTBackend, recording: Recording, cut: str
) -> None:
    backend.reply(cuts(recording.response)[cut], headers=LIMITS)
    events = await told(daemon)
    lines = [line[6:] for line in recording.response.decode().splitlines() if line.startswith("data: {")]
    theirs = [json.loads(line) for line in lines]
    assert [event["type"] for event in events] == [event["type"] for event in theirs]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    items = [event["item"] for event in theirs if event["type"] == "response.output_item.done"]
    assert len(events[-1]["response"]["output"]) == len(theirs[-1]["response"]["output"] or items)
