"""xAI's Responses API, for clients of the same: through the real SDK, and in requests."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import attrs
import openai
import pytest

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity, Source
from chatmock.errors import Kind, Refusal
from chatmock.providers import compatible
from chatmock.providers.grok import DIFFERENCES
from chatmock.providers.grok_responses import body
from chatmock.providers.interface import Credential
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.responses_passage import ResponsesPassage
from chatmock.settings import Secret
from tests.captures import Recording, parametrised, recordings
from tests.chunks import completion
from tests.conftest import KEY, Daemon, Start
from tests.test_recordings import cuts
from tests.upstreams.playing_site import Asked
from tests.upstreams.xai_server import PHRASE, XAIServer, refusal

GROK = OpenAICompatible("grok", "http://x/v1", DIFFERENCES)
FOUND = [recording for recording in recordings("xai-responses") if recording.status == 200]
STREAMS = [recording for recording in FOUND if recording.kind == "sse"]
WHOLES = [recording for recording in FOUND if recording.kind == "json"]


def asking(stream: bool = False, max_tokens: int | None = None, **fields: Any) -> ChatRequest:
    source = Source("openai-responses", {"model": "mine", "input": "Hi", **fields})
    return ChatRequest("grok-latest", (), stream=stream, max_tokens=max_tokens, source=source)


@pytest.fixture
def grok(xai: XAIServer, start: Start) -> Daemon:
    """A daemon whose only upstream it is."""
    return start(provider="grok", xai_api_key=Secret(KEY), grok_base_url=xai.url)


# Requests.


def test_the_clients_own_body_is_sent() -> None:
    fields = {
        "tools": [{"type": "x_search"}],
        "temperature": 0.5,
        "input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}],
        "unknown": {"a": None},
    }
    own = {"previous_response_id": "resp_0", "store": True, "background": False, "stream_options": {}}
    made = GROK.request(asking(stream=True, **fields, **own), Credential(Secret("k")))
    assert made.url == "http://x/v1/responses"
    assert made.stream
    assert json.loads(made.body or b"") == {**fields, "model": "grok-latest", "stream": True, "store": False}


def test_a_whole_answer_is_asked_for_whole() -> None:
    made = GROK.request(asking(), Credential())
    assert not made.stream
    assert made.headers["Accept"] == "application/json"
    assert json.loads(made.body or b"")["stream"] is False


SEALED: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
HELLO: dict[str, Any] = {"role": "user", "content": "Hi"}
SEALS = "reasoning.encrypted_content"


@pytest.mark.parametrize(
    ("keep", "include", "sent"),
    [
        (True, None, [SEALS]),
        (True, ["x"], ["x", SEALS]),
        (True, [SEALS], [SEALS]),
        (False, ["x"], ["x"]),
        (False, None, None),
    ],
)
def test_thinking_comes_sealed_where_the_answer_is_kept(keep: bool, include: Any, sent: Any) -> None:
    chat = attrs.evolve(asking(**({} if include is None else {"include": include})), keep=keep)
    assert body(chat, stream=False).get("include") == sent


def test_thinking_that_xai_has_not_kept_is_left_out() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
    assert body(asking(input=[HELLO, bare, SEALED]), stream=False)["input"] == [HELLO, SEALED]


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}])
def test_a_reference_to_an_item_is_refused(item: Any) -> None:
    with pytest.raises(Refusal, match="msg_1") as caught:
        body(asking(input=[HELLO, item]), stream=False)
    assert (caught.value.kind, caught.value.param) == (Kind.BAD_REQUEST, "input[1]")


@pytest.mark.parametrize("said", ["Invalid encrypted content.", "Reasoning item rs_1 cannot be read"])
def test_seals_that_xai_cannot_read_are_left_out(said: str) -> None:
    refused = Refusal(Kind.BAD_REQUEST, said)
    amendment = GROK.amend(asking(input=[HELLO, SEALED]), refused)
    assert amendment is not None
    assert list(amendment.notes) == ["x-chatmock-thinking"]
    assert body(amendment.chat, stream=False)["input"] == [HELLO]
    assert GROK.amend(amendment.chat, refused) is None, "there is nothing more to leave out"
    assert GROK.amend(asking(input=[HELLO, SEALED]), Refusal(Kind.BAD_REQUEST, "no")) is None
    assert GROK.amend(asking(input=[HELLO, SEALED]), Refusal(Kind.OVERLOADED, said)) is None
    assert GROK.amend(ChatRequest("m", ()), refused) is None


def test_seals_that_xai_does_not_give_are_not_asked_for_again() -> None:
    refused = Refusal(Kind.BAD_REQUEST, "The model gives no encrypted reasoning.")
    amendment = GROK.amend(attrs.evolve(asking(include=["x"]), keep=True), refused)
    assert amendment is not None
    assert list(jsontext.loads(jsontext.dumps(body(amendment.chat, stream=False)))["include"]) == ["x"]
    assert GROK.amend(amendment.chat, refused) is None
    assert GROK.amend(attrs.evolve(asking(include=[SEALS]), keep=True), refused) is None, (
        "which the client wants"
    )


@pytest.mark.parametrize(("wanted", "most", "sent"), [(9000, 2048, 2048), (10, 10, 10), (None, None, None)])
def test_the_owners_limit(wanted: int | None, most: int | None, sent: int | None) -> None:
    assert body(asking(max_tokens=most, max_output_tokens=wanted), stream=False)["max_output_tokens"] == sent


def test_the_name_of_the_conversation_keeps_the_cache() -> None:
    chat = ChatRequest("m", (), session="mine", source=Source("openai-responses", {"input": "Hi"}))
    assert body(chat, stream=False)["prompt_cache_key"] == "mine"
    assert "prompt_cache_key" not in body(asking(), stream=False)


def test_other_dialects_are_asked_for_in_openai_chat() -> None:
    assert GROK.wires == ("openai-chat", "openai-responses")
    for source in (None, Source("openai-chat", {"messages": []}), Source("anthropic", {"messages": []})):
        made = GROK.request(ChatRequest("m", (), source=source), Credential())
        assert made.url == "http://x/v1/chat/completions"
    other = OpenAICompatible("other", "http://x/v1", compatible.DIFFERENCES)
    assert other.wires == ("openai-chat",)
    assert other.request(asking(), Credential()).url == "http://x/v1/chat/completions"


@pytest.mark.parametrize(
    ("reasoning", "left"),
    [({"effort": "high"}, None), ({"effort": "high", "summary": "auto"}, {"summary": "auto"})],
)
def test_an_effort_that_the_model_lacks_is_left_out(reasoning: Any, left: Any) -> None:
    refused = Refusal(Kind.BAD_REQUEST, "Model m does not support parameter reasoningEffort.")
    amendment = GROK.amend(asking(reasoning=reasoning, temperature=1), refused)
    assert amendment is not None
    assert amendment.notes == {"X-Chatmock-Ignored": "reasoning.effort"}
    assert body(amendment.chat, stream=False).get("reasoning") == left
    assert body(amendment.chat, stream=False)["temperature"] == 1


def test_who_reads_the_answer() -> None:
    passage = GROK.passage(asking(), Identity("own", 5))
    assert isinstance(passage, ResponsesPassage)
    assert not passage.folds
    streamed = ChatRequest("m", (), force_stream=True, source=asking().source)
    assert GROK.passage(streamed, Identity("own", 5)).folds
    assert GROK.decoder(asking()).feed(STREAM), "it reads the Responses stream"


STREAM = b'data: {"type":"response.output_text.delta","delta":"Hi","output_index":0,"content_index":0}\n\n'

# Through the real SDK.


@pytest.mark.parametrize("cut", ["bytes", "records", "random"])
@parametrised(STREAMS)
async def test_a_recorded_stream(grok: Daemon, xai: XAIServer, recording: Recording, cut: str) -> None:
    xai.reply(cuts(recording.response)[cut])

    def ask(sdk: openai.OpenAI) -> Any:
        events = sdk.responses.create(model="mine", input="Hi", stream=True, store=False)
        return [event.model_dump(exclude_unset=True, warnings=False) for event in events]

    events = await grok.ask(ask)
    lines = [line[6:] for line in recording.response.decode().splitlines() if line.startswith("data: ")]
    theirs = [json.loads(line) for line in lines]
    assert [event["type"] for event in events] == [event["type"] for event in theirs]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]["response"]
    assert (final["model"], final["store"]) == ("mine", False)
    assert [item["type"] for item in final["output"]] == [
        item["type"] for item in theirs[-1]["response"]["output"]
    ]
    assert [e["delta"] for e in events if "delta" in e] == [e["delta"] for e in theirs if "delta" in e]
    assert xai.responses()[-1].body == {"model": "mine", "input": "Hi", "stream": True, "store": False}


@parametrised(WHOLES)
async def test_a_recorded_whole_answer(grok: Daemon, xai: XAIServer, recording: Recording) -> None:
    theirs = json.loads(recording.response)
    xai.reply_json(theirs)
    answer = await grok.ask(lambda sdk: sdk.responses.create(model="mine", input="Hi", store=False))
    assert (answer.model, answer.id) == ("mine", theirs["id"])
    assert [item.type for item in answer.output] == [item["type"] for item in theirs["output"]]
    assert answer.usage.input_tokens_details.cache_write_tokens == 0
    assert answer.usage.output_tokens == theirs["usage"]["output_tokens"]


@pytest.mark.parametrize("include", [None, [SEALS]])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_chain_of_thought_is_gone_on_from(
    grok: Daemon, xai: XAIServer, stream: bool, include: Any
) -> None:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}  # fmt: skip
    answer = {"id": "resp_x", "object": "response", "status": "completed", "output": [SEALED, item]}
    script = [
        {"type": "response.created", "response": {**answer, "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": SEALED},
        {"type": "response.completed", "response": answer},
    ]
    more: Any = {} if include is None else {"include": include}

    def ask(sdk: openai.OpenAI) -> Any:
        if not stream:
            return sdk.responses.create(model="m", input="Hi", **more)
        events = list(sdk.responses.create(model="m", input="Hi", stream=True, **more))
        assert ("sealed" in str(events[1])) == bool(include)
        return events[-1].response

    if stream:
        xai.reply([b"data: %b\n\n" % json.dumps(record).encode() for record in script])
    else:
        xai.reply_json(answer)
    first = await grok.ask(ask)
    assert ("sealed" in str(first)) == bool(include)
    xai.reply_json(answer)
    await grok.ask(lambda sdk: sdk.responses.create(model="m", input="Bye", previous_response_id=first.id))
    sent = xai.responses()[-1].body
    assert sent["include"] == [SEALS]
    assert [each.get("encrypted_content") for each in sent["input"]] == [None, "sealed", None, None]


async def test_a_conversation_goes_on_by_its_id(grok: Daemon, xai: XAIServer) -> None:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}  # fmt: skip
    xai.reply_json({"id": "resp_x", "object": "response", "status": "completed", "output": [item]})

    def ask(sdk: openai.OpenAI) -> Any:
        first = sdk.responses.create(model="m", input="Hi")
        return first, sdk.responses.create(model="m", input="Bye", previous_response_id=first.id)

    first, second = await grok.ask(ask)
    assert first.store
    assert second.previous_response_id == first.id
    sent = xai.responses()[-1].body
    assert [each["role"] for each in sent["input"]] == ["user", "assistant", "user"]
    assert "previous_response_id" not in sent
    assert sent["store"] is False


@pytest.mark.parametrize(
    ("error", "status", "expected", "code"),
    [
        ("Incorrect API key provided: xa***ey.", 400, openai.AuthenticationError, "invalid_api_key"),
        ("Model not found: m", 400, openai.NotFoundError, "model_not_found"),
        ("input is malformed", 422, openai.BadRequestError, None),
    ],
)
async def test_errors(
    grok: Daemon,
    xai: XAIServer,
    *,
    error: str,
    status: int,
    expected: type[openai.APIStatusError],
    code: str | None,
) -> None:
    xai.answer = lambda asked: refusal(PHRASE, error, status)
    for stream in (False, True):
        asked: Any = {"model": "m", "input": "Hi", "stream": stream}
        with pytest.raises(expected) as caught:
            await grok.ask(partial(_create, **asked))
        assert caught.value.code == code


def _create(sdk: openai.OpenAI, **asked: Any) -> Any:
    return sdk.responses.create(**asked)


async def test_an_error_inside_a_success(grok: Daemon, xai: XAIServer) -> None:
    xai.reply([b'data: {"code":"x","error":"The service is currently unavailable"}\n\n'])
    with pytest.raises(openai.InternalServerError) as caught:
        await grok.ask(lambda sdk: sdk.responses.create(model="m", input="Hi", stream=True))
    assert caught.value.status_code == 503


async def test_an_unsupported_effort_is_left_out_once(grok: Daemon, xai: XAIServer) -> None:
    refused = refusal(PHRASE, "Model m does not support parameter reasoningEffort.")
    xai.reply_json({"id": "resp_x", "status": "completed", "output": [{"type": "message", "content": []}]})
    answered = xai.answer(Asked("POST", ""))
    xai.answer = lambda asked: refused if "reasoning" in asked.body else answered
    raw = await grok.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="m", input="Hi", reasoning={"effort": "high"}
        )
    )
    assert raw.headers["x-chatmock-ignored"] == "reasoning.effort"
    assert len(xai.responses()) == 2


async def test_chat_clients_are_asked_for_as_before(grok: Daemon, xai: XAIServer) -> None:
    xai.reply_json(completion())
    answer = await grok.ask(
        lambda sdk: sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    )
    assert answer.choices[0].message.content == "Hello."
    assert xai.responses() == []
