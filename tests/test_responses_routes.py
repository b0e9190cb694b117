"""Answers that are kept: gone on from, read again, deleted, and nobody else's; through the official SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from chatmock.kept_answers.database import KEPT_FILE
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.chunks import DONE, chunk, text_stream
from tests.conftest import KEY, Daemon, Start
from tests.keys.making import entry_of
from tests.test_admitting import http
from tests.upstreams.openai_server import OpenAIServer

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}
MINE, YOURS = "sk-chatmock-mine", "sk-chatmock-yours"


def asked(upstream: OpenAIServer) -> Any:
    """The messages that the upstream was asked last, by role and text."""
    messages = upstream.chats()[-1].body["messages"]
    return [(each["role"], each.get("content")) for each in messages]


async def said(daemon: Daemon, upstream: OpenAIServer, text: str, **more: Any) -> Any:
    """The answer *text*."""
    upstream.reply(text_stream(text))
    return await daemon.ask(lambda sdk: sdk.responses.create(**{"model": "m", "input": "Hi", **more}))


async def error_of(
    daemon: Daemon, call: Callable[[openai.OpenAI], Any], key: str = "client-key"
) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await daemon.ask(lambda sdk: call(sdk.with_options(api_key=key)))
    return caught.value


async def test_a_kept_answer_is_read_again(compatible: Daemon, upstream: OpenAIServer) -> None:
    made = await said(compatible, upstream, "Hello.")
    assert made.store
    assert await compatible.ask(lambda sdk: sdk.responses.retrieve(made.id)) == made


async def test_a_conversation_goes_on(compatible: Daemon, upstream: OpenAIServer) -> None:
    first = await said(compatible, upstream, "One.", input="1", instructions="Count.")
    second = await said(compatible, upstream, "Two.", input="2", previous_response_id=first.id)
    third = await said(
        compatible,
        upstream,
        "Three.",
        input=[{"role": "user", "content": "3"}],
        previous_response_id=second.id,
    )
    assert asked(upstream) == [
        ("user", "1"),
        ("assistant", "One."),
        ("user", "2"),
        ("assistant", "Two."),
        ("user", "3"),
    ]
    assert (third.previous_response_id, third.output_text) == (second.id, "Three.")
    fork = await said(compatible, upstream, "Also two.", input="2b", previous_response_id=first.id)
    assert asked(upstream) == [("user", "1"), ("assistant", "One."), ("user", "2b")]
    assert fork.previous_response_id == first.id


async def test_a_stream_is_kept_and_gone_on_from(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello ", "there."))

    def stream(sdk: openai.OpenAI) -> Any:
        with sdk.responses.stream(model="m", input="Hi") as events:
            for _ in events:
                pass
            return events.get_final_response()

    made = await compatible.ask(stream)
    kept = await compatible.ask(lambda sdk: sdk.responses.retrieve(made.id))
    assert (kept.id, kept.output_text, kept.status) == (made.id, "Hello there.", "completed")
    await said(compatible, upstream, "Bye.", input="Bye", previous_response_id=made.id)
    assert asked(upstream) == [("user", "Hi"), ("assistant", "Hello there."), ("user", "Bye")]


async def test_a_tools_result_is_enough(compatible: Daemon, upstream: OpenAIServer) -> None:
    function = {"name": "weather", "arguments": '{"place":"Rome"}'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    upstream.reply(
        [
            chunk({"role": "assistant", "content": None, "tool_calls": [call]}),
            chunk(finish="tool_calls"),
            DONE,
        ]
    )
    made = await compatible.ask(lambda sdk: sdk.responses.create(model="m", input="Rome?", tools=[WEATHER]))
    (item,) = made.output
    result: Any = {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
    await said(compatible, upstream, "Sunny.", input=[result], tools=[WEATHER], previous_response_id=made.id)
    messages = upstream.chats()[-1].body["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["function"] == function
    assert (messages[2]["tool_call_id"], messages[2]["content"]) == (
        messages[1]["tool_calls"][0]["id"],
        "sunny",
    )


async def test_another_provider_goes_on(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="demo",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        compatible_models=("m",),
    )
    first = await daemon.ask(lambda sdk: sdk.responses.create(model="demo", input="Hello"))
    assert first.output_text
    second = await said(daemon, upstream, "Two.", input="And?", previous_response_id=first.id)
    assert asked(upstream) == [("user", "Hello"), ("assistant", first.output_text), ("user", "And?")]
    third = await daemon.ask(
        lambda sdk: sdk.responses.create(model="demo", input="And now?", previous_response_id=second.id)
    )
    listed = await daemon.ask(lambda sdk: sdk.responses.input_items.list(third.id, order="asc"))
    assert [item.role for item in listed.data] == ["user", "assistant"] * 2 + ["user"]


async def test_what_an_answer_was_given_to(compatible: Daemon, upstream: OpenAIServer) -> None:
    first = await said(compatible, upstream, "One.", input="1")
    second = await said(compatible, upstream, "Two.", input="2", previous_response_id=first.id)

    def pages(sdk: openai.OpenAI) -> Any:
        listed = sdk.responses.input_items.list(second.id, limit=2, order="asc")
        return [item.model_dump()["content"][0]["text"] for item in listed], len(listed.data), listed.has_more

    assert await compatible.ask(pages) == (["1", "One.", "2"], 2, True)
    wrong = await error_of(compatible, lambda sdk: sdk.responses.input_items.list(second.id, limit=1000))
    assert (wrong.status_code, wrong.param) == (400, "limit")


async def test_a_deleted_answer_is_gone(compatible: Daemon, upstream: OpenAIServer) -> None:
    made = await said(compatible, upstream, "Hello.")
    told = await http(compatible, "DELETE", f"/v1/responses/{made.id}")
    assert (told.status, json.loads(told.body)) == (
        200,
        {"id": made.id, "object": "response", "deleted": True},
    )
    for call in (
        lambda sdk: sdk.responses.retrieve(made.id),
        lambda sdk: sdk.responses.delete(made.id),
        lambda sdk: sdk.responses.input_items.list(made.id),
        lambda sdk: sdk.responses.cancel(made.id),
    ):
        error = await error_of(compatible, call)
        assert error.status_code == 404
        assert f"Response with id '{made.id}' not found." in error.message
    await not_found(compatible, made.id)


async def not_found(daemon: Daemon, id: str, key: str = "client-key") -> None:
    """Nobody goes on from *id*."""
    error = await error_of(
        daemon, lambda sdk: sdk.responses.create(model="m", input="Hi", previous_response_id=id), key
    )
    assert (error.status_code, error.code, error.param) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
    )
    assert id in error.message


async def test_the_sdk_deletes(compatible: Daemon, upstream: OpenAIServer) -> None:
    made = await said(compatible, upstream, "Hello.")
    await compatible.ask(lambda sdk: sdk.responses.delete(made.id))
    assert (await http(compatible, "GET", f"/v1/responses/{made.id}")).status == 404


async def test_unknown_ids(compatible: Daemon, upstream: OpenAIServer) -> None:
    for id in ("resp_0", "resp_" + "a" * 24, "x" * 90, "ä'\"\n"):
        await not_found(compatible, id)
    assert upstream.chats() == []


async def test_what_is_not_to_be_stored_is_not(
    compatible: Daemon, upstream: OpenAIServer, home: Path
) -> None:
    made = await said(compatible, upstream, "Hello.", store=False)
    assert made.store is False
    await not_found(compatible, made.id)
    assert (await http(compatible, "GET", f"/v1/responses/{made.id}")).status == 404
    assert not (home / ".chatgpt-local" / KEPT_FILE).exists()


async def test_an_answer_that_failed_is_not_kept(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply([chunk({"role": "assistant", "content": "Half an"})])
    body = {"model": "m", "input": "Hi", "stream": True}
    told = await http(compatible, "POST", "/v1/responses", body)
    records = [json.loads(line[6:]) for line in told.body.decode().splitlines() if line.startswith("data: ")]
    assert records[-1]["type"] == "response.failed"
    await not_found(compatible, records[0]["response"]["id"])


async def test_who_keeps_nothing(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        responses_days=0,
    )
    made = await said(daemon, upstream, "Hello.", store=True)
    assert made.store is False
    assert (await http(daemon, "GET", f"/v1/responses/{made.id}")).status == 404
    error = await error_of(
        daemon, lambda sdk: sdk.responses.create(model="m", input="Hi", previous_response_id=made.id)
    )
    assert (error.status_code, error.param) == (400, "previous_response_id")
    assert "CHATMOCK_RESPONSES_DAYS" in error.message


@pytest.fixture
def shared(start: Start, upstream: OpenAIServer, home: Path) -> Daemon:
    """A daemon of two clients with keys, and any number without."""
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    store.add(entry_of("mine", MINE.encode()))
    store.add(entry_of("yours", YOURS.encode()))
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_concurrency=4,
    )


async def create_as(daemon: Daemon, key: str) -> Any:
    return await daemon.ask(lambda sdk: sdk.with_options(api_key=key).responses.create(model="m", input="Hi"))


async def test_another_clients_answer_is_unknown(shared: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))
    made = await create_as(shared, MINE)
    for key in (YOURS, "none-at-all"):
        for call in (
            lambda sdk: sdk.responses.retrieve(made.id),
            lambda sdk: sdk.responses.delete(made.id),
            lambda sdk: sdk.responses.input_items.list(made.id),
            lambda sdk: sdk.responses.cancel(made.id),
        ):
            error = await error_of(shared, call, key)
            unknown = await error_of(shared, lambda sdk: sdk.responses.retrieve("resp_0"), key)
            assert error.status_code == unknown.status_code == 404
            assert error.message.replace(made.id, "resp_0") == unknown.message
        await not_found(shared, made.id, key)
    kept = await shared.ask(lambda sdk: sdk.with_options(api_key=MINE).responses.retrieve(made.id))
    assert kept.output_text == "Hello."


async def test_another_key_of_the_same_name_is_another_client(
    shared: Daemon, upstream: OpenAIServer, home: Path
) -> None:
    upstream.reply(text_stream("Hello."))
    made = await create_as(shared, MINE)
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    store.revoke("mine", 2_000.0)
    store.add(entry_of("mine", b"sk-chatmock-later"))
    shared.service._keys.load()
    error = await error_of(shared, lambda sdk: sdk.responses.retrieve(made.id), "sk-chatmock-later")
    assert error.status_code == 404


async def test_it_survives_a_restart(start: Start, upstream: OpenAIServer, home: Path) -> None:
    settings: Any = {
        "provider": "compatible",
        "compatible_base_url": upstream.url,
        "compatible_api_key": Secret(KEY),
    }
    before = start(**settings)
    made = await said(before, upstream, "Hello.")
    await before.service.stopService()
    after = start(**settings)
    assert (await after.ask(lambda sdk: sdk.responses.retrieve(made.id))) == made
    await said(after, upstream, "Bye.", input="Bye", previous_response_id=made.id)
    assert asked(upstream)[-1] == ("user", "Bye")
    file = home / ".chatgpt-local" / KEPT_FILE
    assert file.stat().st_mode & 0o777 == 0o600


async def test_what_is_read_counts_against_the_rate(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=4)
    statuses = [
        (await http(daemon, method, path)).status
        for method, path in [
            ("GET", "/v1/responses/resp_0"),
            ("DELETE", "/v1/responses/resp_0"),
            ("GET", "/v1/responses/resp_0/input_items"),
            ("POST", "/v1/responses/compact"),
            ("GET", "/v1/responses/resp_0"),
        ]
    ]
    assert statuses == [404, 404, 404, 501, 429]


async def test_what_there_is_not(compatible: Daemon, upstream: OpenAIServer) -> None:
    made = await said(compatible, upstream, "Hello.")
    streamed = await http(compatible, "GET", f"/v1/responses/{made.id}?stream=true")
    assert (streamed.status, streamed.error["param"]) == (400, "stream")
    cancelled = await http(compatible, "POST", f"/v1/responses/{made.id}/cancel")
    assert (cancelled.status, cancelled.error["code"]) == (400, "not_cancellable")
    for path in ("input_tokens", "compact"):
        told = await http(compatible, "POST", f"/v1/responses/{path}", {"model": "m", "input": "Hi"})
        assert (told.status, told.error["code"]) == (501, "not_implemented")
    plain = await http(compatible, "GET", "/v1/responses")
    assert (plain.status, plain.headers["allow"]) == (405, "POST")
    assert (await http(compatible, "GET", "/v1/responses/a/b")).status == 404


async def test_a_page_may_ask_before(start: Start) -> None:
    daemon = start(provider="demo", cors_origins=("https://chat.lan",))
    for path in ("/v1/responses", "/v1/responses/resp_0"):
        answer = await http(
            daemon,
            "OPTIONS",
            path,
            Origin="https://chat.lan",
            Access_Control_Request_Method="POST",
        )
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "https://chat.lan"
