"""Where the calls of an answer go when one of them fails: which chat is asked again, with what, and what is stopped."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.settings import Secret
from tests.conftest import KEY, Start, until
from tests.test_chatgpt import ask
from tests.test_lifetimes import post
from tests.test_qwen import CALL, TOOLS, USER, picture, talk
from tests.test_starting import MODULE, running
from tests.upstreams import qwen_errors as errors
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_server import TOKEN, QwenServer

STOP = "chat/completions/stop"
ASK = "chat/completions"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What chatmock waits for the site's sake is waited for a moment only."""
    monkeypatch.setattr("chatmock.providers.qwen.contract.BUSY_WAIT", 0.05)
    monkeypatch.setattr("chatmock.qwen_stops.AGAIN_SECONDS", 0.01)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged about stops."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.qwen_stops.Stops":
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def converse(sdk: openai.OpenAI, texts: Sequence[str], messages: list[Any], **more: Any) -> list[Any]:
    """Say one text after the other; the conversation so far."""
    for text in texts:
        messages.append(say(text))
        messages.append(talk(sdk, messages, **more))
    return messages


# --- another try, in which chat and with what


async def test_a_conversation_longer_than_a_message_goes_on_after_a_busy_chat(
    start_qwen: Start, site: QwenServer
) -> None:
    daemon = start_qwen(max_message_chars=100_000)
    texts = [f"{number} " + "x" * 60_000 for number in range(4)]
    messages = await daemon.ask(lambda sdk: converse(sdk, texts[:3], []))
    [chat] = site.chats
    site.plan(ASK, errors.in_progress())
    await daemon.ask(lambda sdk: converse(sdk, texts[3:], messages))
    assert [turn.text for turn in chat.turns] == texts
    assert chat.turns[3].parent is chat.turns[2]
    assert [stop.chat_id for stop in site.stops] == [chat.id]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_that_the_stream_calls_busy_is_stopped_and_asked_again(
    start_qwen: Start, site: QwenServer, stream: bool
) -> None:
    daemon = start_qwen()
    messages = await daemon.ask(lambda sdk: converse(sdk, ["one"], []))
    site.play(
        Script().error("Bad_Request", "The chat is in progress!"),
        Script().answer("Here").finish(),
    )
    messages.append(say("two"))
    answer = await daemon.ask(lambda sdk: talk(sdk, messages, stream))
    assert answer["content"] == "Here"
    assert len(site.stops) == 1
    one, busy, two = site.chats.turns
    assert (busy.text, two.text) == ("two", "two")
    assert busy.parent is two.parent is one


async def test_a_chat_that_the_stream_calls_missing_is_left_for_a_new_one(
    start_qwen: Start, site: QwenServer
) -> None:
    daemon = start_qwen()
    messages = await daemon.ask(lambda sdk: converse(sdk, ["one"], []))
    site.play(
        Script().error("Not_Found", "The chat 0f7a does not exist."),
        Script().answer("Here").finish(),
    )
    messages = await daemon.ask(lambda sdk: converse(sdk, ["two"], messages))
    assert messages[-1]["content"] == "Here"
    first, second = site.chats
    assert "one" in second.turns[0].text
    await daemon.ask(lambda sdk: converse(sdk, ["three"], messages))
    assert second.turns[1].text == "three"
    assert len(first.turns) == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        Script().finish(),
        Script().error("Internal_Server_Error", "Internal error"),
        errors.failure("Internal_Server_Error", "Internal error", 500),
    ],
    ids=["empty", "in the stream", "instead of it"],
)
async def test_a_passing_fault_is_asked_once_more_from_the_same_place(
    start_qwen: Start, site: QwenServer, fault: Any, stream: bool
) -> None:
    daemon = start_qwen()
    messages = await daemon.ask(lambda sdk: converse(sdk, ["one"], []))
    site.play(fault, Script().answer("Here").finish())
    messages.append(say("two"))
    assert (await daemon.ask(lambda sdk: talk(sdk, messages, stream)))["content"] == "Here"
    [chat] = site.chats
    assert {turn.text for turn in chat.turns[1:]} == {"two"}
    assert {turn.parent for turn in chat.turns[1:]} == {chat.turns[0]}
    site.play(fault)
    messages[-1] = say("three")
    with pytest.raises(openai.InternalServerError):
        await daemon.ask(lambda sdk: talk(sdk, messages, stream))
    assert len(site.calls(ASK)) == 5, "once more, not again and again"
    assert site.locked == []


