"""Every recorded answer of the four kinds of upstream, served over HTTP in three cuts, read through the real SDK."""

from __future__ import annotations

import json
import random
from typing import Any

import attrs
import openai
import pytest

from chatmock.settings import Secret
from tests.captures import Recording, parametrised, recordings
from tests.conftest import Daemon, Start
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

FOUND = recordings("openai-chat", "xai-chat", "openrouter-chat", "dashscope-chat")
STREAMS = [r for r in FOUND if r.kind == "sse"]
WHOLE = [r for r in FOUND if r.kind == "json" and r.status == 200]
ERRORS = [r for r in FOUND if r.status != 200]
_CUT_SHORT = {"length", "max_tokens", "max_output_tokens"}


def own_daemon(start: Start, upstream: OpenAIServer, recording: Recording) -> Daemon:
    """A daemon that reaches the fake upstream as the provider the recording is of."""
    key = Secret("upstream-key")
    accounts: dict[str, dict[str, Any]] = {
        "openai-chat": {
            "provider": "compatible",
            "compatible_base_url": upstream.url,
            "compatible_api_key": key,
        },
        "xai-chat": {"provider": "grok", "grok_base_url": upstream.url, "xai_api_key": key},
        "openrouter-chat": {
            "provider": "openrouter",
            "openrouter_base_url": upstream.url,
            "openrouter_api_key": key,
        },
        "dashscope-chat": {
            "provider": "dashscope",
            "dashscope_base_url": upstream.url,
            "dashscope_api_key": key,
        },
    }
    return start(**accounts[recording.upstream])


@attrs.define
class Heard:
    """What an answer says, however it came."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: dict[int, list[str]] = attrs.field(factory=dict)
    finish: list[str] = attrs.field(factory=list)
    usage: tuple[int, int, int] | None = None
    logprobs: int = 0
    failed: bool = False


def expected(recording: Recording) -> Heard:
    """Read the recording itself, by a reader of its own, normalised as upstreams.md H says."""
    heard = Heard()
    for line in recording.response.decode().splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        value = json.loads(line[5:])
        if value.get("error"):
            heard.failed = True
            break
        for choice in value["choices"]:
            _hear(heard, choice.get("delta") or {}, choice)
        heard.usage = _counts(value.get("usage")) or heard.usage
    return heard


def _hear(heard: Heard, said: dict[str, Any], choice: dict[str, Any]) -> None:
    heard.text += said.get("content") or ""
    heard.reasoning += said.get("reasoning_content") or said.get("reasoning") or ""
    heard.refusal += said.get("refusal") or ""
    logprobs = choice.get("logprobs")
    heard.logprobs += len((logprobs.get("content") or ()) if isinstance(logprobs, dict) else ())
    for position, call in enumerate(said.get("tool_calls") or ()):
        parts = heard.calls.setdefault(call.get("index", position), ["", "", ""])
        parts[0] = parts[0] or call.get("id") or ""
        parts[1] = parts[1] or call["function"].get("name") or ""
        parts[2] += call["function"].get("arguments") or ""
    if choice.get("finish_reason") and not heard.finish:
        native = (choice.get("native_finish_reason") or "").lower()
        cut = choice["finish_reason"] == "tool_calls" and native in _CUT_SHORT
        heard.finish.append("length" if cut else choice["finish_reason"])


def _counts(usage: dict[str, Any] | None) -> tuple[int, int, int] | None:
    if not usage:
        return None
    prompt, _, total = (usage[f"{key}_tokens"] for key in ("prompt", "completion", "total"))
    return prompt, total - prompt, total


def hear_stream(sdk: openai.OpenAI, model: str) -> tuple[Heard, list[Any]]:
    """Stream an answer and check what OpenAI's own streams always keep to."""
    heard, chunks = Heard(), []
    try:
        for chunk in sdk.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "x"}],
            stream=True,
            stream_options={"include_usage": True},
        ):
            chunks.append(chunk)
            for choice in chunk.choices:
                said = choice.delta.model_dump(exclude_unset=True)
                _hear(heard, said | {"tool_calls": said.get("tool_calls")}, choice.model_dump())
            if chunk.usage is not None:
                assert chunk.choices == []
                heard.usage = _counts(chunk.usage.model_dump())
    except openai.APIError:
        heard.failed = True
    return heard, chunks


def cuts(data: bytes) -> dict[str, list[bytes]]:
    """*data* in pieces: byte by byte, at every record, at random places."""
    chance = random.Random(len(data))
    places = sorted(chance.sample(range(1, len(data)), min(40, len(data) - 1)))
    records = [block + b"\n\n" for block in data.split(b"\n\n") if block]
    return {
        "bytes": [data[i : i + 1] for i in range(len(data))],
        "records": records,
        "random": [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)],
    }


@pytest.mark.parametrize("cut", ["bytes", "records", "random"])
@parametrised(STREAMS)
async def test_stream(start: Start, upstream: OpenAIServer, recording: Recording, cut: str) -> None:
    daemon = own_daemon(start, upstream, recording)
    pieces = cuts(recording.response)[cut]
    if cut == "bytes":
        pieces = pieces[:6000] + ([b"".join(pieces[6000:])] if len(pieces) > 6000 else [])
    upstream.reply(pieces)
    heard, chunks = await daemon.ask(lambda sdk: hear_stream(sdk, "recorded"))
    wanted = expected(recording)
    if wanted.failed:
        assert heard.failed
        assert heard.text == wanted.text
        assert heard.finish == []
        return
    assert heard == wanted
    _check_form(chunks)


