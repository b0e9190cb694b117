"""The Qwen provider through the real OpenAI SDK, against a chat.qwen.ai that keeps chats, locks and rules as the real one."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from twisted.internet.defer import Deferred, DeferredList

from chatmock.qwen_account import token_notice
from chatmock.settings import Secret
from tests.conftest import Start, pause, until
from tests.test_chatgpt import ask
from tests.test_lifetimes import post
from tests.upstreams.openai_issuer import _jwt as jwt
from tests.upstreams.playing_site import Reply
from tests.upstreams.qwen_errors import REFUSALS
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_server import QwenServer

USER = {"role": "user", "content": "Hello?"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


def picture(data: str = PNG) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def talk(sdk: openai.OpenAI, messages: Sequence[Any], stream: bool = True, **more: Any) -> dict[str, Any]:
    """Ask and return the assistant's message as a client sends it back."""
    message, _, _ = ask(sdk, stream, model="qwen", messages=list(messages), **more)
    kept = {"role": "assistant", "content": message["content"]}
    if message.get("tool_calls"):
        kept["tool_calls"] = [{**call, "type": "function"} for call in message["tool_calls"]]
    return kept


@pytest.mark.parametrize("stream", [True, False])
async def test_text_thinking_and_usage(start_qwen: Start, site: QwenServer, stream: bool) -> None:
    site.play(Script().think("Let me ", "see.").answer("Hel", "lo").finish())
    daemon = start_qwen(reasoning_compat="reasoning-content")
    message, finish, usage = await daemon.ask(lambda sdk: ask(sdk, stream, model="qwen"))
    assert (message["content"], message["reasoning_content"], finish) == ("Hello", "Let me see.", "stop")
    assert usage.prompt_tokens == 20
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    site.play(Script().summary(("Look", "one two"), ("Again", "three"), repeats=2).answer("Hi").finish())
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, stream, model="qwen"))
    assert message["reasoning_content"] == "Look\n\none two\n\nAgain\n\nthree"


async def test_a_conversation_goes_on_in_its_chat(start_qwen: Start, site: QwenServer) -> None:
    site.answer = lambda turn: Script().think("hm").answer(f"answer to {turn.text}").finish()

    def converse(sdk: openai.OpenAI) -> None:
        messages: list[Any] = [{"role": "system", "content": "Be brief."}]
        for text in ("one", "two", "three"):
            messages.append({"role": "user", "content": text})
            messages.append(talk(sdk, messages))

    await start_qwen().ask(converse)  # with think-tags, which come back in the history
    first, second, third = site.chats.turns
    assert first.chat is second.chat is third.chat
    assert "Be brief." in first.text
    assert (second.text, third.text) == ("two", "three")
    assert [context for context, _ in third.context] == [first.text, "two"]