async def test_a_call_that_came_as_prose_is_asked_for_in_the_same_chat(
    start_qwen: Start, site: QwenServer
) -> None:
    site.play(Script().answer("It is sunny.").finish(), Script().answer(CALL).finish())
    daemon = start_qwen()
    messages: list[Any] = [say("Hello?")]
    answer = await daemon.ask(lambda sdk: talk(sdk, messages, tools=TOOLS, tool_choice="required"))
    prose, repaired = site.chats.turns
    assert repaired.parent is prose
    assert "Hello?" not in repaired.text
    site.say("Sunny")
    result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "25 degrees"}
    await daemon.ask(lambda sdk: talk(sdk, [*messages, answer, result], tools=TOOLS))
    assert site.chats.turns[-1].parent is repaired


async def test_a_stop_sequence_does_not_make_a_forced_call_prose(start_qwen: Start, site: QwenServer) -> None:
    site.say("I look. STOP ", CALL)
    daemon = start_qwen()
    message, finish, _ = await daemon.ask(
        lambda sdk: ask(sdk, True, model="qwen", tools=TOOLS, tool_choice="required", stop=["STOP"])
    )
    assert (message["content"], len(message["tool_calls"]), finish) == ("", 1, "tool_calls")
    await until(lambda: not site.locked)
    assert len(site.calls(ASK)) == 1


# --- what is refused before anything is asked


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
                        ],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://e.test/a.png"}}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {"model": "qwen3.7-max", "messages": [{"role": "user", "content": [picture()]}]},
            "messages[0].content[0]",
        ),
        ({"n": 2}, "n"),
        ({"thinking_budget": 0}, "thinking_budget"),
        ({"messages": [say("x" * 13_000)] * 10}, "messages"),
    ],
    ids=["audio", "far picture", "blind model", "n", "budget", "too long"],
)
async def test_what_the_site_does_not_take_is_refused_before_anything_is_asked(
    start_qwen: Start, site: QwenServer, fields: dict[str, Any], param: str
) -> None:
    daemon = start_qwen()
    await daemon.ask(lambda sdk: sdk.models.list())
    asked = len(site.asked)
    budget = (
        {"extra_body": {"thinking_budget": fields.pop("thinking_budget")}}
        if "thinking_budget" in fields
        else {}
    )
    with pytest.raises(openai.BadRequestError) as caught:
        await daemon.ask(lambda sdk: ask(sdk, True, **{"model": "qwen", **fields}, **budget))
    assert caught.value.param == param
    assert len(site.asked) == asked


async def test_a_chat_of_this_site_is_no_chat_of_another_provider(
    start_qwen: Start, site: QwenServer, upstream: OpenAIServer
) -> None:
    daemon = start_qwen(
        compatible_base_url=upstream.url, compatible_api_key=Secret(KEY), compatible_models=("m",)
    )
    chat = site.chats.open("qwen3.7-plus")
    with pytest.raises(openai.BadRequestError) as caught:
        await daemon.ask(lambda sdk: ask(sdk, True, model="compatible/m", extra_query={"chat_id": chat.id}))
    assert caught.value.param == "chat_id"
    assert upstream.chats() == []


# --- stops


@pytest.mark.parametrize("page", [errors.captcha, errors.waf_page], ids=["JSON", "page"])
async def test_the_captcha_is_told_once_and_nothing_more_is_asked(
    start_qwen: Start, site: QwenServer, page: Any
) -> None:
    site.plan(ASK, page())
    with pytest.raises(openai.PermissionDeniedError, match="captcha"):
        await start_qwen().ask(lambda sdk: talk(sdk, [USER]))
    assert site.endpoints == ["models/", "chats/new", ASK]


