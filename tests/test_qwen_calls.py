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


async def test_a_call_is_repaired_in_the_chat_that_took_the_place_of_a_deleted_one(
    start_qwen: Start, site: QwenServer
) -> None:
    daemon = start_qwen()
    messages = await daemon.ask(lambda sdk: converse(sdk, ["one"], [], tools=TOOLS))
    site.delete(site.chats.turns[0].chat.id)
    site.play(Script().answer("prose").finish(), Script().answer(CALL).finish())
    messages.append(say("two"))
    answer = await daemon.ask(lambda sdk: talk(sdk, messages, tools=TOOLS, tool_choice="required"))
    assert len(answer["tool_calls"]) == 1
    assert len(site.chats) == 2


async def test_an_answer_that_is_gone_is_told_anew(start_qwen: Start, site: QwenServer) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    messages = await daemon.ask(lambda sdk: converse(sdk, ["one", "two"], []))
    del chat.turns[1]
    site.plan(ASK, errors.failure("Bad_Request", "The parent message does not exist."))
    await daemon.ask(lambda sdk: converse(sdk, ["three"], messages))
    assert chat.turns[-1].parent is chat.turns[0]
    assert all(text in chat.turns[-1].text for text in ("one", "two", "three"))


@pytest.mark.parametrize("endpoint", ["chats/new", ASK])
async def test_a_busy_site_is_asked_once_more(start_qwen: Start, site: QwenServer, endpoint: str) -> None:
    site.plan(endpoint, *[errors.failure("Server_Busy", "Server busy", 503) for _ in range(5)])
    with pytest.raises(openai.InternalServerError):
        await start_qwen().ask(lambda sdk: talk(sdk, [USER]))
    assert len(site.calls(endpoint)) == 2


# --- chosen chats


