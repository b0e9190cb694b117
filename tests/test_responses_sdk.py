"""The official SDK's Responses client against the daemon, in front of the demo and of a fake upstream that speaks OpenAI
chat only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pydantic
import pytest

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, record, text_stream, usage
from tests.conftest import KEY, Daemon, Start
from tests.dialects.reading_responses import events_of, final, runs
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply
from tests.upstreams.xai_server import XAIServer

ADD: Any = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "strict": False,
}
PATCH: Any = {"type": "custom", "name": "patch", "description": "Edits files."}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


@pytest.fixture
def demo(start: Start) -> Daemon:
    return start(provider="demo", max_concurrency=4)


def created(**asked: Any) -> Callable[[openai.OpenAI], Any]:
    return lambda sdk: sdk.responses.create(**{"model": "m", "input": "Hi", **asked})


def listened(**asked: Any) -> Callable[[openai.OpenAI], Any]:
    return lambda sdk: list(created(stream=True, **asked)(sdk))


def called(*calls: tuple[str, str, str], thinking: str = "") -> list[bytes]:
    """A stream that calls functions: their ids, names and arguments, each in two pieces."""
    pieces = [chunk({"role": "assistant", "content": None})]
    if thinking:
        pieces.append(chunk({"reasoning_content": thinking}))
    for index, (id, name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        begun = {"name": name, "arguments": arguments[:half]}
        pieces.append(
            chunk({"tool_calls": [{"index": index, "id": id, "type": "function", "function": begun}]})
        )
        rest = {"index": index, "function": {"arguments": arguments[half:]}}
        pieces.append(chunk({"tool_calls": [rest]}))
    return [*pieces, chunk(finish="tool_calls"), usage(), DONE]


async def error_of(daemon: Daemon, call: Callable[[openai.OpenAI], Any]) -> Any:
    with pytest.raises(openai.APIError) as caught:
        await daemon.ask(call)
    return caught.value


async def test_a_whole_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    answer = await compatible.ask(created(instructions="Be brief.", temperature=0.5, metadata={"a": "b"}))
    assert answer.output_text == "Hello"
    assert (answer.status, answer.model, answer.metadata) == ("completed", "m", {"a": "b"})
    assert answer.id.startswith("resp_")
    assert answer.output[0].id.startswith("msg_")
    assert answer.usage.total_tokens == 5
    assert answer._request_id.startswith("req_")
    sent = upstream.chats()[0].body
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert sent["temperature"] == 0.5
    assert not {"metadata", "store", "input", "instructions"} & set(sent)


async def test_a_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    events = await compatible.ask(listened())
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [e.delta for e in events if e.type == "response.output_text.delta"] == ["Hel", "lo"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello"
    assert events[-1].response.usage.output_tokens == 2


async def test_every_byte_of_a_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    body = await compatible.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="m", input="Hi", stream=True
        ).http_response.read()
    )
    events = events_of(body)
    assert final(events)["status"] == "completed"
    assert b"[DONE]" not in body


async def test_the_streaming_helper(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(called(("call_a", "add", '{"a":1}'), ("call_b", "add", '{"a":2}'), thinking="hm"))

    def listen(sdk: openai.OpenAI) -> Any:
        with sdk.responses.stream(model="m", input="Hi", tools=[ADD]) as stream:
            kinds = [event.type for event in stream]
            return kinds, stream.get_final_response()

    kinds, answer = await compatible.ask(listen)
    assert kinds.count("response.output_item.done") == 3
    assert "response.reasoning_text.delta" in kinds
    assert [item.type for item in answer.output] == ["reasoning", "function_call", "function_call"]
    assert [(c.call_id, c.arguments) for c in answer.output[1:]] == [
        ("call_a", '{"a":1}'),
        ("call_b", '{"a":2}'),
    ]


class City(pydantic.BaseModel):
    name: str
    people: int


async def test_parsing(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream('{"name": "Rome", ', '"people": 3}'))
    answer = await compatible.ask(lambda sdk: sdk.responses.parse(model="m", input="Hi", text_format=City))
    assert answer.output_parsed == City(name="Rome", people=3)
    wanted = upstream.chats()[0].body["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "City"
    assert wanted["json_schema"]["strict"] is True

    def stream(sdk: openai.OpenAI) -> Any:
        with sdk.responses.stream(model="m", input="Hi", text_format=City) as events:
            return events.get_final_response().output_parsed

    assert await compatible.ask(stream) == City(name="Rome", people=3)


async def test_the_demo_answers_in_the_form_asked_for(demo: Daemon) -> None:
    answer = await demo.ask(
        lambda sdk: sdk.responses.parse(model="demo", input="A city, please", text_format=City)
    )
    assert isinstance(answer.output_parsed, City)


async def test_a_tool_round_trip(demo: Daemon) -> None:
    def talk(sdk: openai.OpenAI) -> Any:
        said: list[Any] = [{"role": "user", "content": "Please add"}]
        first = sdk.responses.create(model="demo", input=said, tools=[ADD], store=False)
        said += first.output
        calls = [item for item in first.output if item.type == "function_call"]
        said += [
            {"type": "function_call_output", "call_id": call.call_id, "output": "forty-two"} for call in calls
        ]
        return calls, sdk.responses.create(model="demo", input=said, tools=[ADD], store=False)

    calls, answer = await demo.ask(talk)
    assert [call.name for call in calls] == ["add"]
    assert isinstance(json.loads(calls[0].arguments)["a"], int)
    assert "forty-two" in answer.output_text


def tool_server(asked: Asked) -> Reply:
    """A model that calls ``add`` twice and ``patch``, then says what the tools answered."""
    results = [m for m in asked.body["messages"] if m["role"] == "tool"]
    if results:
        return Reply(text_stream(*(f"{m['tool_call_id']}={m['content']};" for m in results)))
    custom = json.dumps({"input": "*** Begin"})
    return Reply(
        called(("call_a", "add", '{"a":1}'), ("call_b", "patch", custom), ("call_c", "add", '{"a":2}'))
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_calls_of_functions_and_custom_tools(
    compatible: Daemon, upstream: OpenAIServer, stream: bool
) -> None:
    upstream.answer = tool_server

    def ask(sdk: openai.OpenAI, said: list[Any]) -> Any:
        asked = created(input=said, tools=[ADD, PATCH], stream=stream)(sdk)
        return list(asked)[-1].response if stream else asked

    def talk(sdk: openai.OpenAI) -> Any:
        said: list[Any] = [{"role": "user", "content": "Do it"}]
        first = ask(sdk, said)
        said += first.output
        said += [
            {"type": f"{call.type}_output", "call_id": call.call_id, "output": f"r{place}"}
            for place, call in enumerate(first.output)
        ]
        return first.output, ask(sdk, said)

    calls, answer = await compatible.ask(talk)
    assert [call.type for call in calls] == ["function_call", "custom_tool_call", "function_call"]
    assert calls[1].input == "*** Begin"
    assert [call.id.partition("_")[0] for call in calls] == ["fc", "ctc", "fc"]
    assert answer.output_text == "call_a=r0;call_b=r1;call_c=r2;"
    offered, told = (sent.body for sent in upstream.chats())
    assert [tool["function"]["name"] for tool in offered["tools"]] == ["add", "patch"]
    assert offered["tools"][1]["function"]["parameters"]["required"] == ["input"]
    assert [message["role"] for message in told["messages"]] == ["user", "assistant", "tool", "tool", "tool"]
    assert json.loads(told["messages"][1]["tool_calls"][1]["function"]["arguments"]) == {"input": "*** Begin"}


async def test_a_picture(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("A pixel."))
    parts = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
    ]
    answer = await compatible.ask(created(input=[{"role": "user", "content": parts}]))
    assert answer.output_text == "A pixel."
    assert upstream.chats()[0].body["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_declines(demo: Daemon, stream: bool) -> None:
    asked = {"model": "demo", "input": "demo: refuse\ndemo: pace 0"}
    answer = (await demo.ask(listened(**asked)))[-1].response if stream else await demo.ask(created(**asked))
    assert answer.output[0].content[0].type == "refusal"
    assert answer.output[0].content[0].refusal
    assert answer.output_text == ""


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_short(demo: Daemon, stream: bool) -> None:
    asked = {"model": "demo", "input": "demo: words 50\ndemo: pace 0", "max_output_tokens": 5}
    answer = (await demo.ask(listened(**asked)))[-1].response if stream else await demo.ask(created(**asked))
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[-1].status == "incomplete"
    assert answer.output_text == "word1 word2 word3 word4 word5"
    assert answer.max_output_tokens == 5


async def test_thinking(demo: Daemon) -> None:
    asked = {"model": "demo-thinking", "input": "demo: pace 0"}
    events = await demo.ask(listened(**asked))
    thought = "".join(e.delta for e in events if e.type == "response.reasoning_text.delta")
    whole = await demo.ask(created(**asked))
    assert thought
    assert whole.output[0].content[0].text == thought
    hidden = await demo.ask(created(**asked, reasoning={"summary": "none"}))
    assert hidden.output[0].type == "reasoning"
    assert hidden.output[0].content is None


async def test_what_the_upstream_cannot_get_is_named(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))
    items: Any = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"role": "user", "content": "Hi"},
    ]
    answer = await compatible.ask(
        lambda sdk: sdk.responses.with_raw_response.create(model="m", input=items, truncation="auto")
    )
    named = answer.headers["X-Chatmock-Ignored"]
    assert {"input.web_search_call", "truncation"} <= set(named.split(", "))


@pytest.mark.parametrize(
    ("asked", "kind", "param"),
    [
        ({"input": []}, openai.BadRequestError, "input"),
        ({"background": True}, openai.BadRequestError, "background"),
        ({"conversation": "conv_1"}, openai.BadRequestError, "conversation"),
        ({"tool_choice": "maybe"}, openai.BadRequestError, "tool_choice"),
        (
            {"input": [{"type": "function_call_output", "output": "a"}]},
            openai.BadRequestError,
            "input[0].call_id",
        ),
    ],
)
async def test_faults_of_the_client(demo: Daemon, asked: dict[str, Any], kind: Any, param: str) -> None:
    error = await error_of(demo, created(**{"model": "demo", **asked}))
    assert type(error) is kind
    assert error.param == param


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, openai.AuthenticationError), (404, openai.NotFoundError), (429, openai.RateLimitError)],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_faults_before_the_answer(demo: Daemon, status: int, kind: Any, stream: bool) -> None:
    asked = {"model": "demo", "input": f"demo: fail {status}", "stream": stream}
    assert type(await error_of(demo, created(**asked))) is kind


async def test_a_fault_in_the_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    error = {
        "error": {"message": "Too much.", "code": "rate_limit_exceeded", "type": "tokens", "param": None}
    }
    upstream.reply([*text_stream("Hel")[:2], record(error)])
    told = await error_of(compatible, listened())
    assert "Too much." in told.message
    body = await compatible.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="m", input="Hi", stream=True
        ).http_response.read()
    )
    events = events_of(body)
    assert runs(events)[-2:] == ["error", "failed"]
    assert final(events)["status"] == "failed"


async def test_a_fault_while_an_answer_is_gathered(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply([*text_stream("Hel")[:2]])
    assert type(await error_of(compatible, created())) is openai.InternalServerError


async def test_a_fault_in_a_stream_that_is_passed_on(start: Start, xai: XAIServer) -> None:
    """It is numbered on from the records of the upstream, and ends the answer that those have begun."""
    response = {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 5,
        "status": "in_progress",
        "output": [],
    }
    item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    records: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
    ]
    xai.reply([record({**each, "sequence_number": number}) for number, each in enumerate(records)])
    xai.models = [{"id": "grok-4"}]
    daemon = start(provider="grok", grok_base_url=xai.url, xai_api_key=Secret(KEY))
    body = await daemon.ask(
        lambda sdk: sdk.responses.with_raw_response.create(
            model="grok-4", input="Hi", stream=True
        ).http_response.read()
    )
    told = [json.loads(block.partition(b"data: ")[2]) for block in body.split(b"\n\n")[:-1]]
    assert runs(told) == ["created", "in_progress", "output_item.added", "error", "failed"]
    assert [event["sequence_number"] for event in told] == [0, 1, 2, 3, 4]
    assert told[-1]["response"]["id"] == told[0]["response"]["id"] == "resp_theirs"