async def test_a_stop_is_asked_for_once_more_after_a_passing_fault(
    start_qwen: Start, site: QwenServer, warnings: list[str]
) -> None:
    site.plan(STOP, errors.failure("Internal_Server_Error", "Internal error", 500))
    await leave_one(start_qwen(), site)
    await until(lambda: not site.locked)
    assert len(site.calls(STOP)) == 2
    assert warnings == []


async def test_a_stop_that_is_refused_is_logged_and_the_chat_is_asked_all_the_same(
    start_qwen: Start, site: QwenServer, warnings: list[str]
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    site.plan(STOP, *[errors.failure("Internal_Server_Error", "Internal error", 500)] * 2)
    await leave_one(daemon, site)
    await until(lambda: len(warnings) == 1)
    assert "could not be stopped: Qwen failed: Internal error." in warnings[0]
    chat.turns[-1].stop()
    site.say("Here")
    assert (await daemon.ask(lambda sdk: talk(sdk, [USER])))["content"] == "Here"


async def test_a_stop_that_is_never_answered_holds_its_chat_for_a_while_only(
    start_qwen: Start, site: QwenServer, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatmock.qwen_stops.SECONDS", 0.2)
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    silent = errors.success({})
    silent.before = 60.0
    site.plan(STOP, silent)
    await leave_one(daemon, site)
    await until(lambda: len(site.calls(STOP)) == 1)
    chat.turns[-1].stop()
    site.say("Here")
    assert (await daemon.ask(lambda sdk: talk(sdk, [USER])))["content"] == "Here"
    assert warnings == ["an answer of Qwen could not be stopped: it took too long"]
    await until(lambda: site.active == 0)


async def leave_one(daemon: Any, site: QwenServer) -> None:
    """A client that leaves while it is being answered."""
    site.answer = lambda turn: Script().answer(*["word "] * 600).finish().paced(0.01)
    client = await post(daemon, model="qwen", stream=True)
    await until(lambda: b"word" in client.received)
    client.leave()
    await until(lambda: daemon.service.slots.held == 0)


# --- turns


@pytest.mark.parametrize(("name", "value"), [("WAIT_SECONDS", 0.1), ("MOST_WAITING", 0)])
async def test_a_chosen_chat_that_answers_others_for_long_refuses(
    start_qwen: Start, site: QwenServer, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    site.answer = lambda turn: Script().answer(*["word "] * 600).finish().paced(0.01)
    client = await post(daemon, model="qwen", stream=True)
    await until(lambda: b"word" in client.received)
    monkeypatch.setattr(f"chatmock.qwen_turns.{name}", value)
    with pytest.raises(openai.RateLimitError) as caught:
        await daemon.ask(lambda sdk: talk(sdk, [USER]))
    assert caught.value.code == "chat_turn"
    assert caught.value.response.headers["retry-after"] == "1"
    assert len(site.calls(ASK)) == 1
    client.leave()
    await until(lambda: not site.locked)


# --- the end of the daemon


async def test_a_daemon_that_ends_leaves_no_chat_locked(site: QwenServer, tmp_path: Path) -> None:
    site.answer = lambda turn: Script().answer(*["word "] * 2_000).finish().paced(0.01)
    body = json.dumps({"model": "qwen", "messages": [USER], "stream": True}).encode()
    settings = {"CHATMOCK_QWEN_BASE_URL": site.url, "QWEN_AUTH_TOKEN": TOKEN, "PORT": "0"}

    def be_cut() -> None:
        with running([*MODULE, "serve", "--provider", "qwen"], tmp_path, **settings) as url:
            request = urllib.request.Request(  # it is ours
                f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"}
            )
            answer = urllib.request.urlopen(request, timeout=20)
            while b"word" not in answer.readline():
                pass
        answer.close()

    await deferToThread(be_cut)
    [turn] = site.chats.turns
    assert [stop.response_id for stop in site.stops] == [turn.response_id]
    assert site.locked == []