async def test_a_chosen_chat_goes_on_from_what_others_have_said_there(
    start_qwen: Start, site: QwenServer
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    theirs = chat.take({"content": "theirs", "fid": "f1", "files": []}, {}, None)
    theirs.end()
    daemon = start_qwen()
    for text in ("one", "two"):
        await daemon.ask(lambda sdk: talk(sdk, [say(text)], extra_query={"chat_id": chat.id}))  # noqa: B023  # at once
    assert [turn.parent for turn in chat.turns] == [None, *chat.turns[:2]]
    assert [asked.method for asked in site.calls(f"chats/{chat.id}")] == ["GET"], "then it is known"


async def test_a_chosen_chat_that_cannot_be_read_is_not_written_to(
    start_qwen: Start, site: QwenServer
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    site.plan(f"chats/{chat.id}", errors.success({"id": chat.id}))
    with pytest.raises(openai.InternalServerError) as caught:
        await start_qwen(qwen_chat_id=chat.id).ask(lambda sdk: talk(sdk, [USER]))
    assert caught.value.code == "upstream_changed"
    assert site.calls(ASK) == []


async def test_nobody_else_goes_on_in_a_chosen_chat(start_qwen: Start, site: QwenServer) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen()
    query = {"chat_id": chat.id}
    for text in ("a secret of the owner", "Hello?"):
        await daemon.ask(lambda sdk: talk(sdk, [say(text)], extra_query=query))  # noqa: B023  # at once
    heard = {"role": "assistant", "content": "Hello"}
    await daemon.ask(lambda sdk: talk(sdk, [USER, heard, say("More")]))
    assert len(chat.turns) == 2


async def test_another_try_in_a_chosen_chat_goes_on_from_who_was_answered_meanwhile(
    start_qwen: Start, site: QwenServer
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    broken = Script().error("Internal_Server_Error", "Internal error").delayed(0.3)
    site.play(broken, Script().answer("B").finish(), Script().answer("A").finish())
    first = await post(daemon, model="qwen", stream=True, messages=[say("a")])
    await until(lambda: len(site.calls(ASK)) == 1)
    second = await post(daemon, model="qwen", stream=True, messages=[say("b")])
    await until(lambda: b"[DONE]" in first.received and b"[DONE]" in second.received)
    assert [turn.text for turn in chat.turns] == ["a", "b", "a"]
    assert chat.turns[2].parent is chat.turns[1]
    for client in (first, second):
        client.leave()


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
        (
            {
                "messages": [
                    *[say("x" * 15_000)] * 8,
                    {"role": "user", "content": [{"type": "text", "text": "x" * 5_000}, picture()]},
                ]
            },
            "messages",
        ),
        ({"n": 2}, "n"),
        ({"thinking_budget": 0}, "thinking_budget"),
        ({"messages": [say("x" * 13_000)] * 10}, "messages"),
    ],
    ids=["audio", "far picture", "blind model", "too long with its picture", "n", "budget", "too long"],
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


async def test_what_the_stream_calls_busy_is_not_our_own_answer(start_qwen: Start, site: QwenServer) -> None:
    site.play(Script().error("Bad_Request", "The chat is in progress!"), Script().answer("Here").finish())
    await start_qwen().ask(lambda sdk: talk(sdk, [USER]))
    assert [stop.response_id for stop in site.stops] == [None]


async def test_a_captcha_in_the_stream_is_followed_by_no_stop(start_qwen: Start, site: QwenServer) -> None:
    told = {"ret": ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM"], "data": {"url": errors.CAPTCHA_URL}}
    site.play(Script().record(told).hang())
    daemon = start_qwen()
    with pytest.raises(openai.PermissionDeniedError, match="captcha"):
        await daemon.ask(lambda sdk: talk(sdk, [USER]))
    await until(lambda: daemon.qwen.idle)
    assert site.stops == []
    site.chats.turns[0].stop()


async def test_a_fault_of_ours_in_a_stop_is_logged_whole(
    start_qwen: Start, site: QwenServer, logged_faults: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    daemon = start_qwen()
    monkeypatch.setattr("chatmock.providers.qwen.provider.Qwen.check_stop", broken)
    await leave_one(daemon, site)
    await until(lambda: daemon.qwen.idle)
    assert "ZeroDivisionError" in logged_faults.pop()


# --- turns


@pytest.mark.parametrize("leaves", [True, False])
async def test_who_is_refused_as_its_turn_comes_harms_nobody(
    start_qwen: Start, site: QwenServer, leaves: bool
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=chat.id)
    site.answer = lambda turn: Script().answer(*["word "] * 20).finish().paced(0.01)
    first = await post(daemon, model="qwen", stream=leaves)
    await until(lambda: len(site.calls(ASK)) == 1)
    bad = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAAA"}}
    second = await post(daemon, model="qwen", messages=[{"role": "user", "content": [bad]}])
    await until(lambda: daemon.service.slots.held == 2)
    if leaves:
        first.leave()
    await until(lambda: b" 400 " in second.received[:16])
    await until(lambda: leaves or b" 200 " in first.received[:16])
    await until(lambda: daemon.qwen.idle)
    for client in (first, second):
        client.leave()


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


@pytest.mark.parametrize("endpoint", ["chats/new", "chats/{}", ASK, "turn"])
async def test_nothing_is_asked_by_an_answer_that_the_end_has_overtaken(
    start_qwen: Start, site: QwenServer, endpoint: str
) -> None:
    chat = site.chats.open("qwen3.7-plus")
    daemon = start_qwen(qwen_chat_id=None if endpoint == "chats/new" else chat.id)
    site.answer = lambda turn: Script().answer(*["word "] * 600).finish().paced(0.01).delayed(0.1)
    clients = [await post(daemon, model="qwen", stream=True)]
    slow = errors.success({"id": chat.id, "chat": {"history": {"messages": {}}}})
    slow.before = 0.1
    if endpoint == "turn":
        await until(lambda: len(site.calls(ASK)) == 1)
        clients.append(await post(daemon, model="qwen", stream=True))
        await until(lambda: daemon.service.slots.held == 2)
    else:
        if endpoint != ASK:
            site.plan(endpoint.format(chat.id), slow)
        await until(lambda: len(site.calls(endpoint.format(chat.id))) == 1)
    await daemon.qwen.stop()
    for client in clients:
        client.leave()
    await until(lambda: daemon.service.slots.held == 0 and daemon.qwen.idle and site.active == 0)
    assert len(site.calls(ASK)) == (1 if endpoint in (ASK, "turn") else 0)
    assert site.locked == []


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
