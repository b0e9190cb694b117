"""What counts as progress of an upstream, and how much of it a whole answer may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from chatmock import transcoding
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects import OpenAIChat, OpenAIResponses
from chatmock.events import Failed
from chatmock.providers.chatgpt import ChatGPT
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.recording_decoder import RecordingDecoder
from tests.chunks import text_stream
from tests.conftest import Start
from tests.test_chatgpt import ask
from tests.upstreams.chatgpt_backend import ChatGPTBackend, Script, sse

SEARCHING = ("response.web_search_call.searching", "response.web_search_call.in_progress", "response.dance")


def searching(times: int) -> Script:
    script = Script()
    for at in range(times):
        script.add(SEARCHING[at % len(SEARCHING)], item_id="w", output_index=0)
    return script


@pytest.mark.parametrize("stream", [True, False])
async def test_records_that_give_no_event_are_progress(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, stream: bool
) -> None:
    backend.stream(*searching(8).text("News").end(), pause=0.1)
    daemon = start_chatgpt(idle_timeout=0.5)
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, stream))
    assert message["content"] == "News"


@pytest.mark.parametrize("stream", [True, False])
async def test_keep_alives_are_none(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, stream: bool
) -> None:
    pieces = [sse(Script().events[0]), *[b": ping\n\n"] * 20]
    backend.reply(pieces, pause=0.1, ending="hang")
    with pytest.raises(openai.APIStatusError) as caught:
        await start_chatgpt(idle_timeout=0.3).ask(lambda sdk: ask(sdk, stream))
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_idle")


@pytest.mark.parametrize("stream", [True, False])
def test_a_transcoder_tells_its_decoder_s_records(stream: bool) -> None:
    chat = ChatRequest("m", (), stream=stream)
    made = transcoding.transcoder(ChatGPT("http://x"), OpenAIChat(), chat, Identity("i", 1))
    made.feed(b": ping\n\n")
    assert made.records == 0
    made.feed(b"".join(map(sse, searching(3).events)))
    assert made.records == 5


def test_the_records_of_openai_chat_and_of_a_recording() -> None:
    provider = OpenAICompatible("compatible", "http://x/v1", DIFFERENCES)
    decoder = RecordingDecoder(provider.decoder(ChatRequest("m", ())))
    decoder.feed(b": ping\n\n" + b'data: {"choices":[]}\n\n')
    assert decoder.records == 1
    for piece in text_stream("Hi"):
        decoder.feed(piece)
    assert decoder.records > 2
    assert decoder.text == "Hi"


def test_a_whole_answer_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding, "WHOLE_ANSWER_LIMIT", 10_000)
    made: Any = transcoding.transcoder(
        ChatGPT("http://x"), OpenAIChat(), ChatRequest("m", ()), Identity("i", 1)
    )
    data = b"".join(map(sse, Script().text("Hello").events))
    made.feed(data)
    assert made.outcome is None
    while made.outcome is None:
        assert made.feed(data) == b""
    assert isinstance(made.outcome, Failed)
    assert made.outcome.refusal.code == "upstream_limit"
    assert "10000" in made.outcome.refusal.message


def test_a_stream_that_is_repeated_whole_at_its_end_has_the_same_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcoding, "WHOLE_ANSWER_LIMIT", 10_000)
    provider, identity = OpenAICompatible("compatible", "http://x/v1", DIFFERENCES), Identity("i", 1)
    data = b"".join(text_stream("Hello " * 100)[:-2])
    for dialect, bounded in ((OpenAIResponses(), True), (OpenAIChat(), False)):
        chat = ChatRequest("m", (), stream=True, thinking="parts")
        made: Any = transcoding.transcoder(provider, dialect, chat, identity)
        for _ in range(40):
            made.feed(data)
        assert isinstance(made.outcome, Failed) == bounded
        if bounded:
            assert made.outcome.refusal.code == "upstream_limit"
            assert b"response.failed" in made.fail(made.outcome)