async def test_another_history_opens_another_chat_with_all_of_it(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen()
    history = [USER, {"role": "assistant", "content": "Edited"}, {"role": "user", "content": "And now?"}]
    await daemon.ask(lambda sdk: talk(sdk, [USER]))
    await daemon.ask(lambda sdk: talk(sdk, history))
    first, second = site.chats.turns
    assert first.chat is not second.chat
    assert all(text in second.text for text in ("Hello?", "Edited", "And now?"))


async def test_a_deleted_chat_is_left_for_a_new_one(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen()
    answer = await daemon.ask(lambda sdk: talk(sdk, [USER]))
    site.delete(site.chats.turns[0].chat.id)
    await daemon.ask(lambda sdk: talk(sdk, [USER, answer, {"role": "user", "content": "More"}]))
    assert len(site.chats.turns) == 2
    assert "Hello?" in site.chats.turns[1].text


async def test_a_chosen_chat_is_gone_on_in(start_qwen: Start, site: QwenServer) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen()

    def converse(sdk: openai.OpenAI) -> None:
        query = {"chat_id": chat.id}
        answer = talk(sdk, [USER], extra_query=query)
        talk(sdk, [USER, answer, {"role": "user", "content": "More"}], extra_query=query)

    await daemon.ask(converse)
    assert [turn.chat for turn in site.chats.turns] == [chat, chat]
    assert site.chats.turns[1].text == "More"
    with pytest.raises(openai.BadRequestError) as caught:
        await daemon.ask(lambda sdk: talk(sdk, [USER], extra_query={"chat_id": "42"}))
    assert caught.value.param == "chat_id"
    with pytest.raises(openai.NotFoundError, match="chat"):
        missing = "00000000-0000-4000-8000-000000000000"
        await daemon.ask(lambda sdk: talk(sdk, [USER], extra_query={"chat_id": missing}))


async def test_a_pinned_chat_takes_one_request_at_a_time(start_qwen: Start, site: QwenServer) -> None:
    chat = site.chats.open("qwen3.7-plus")
    site.answer = lambda turn: Script().answer("one", " two").finish().paced(0.02)
    daemon = start_qwen(qwen_chat_id=chat.id)

    def two(sdk: openai.OpenAI) -> list[str]:
        from concurrent.futures import ThreadPoolExecutor

        def one(text: str) -> str:
            query = {"chat_id": chat.id}
            return str(talk(sdk, [{"role": "user", "content": text}], extra_query=query)["content"])

        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(one, ["a", "b", "c"]))

    assert await daemon.ask(two) == ["one two"] * 3
    first, second, third = site.chats.turns
    assert (first.chat, second.parent, third.parent) == (chat, first, second)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_chat_that_is_locked_is_stopped_and_asked_again(
    start_qwen: Start, site: QwenServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatmock.providers.qwen.contract.BUSY_WAIT", 0.05)
    site.busy_status = status
    chat = site.chats.open("qwen3.7-plus")
    lock_by_somebody_else(site, chat.id)
    message = await start_qwen().ask(lambda sdk: talk(sdk, [USER], extra_query={"chat_id": chat.id}))
    assert message["content"] == "Hello"
    assert [stop.chat_id for stop in site.stops] == [chat.id]
    theirs, ours = chat.turns
    assert ours.parent is theirs


def lock_by_somebody_else(site: QwenServer, chat_id: str) -> None:
    chat = site.chats.get(chat_id)
    assert chat is not None
    chat.take({"content": "theirs", "files": []}, {}, None)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_round_trip(start_qwen: Start, site: QwenServer, stream: bool) -> None:
    site.play(
        Script().answer("I look. <tool", CALL[5:30], CALL[30:], "\n").finish(),
        Script().answer("Sunny").finish(),
    )

    def converse(sdk: openai.OpenAI) -> tuple[dict[str, Any], dict[str, Any]]:
        first = talk(sdk, [USER], stream, tools=TOOLS)
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "25 degrees"}
        return first, talk(sdk, [USER, first, result], stream, tools=TOOLS)

    first, last = await start_qwen().ask(converse)
    assert first["content"].strip() == "I look."
    [call] = first["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "weather",
        {"city": "Paris"},
    )
    assert last["content"] == "Sunny"
    asked, told = site.chats.turns
    assert asked.chat is told.chat
    assert "Tells the weather" in asked.text
    assert "25 degrees" in told.text
    assert "Tells the weather" not in told.text
    assert asked.message["feature_config"]["auto_search"] is False


async def test_parallel_calls(start_qwen: Start, site: QwenServer) -> None:
    site.say(CALL, "\n", CALL.replace("Paris", "Tokyo"))
    daemon = start_qwen()
    message, finish, _ = await daemon.ask(lambda sdk: ask(sdk, True, model="qwen", tools=TOOLS))
    assert finish == "tool_calls"
    assert [json.loads(c["function"]["arguments"])["city"] for c in message["tool_calls"]] == [
        "Paris",
        "Tokyo",
    ]
    message, _, _ = await daemon.ask(
        lambda sdk: ask(sdk, True, model="qwen", tools=TOOLS, parallel_tool_calls=False)
    )
    assert len(message["tool_calls"]) == 1
    await until(lambda: not site.locked)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_a_forced_call_that_comes_as_prose_is_asked_for_once_more(
    start_qwen: Start, site: QwenServer, choice: Any
) -> None:
    site.play(Script().answer("It is sunny.").finish(), Script().answer(CALL).finish())
    daemon = start_qwen()
    message, finish, _ = await daemon.ask(
        lambda sdk: ask(sdk, True, model="qwen", tools=TOOLS, tool_choice=choice)
    )
    assert (message["content"], finish) == ("", "tool_calls")
    assert len(site.chats.turns) == 2
    site.play(Script().answer("It is sunny.").finish())
    with pytest.raises(openai.InternalServerError) as caught:
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen", tools=TOOLS, tool_choice=choice))
    assert caught.value.code == "upstream_no_tool_call"
    assert len(site.chats.turns) == 4


async def test_pictures_are_uploaded_once(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen()
    content = [{"type": "text", "text": "What is it?"}, picture(), picture()]
    for _ in range(2):
        await daemon.ask(lambda sdk: talk(sdk, [{"role": "user", "content": content}]))
    assert [len(turn.pictures) for turn in site.chats.turns] == [2, 2]
    assert site.chats.turns[0].pictures[0] == base64.b64decode(PNG)
    assert len(site.calls("store")) == 1


async def test_a_picture_that_cannot_be_uploaded_is_an_error(start_qwen: Start, site: QwenServer) -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        picture(),
        picture(base64.b64encode(b"GIF89a" + bytes(9)).decode()),
    ]
    daemon = start_qwen()
    site.plan("store", Reply([b"<Error><Code>AccessDenied</Code></Error>"], status=403))
    with pytest.raises(openai.InternalServerError, match="AccessDenied") as caught:
        await daemon.ask(lambda sdk: talk(sdk, [{"role": "user", "content": content}]))
    assert caught.value.code == "upstream_upload_failed"
    site.plan("files/getstsToken", *[REFUSALS["RateLimited"]() for _ in range(2)])
    with pytest.raises(openai.RateLimitError):
        await daemon.ask(
            lambda sdk: talk(
                sdk, [{"role": "user", "content": [picture(base64.b64encode(b"GIF89a" + bytes(5)).decode())]}]
            )
        )
    assert site.chats.turns == []
    assert site.stops == []


async def test_search_results_are_citations(start_qwen: Start, site: QwenServer) -> None:
    site.play(Script().web_search("news", ("One", "https://one.test/")).answer("News").finish())
    message, _, _ = await start_qwen().ask(
        lambda sdk: ask(sdk, True, model="qwen", extra_body={"web_search_options": {}})
    )
    assert message["annotations"][0]["url_citation"]["url"] == "https://one.test/"
    assert site.chats.turns[0].message["feature_config"]["auto_search"] is True


async def test_limits_cut_the_answer_and_free_the_chat(start_qwen: Start, site: QwenServer) -> None:
    site.answer = lambda turn: Script().answer("one ", "two ST", "OP ", *["more "] * 50).finish().paced(0.01)
    daemon = start_qwen()
    message, finish, _ = await daemon.ask(lambda sdk: ask(sdk, True, model="qwen", stop=["STOP"]))
    assert (message["content"], finish) == ("one two ", "stop")
    message, finish, _ = await daemon.ask(lambda sdk: ask(sdk, False, model="qwen", max_tokens=1))
    assert (message["content"], finish) == ("one ", "length")
    await until(lambda: not site.locked and site.active == 0)
    assert len(site.stops) == 2
    assert all(stop.response_id for stop in site.stops)


async def test_a_conversation_that_is_too_long_is_told_before_it_is_sent(
    start_qwen: Start, site: QwenServer
) -> None:
    messages = [{"role": "user", "content": "x" * 16_000} for _ in range(9)]
    with pytest.raises(openai.BadRequestError) as caught:
        await start_qwen().ask(lambda sdk: talk(sdk, messages))
    assert caught.value.code == "context_length_exceeded"
    assert site.calls("chat/completions") == []


TOLD = {
    "RateLimited": (429, "rate_limit_exceeded", "36000", 1),
    "RateLimited without hours": (429, "rate_limit_exceeded", "5", 1),
    "quotaLimited": (429, "rate_limit_exceeded", "5", 1),
    "Too_Many_Requests": (429, "rate_limit_exceeded", "5", 1),
    "ParallelLimited": (429, "chat_busy", "1", 2),
    "in progress": (429, "chat_busy", "1", 2),
    "in progress, 400": (429, "chat_busy", "1", 2),
    "Unauthorized": (401, "invalid_api_key", None, 1),
    "unauthorized, 200": (401, "invalid_api_key", None, 1),
    "token expired": (401, "invalid_api_key", None, 1),
    "Forbidden": (403, "upstream_forbidden", None, 1),
    "captcha": (403, "upstream_captcha", None, 1),
    "WAF page": (403, "upstream_captcha", None, 1),
    "model not found": (404, "model_not_found", None, 1),
    "chat not exist": (404, "chat_not_found", None, 2),
    "ContextLengthExceeded": (400, "context_length_exceeded", None, 1),
    "Internal_Server_Error": (502, "upstream_error", None, 2),
    "Server_Busy": (503, "upstream_overloaded", None, 2),
}
"""What the client is told of each refusal: status, code, ``Retry-After``; and how often the site is asked."""

ADVICE = {
    "RateLimited": "in 10h",
    "token expired": "put its token into QWEN_AUTH_TOKEN",
    "Unauthorized": "put its token into QWEN_AUTH_TOKEN",
    "captcha": "Solve it at https://chat.qwen.ai in a browser",
    "WAF page": "Solve it at https://chat.qwen.ai in a browser",
    "model not found": "/v1/models",
    "ContextLengthExceeded": "Send less",
}
"""What the owner is told to do."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_every_error_of_the_site(
    start_qwen: Start, site: QwenServer, name: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatmock.providers.qwen.contract.BUSY_WAIT", 0.01)
    daemon = start_qwen()
    site.plan("chat/completions", *[REFUSALS[name]() for _ in range(8)])
    with pytest.raises(openai.APIStatusError) as caught:
        await daemon.ask(lambda sdk: ask(sdk, stream, model="qwen"))
    error = caught.value
    wait = error.response.headers.get("retry-after")
    assert (error.status_code, error.code, wait, len(site.calls("chat/completions"))) == TOLD[name]
    assert ADVICE.get(name, "") in error.message
    assert len(site.calls("chats/new")) == (2 if name == "chat not exist" else 1)
    assert len(site.stops) == 0 if wait != "1" else len(site.stops) >= 1


async def test_an_error_in_the_stream(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen()
    site.play(Script().error("Internal_Server_Error", "broken"))
    with pytest.raises(openai.InternalServerError) as early:
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen"))
    assert (early.value.status_code, early.value.code) == (502, "upstream_error")
    site.play(Script().answer("Half").error("Internal_Server_Error", "broken"))
    with pytest.raises(openai.APIError, match="Qwen failed") as late:
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen"))
    assert late.value.code == "upstream_error"
    site.play(Script().answer("Half").cut())
    with pytest.raises(openai.APIError, match="ended") as cut:
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen"))
    assert cut.value.code == "upstream_truncated"
    await until(lambda: not site.locked)


async def test_an_expired_token_is_told_with_its_end(start_qwen: Start, site: QwenServer) -> None:
    token = jwt({"exp": time.time() - 7300})
    site.ended.add(token)
    daemon = start_qwen(qwen_auth_token=Secret(token))
    assert "expired 2h" in daemon.said[0]
    with pytest.raises(openai.AuthenticationError, match="expired 2h1m ago"):
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen"))
    assert token_notice(Secret(jwt({"exp": time.time() + 9e5})), time.time()) == ""


async def test_models_and_aliases(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen(qwen_aliases={"mine": "qwen3.7-max"})
    names: list[str] = await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])
    assert names == ["qwen3.7-plus", "qwen3.7-max", "qwen3-max-preview", "qwen", "mine"]
    for name in ("qwen", "mine", "qwen3-max-preview", "qwen3.7-plus-high"):
        await daemon.ask(lambda sdk: ask(sdk, True, model=name))  # noqa: B023  # it is asked at once
    asked = [turn.body["model"] for turn in site.chats.turns]
    assert asked == ["qwen3.7-plus", "qwen3.7-max", "qwen3-max-preview", "qwen3.7-plus"]
    assert site.chats.turns[-1].message["feature_config"]["thinking_enabled"] is True
    with pytest.raises(openai.NotFoundError, match="Near matches"):
        await daemon.ask(lambda sdk: ask(sdk, True, model="qwen3.7-pluss"))


async def test_the_owner_s_headers_go_as_they_are(start_qwen: Start, site: QwenServer) -> None:
    headers = {"bx-v": Secret("2.5.36"), "Version": Secret("9.9")}
    daemon = start_qwen(qwen_cookies=Secret("token=qwen-token; acw_tc=1"), qwen_headers=headers)
    await daemon.ask(lambda sdk: ask(sdk, True, model="qwen"))
    sent = site.calls("chat/completions")[0].headers
    assert (sent["cookie"], sent["bx-v"], sent["version"]) == ("token=qwen-token; acw_tc=1", "2.5.36", "9.9")


async def test_a_hundred_that_leave_lock_no_chat_and_hold_no_permit(
    start_qwen: Start, site: QwenServer
) -> None:
    site.answer = lambda turn: Script().think("hm").answer(*["word "] * 60).finish().paced(0.01).delayed(0.02)
    daemon = start_qwen(max_concurrency=30)
    chance = random.Random(4)

    async def visit() -> None:
        client = await post(daemon, model="qwen", stream=True)
        await pause(chance.random() * 1.5)
        client.leave(chance.random() < 0.7)

    await DeferredList([Deferred.fromCoroutine(visit()) for _ in range(100)])
    slots = daemon.service.slots
    await until(lambda: (slots.held, slots.waiting, site.active, site.locked) == (0, 0, 0, []), seconds=20)
    assert len(site.stops) >= 40, "most have left while they were being answered"