def _check_form(chunks: list[Any]) -> None:
    assert len({chunk.id for chunk in chunks}) == 1
    assert len({chunk.created for chunk in chunks}) == 1
    spoken = [chunk for chunk in chunks if chunk.choices]
    assert spoken[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in spoken[1:])
    seen: set[int] = set()
    for chunk in spoken:
        for call in chunk.choices[0].delta.tool_calls or ():
            first = call.index not in seen
            seen.add(call.index)
            assert bool(call.id) == bool(call.function.name) == bool(call.type) == first
    assert seen == set(range(len(seen)))
    assert [bool(c.choices[0].finish_reason) for c in spoken] == [False] * (len(spoken) - 1) + [True]


@parametrised(WHOLE)
async def test_whole(start: Start, upstream: OpenAIServer, recording: Recording) -> None:
    upstream.reply_json(recording.response)
    answer = await own_daemon(start, upstream, recording).ask(
        lambda sdk: sdk.chat.completions.create(model="recorded", messages=[{"role": "user", "content": "x"}])
    )
    recorded = json.loads(recording.response)
    for got, said in zip(answer.choices, recorded["choices"], strict=True):
        wanted, heard = Heard(), Heard()
        _hear(wanted, said["message"], said)
        _hear(heard, got.message.model_dump(), got.model_dump(warnings=False))
        assert heard == wanted
    usage = answer.usage.model_dump()
    assert _counts(usage) == _counts(recorded["usage"])
    assert usage["completion_tokens"] == usage["total_tokens"] - usage["prompt_tokens"]


@parametrised(ERRORS)
async def test_error(start: Start, upstream: OpenAIServer, recording: Recording) -> None:
    upstream.reply_json(recording.response, status=recording.status)
    with pytest.raises(openai.APIStatusError) as caught:
        await own_daemon(start, upstream, recording).ask(
            lambda sdk: sdk.chat.completions.create(
                model="recorded", messages=[{"role": "user", "content": "x"}]
            )
        )
    assert caught.value.status_code == recording.status
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


@parametrised([r for r in STREAMS if "error" not in r.name])
async def test_sdk_accumulates(start: Start, upstream: OpenAIServer, recording: Recording) -> None:
    """The SDK's own accumulator, which adds strings up, comes to the same answer."""
    upstream.reply(cuts(recording.response)["records"])

    def gather(sdk: openai.OpenAI) -> Any:
        asked = sdk.chat.completions.stream(model="recorded", messages=[{"role": "user", "content": "x"}])
        with asked as stream:
            for _ in stream:
                pass
            return stream.get_final_completion()

    daemon = own_daemon(start, upstream, recording)
    wanted = expected(recording)
    if wanted.finish in (["length"], ["content_filter"]):
        with pytest.raises((openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)):
            await daemon.ask(gather)
        return
    message = (await daemon.ask(gather)).choices[0].message
    assert (message.content or "") == wanted.text
    assert (message.refusal or "") == wanted.refusal
    calls = [[call.id, call.function.name, call.function.arguments] for call in message.tool_calls or ()]
    assert calls == [wanted.calls[index] for index in sorted(wanted.calls)]


@parametrised([r for r in FOUND if r.request is not None])
async def test_requests_reach_the_upstream_whole(
    start: Any, upstream: OpenAIServer, recording: Recording
) -> None:
    """What a recorded client asked comes to the upstream unchanged, but for the fields that chatmock owns."""
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret("upstream-key"),
        max_message_chars=1_000_000,
        max_tokens=1_000_000,
    )
    asked = dict(recording.request or {})
    upstream.answer = lambda _: Reply([b"{}"], status=418, content_type=b"application/json")
    with pytest.raises(openai.APIStatusError):
        await daemon.ask(lambda sdk: sdk.post("/chat/completions", cast_to=object, body=asked))
    received = upstream.chats()[-1].body
    owned = {"stream", "stream_options"}
    assert {k: v for k, v in received.items() if k not in owned} == {
        k: v for k, v in asked.items() if k not in owned
    }
    assert bool(received.get("stream")) == bool(asked.get("stream"))


@pytest.mark.parametrize("stream", [True, False])
@parametrised(STREAMS)
async def test_as_a_text_completion(
    start: Start, upstream: OpenAIServer, recording: Recording, stream: bool
) -> None:
    """The same recordings through the decoder, the events and another dialect's encoder."""
    upstream.reply(cuts(recording.response)["random"])
    daemon = own_daemon(start, upstream, recording)

    def ask(sdk: openai.OpenAI) -> tuple[str, list[str], Any]:
        create: Any = sdk.completions.create
        asked = create(
            model="recorded",
            prompt="x",
            stream=stream,
            **({"stream_options": {"include_usage": True}} if stream else {}),
        )
        records = list(asked) if stream else [asked]
        choices = [choice for one in records for choice in one.choices]
        usage = records[-1].usage
        return "".join(c.text for c in choices), [c.finish_reason for c in choices if c.finish_reason], usage

    wanted = expected(recording)
    if wanted.failed:
        with pytest.raises(openai.APIError):
            await daemon.ask(ask)
        return
    text, finish, usage = await daemon.ask(ask)
    assert (text, finish) == (wanted.text + wanted.refusal, wanted.finish)
    assert (None if usage is None else _counts(usage.model_dump())) == wanted.usage
