"""The fake chat.qwen.ai refuses what the real one refuses, and remembers what a test has to know."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from chatmock.errors import Refusal
from chatmock.upstream import discard
from tests.conftest import pause, until
from tests.upstreams import qwen_errors as errors
from tests.upstreams.playing_site import Asked, Reply
from tests.upstreams.qwen_asking import HEADERS, MODEL, SECONDS, Page, completions, new_chat, turn
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_server import BODY_LIMIT, QwenServer


@pytest_twisted.async_yield_fixture()
async def page() -> AsyncIterator[Page]:
    server = QwenServer(reactor)
    server.listen()
    made = Page(server)
    yield made
    made.upstream.close()
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)


def bad(got: Any) -> str:
    code, details = got.fault
    assert code == "Bad_Request"
    return str(details)


# --- who may ask


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Authorization": "Bearer qwen-token"}, True),
        ({"Cookie": "x-ap=1; token=qwen-token; a=b"}, True),
        ({"Authorization": "Bearer qwen-token", "Cookie": "token=qwen-token"}, True),
        ({"Authorization": "Bearer qwen-token", "Cookie": "token=other"}, False),
        ({"Authorization": "Bearer other"}, False),
        ({"Authorization": "Basic qwen-token"}, False),
        ({"Cookie": "xtoken=qwen-token"}, False),
        ({}, False),
    ],
)
async def test_the_token(page: Page, headers: dict[str, str], taken: bool) -> None:
    page.headers = headers
    for path in ("/api/v2/models/", "/api/models", "/api/v1/auths/"):
        got = await page.ask("GET", path)
        assert got.status == (200 if taken else 401)
        assert taken or got.fault[0] == "Unauthorized"


async def test_an_ended_token(page: Page) -> None:
    page.server.ended.add("qwen-token")
    got = await page.ask("GET", "/api/v1/auths/")
    assert got.fault == ("unauthorized", "Token has expired, please log in again.")


async def test_both_lists_of_models(page: Page) -> None:
    newer = (await page.ask("GET", "/api/v2/models/")).json
    older = (await page.ask("GET", "/api/models")).json
    assert newer["success"] is True
    assert newer["data"]["data"] == older["data"] == list(page.server.models)


# --- one message, known ids


async def test_a_chat_goes_on_by_its_parent(page: Page) -> None:
    page.server.answer = lambda turn: Script().answer(f"{turn.text}, ", "indeed").finish()
    chat = await page.new_chat()
    first = await page.say(chat, "one")
    assert first.text == "one, indeed"
    second = await page.say(chat, "two", first.response_id)
    await page.say(chat, "three", second.response_id)
    third = page.server.chats.turns[2]
    assert third.context == [("one", "one, indeed"), ("two", "two, indeed")]
    assert page.server.faults == []
    assert page.server.locked == []


@pytest.mark.parametrize("parent", [None, "not-a-response"])
async def test_a_wrong_parent_loses_the_context_in_silence(page: Page, parent: str | None) -> None:
    chat = await page.new_chat()
    await page.say(chat, "one")
    got = await page.say(chat, "two", parent)
    assert got.text == "Hello"
    assert page.server.chats.turns[1].context == []
    assert len(page.server.faults) == 1


async def test_two_messages_are_too_many(page: Page) -> None:
    chat = await page.new_chat()
    body = turn(chat, "one")
    body["messages"] *= 2
    got = await page.ask("POST", completions(chat), body)
    assert got.fault == ("Bad_Request", "Invalid input too many messages.")


@pytest.mark.parametrize(
    "change",
    [
        {"stream": False},
        {"incremental_output": False},
        {"timestamp": SECONDS * 1000},
        {"parentId": "another"},
        {"chat_id": "another"},
        {"messages": []},
        {"messages": None},
    ],
)
async def test_what_is_wrong_with_a_request(page: Page, change: dict[str, Any]) -> None:
    chat = await page.new_chat()
    assert bad(await page.ask("POST", completions(chat), {**turn(chat, "one"), **change}))
    assert page.server.chats.turns == []


@pytest.mark.parametrize(
    "change",
    [
        {"role": "system"},
        {"content": None},
        {"fid": "1"},
        {"childrenIds": []},
        {"models": ["another"]},
        {"chat_type": "t2i"},
        {"timestamp": SECONDS * 1000},
        {"parentId": "another"},
        {"feature_config": {}},
        {"files": [{"type": "image", "url": "https://example.com/a.png"}]},
    ],
)
async def test_what_is_wrong_with_a_message(page: Page, change: dict[str, Any]) -> None:
    chat = await page.new_chat()
    assert bad(await page.say(chat, "one", **change))


async def test_ids_of_messages_are_fresh(page: Page) -> None:
    chat = await page.new_chat()
    body = turn(chat, "one")
    await page.ask("POST", completions(chat), body)
    assert "not fresh" in bad(await page.ask("POST", completions(chat), body))


@pytest.mark.parametrize(
    "change", [{"timestamp": SECONDS}, {"models": []}, {"chat_type": ""}, {"chat_mode": ""}]
)
async def test_what_is_wrong_with_a_new_chat(page: Page, change: dict[str, Any]) -> None:
    assert bad(await page.ask("POST", "/api/v2/chats/new", new_chat(**change)))


async def test_an_unknown_model(page: Page) -> None:
    got = await page.ask("POST", "/api/v2/chats/new", new_chat(models=["qwen1"]))
    assert got.fault[1] == "Model not found"
    chat = await page.new_chat()
    page.server.models = page.server.models[1:]
    assert (await page.say(chat, "one")).fault[1] == "Model not found"


async def test_a_deleted_chat(page: Page) -> None:
    first, second = await page.new_chat(), await page.new_chat()
    page.server.delete(first)
    assert (await page.ask("DELETE", f"/api/v2/chats/{second}")).json["success"] is True
    for chat in (first, second, "never-was"):
        assert (await page.say(chat, "one")).fault[1].endswith("not exist")
        assert (await page.stop(chat, None)).fault[1].endswith("not exist")
        assert (await page.ask("GET", f"/api/v2/chats/{chat}")).fault[1].endswith("not exist")


async def test_no_such_endpoint(page: Page) -> None:
    assert (await page.ask("GET", "/api/v2/nothing")).status == 404


# --- the gateway


@pytest.mark.parametrize(("size", "passes"), [(BODY_LIMIT, True), (BODY_LIMIT + 1, False)])
async def test_a_large_body_meets_the_captcha(page: Page, size: int, passes: bool) -> None:
    chat = await page.new_chat()
    body = json.dumps(turn(chat, "")).encode()
    body = body.replace(b'"content": ""', b'"content": "' + b"x" * (size - len(body)) + b'"')
    assert len(body) == size
    got = await page.ask("POST", completions(chat), body)
    assert got.status == 200
    if passes:
        assert got.text == "Hello"
    else:
        assert got.json["ret"][0] == "FAIL_SYS_USER_VALIDATE"
        assert "action=captcha" in got.json["data"]["url"]


async def test_brotli_for_who_takes_it(page: Page) -> None:
    chat = await page.new_chat()
    page.server.planned.clear()
    reply = page.server.respond(
        _asked("POST", completions(chat), turn(chat, "one"), {"accept-encoding": "gzip, br"})
    )
    assert reply.headers[b"content-encoding"] == b"br"
    page.server.chats.turns[0].end()
    got = await page.say(chat, "two", page.server.chats.turns[0].response_id)  # says nothing of encodings
    assert got.text == "Hello"


def _asked(method: str, target: str, body: Any, headers: dict[str, str]) -> Any:
    path, _, query = target.partition("?")
    lower = {name.lower(): value for name, value in HEADERS.items()}
    return Asked(method, path, query, {**lower, **headers}, json.dumps(body).encode(), body)


@pytest.mark.parametrize("name", errors.REFUSALS)
async def test_every_refusal_on_demand(page: Page, name: str) -> None:
    chat = await page.new_chat()
    reply = errors.REFUSALS[name]()
    page.server.plan("chat/completions", reply)
    got = await page.say(chat, "one")
    assert (got.status, got.body) == (reply.status, reply.pieces[0])
    assert page.server.locked == []
    assert (await page.say(chat, "two")).text == "Hello"


async def test_a_function_may_refuse_too(page: Page) -> None:
    page.server.play(errors.captcha(), Script().answer("now").finish())
    chat = await page.new_chat()
    assert "ret" in (await page.say(chat, "one")).json
    assert (await page.say(chat, "two")).text == "now"
    assert (page.server.faults, page.server.locked) == ([], [])


# --- one answer at a time


async def leave(page: Page, chat: str) -> None:
    """Begin to listen to an answer, and go."""
    discard(await page.open("POST", completions(chat), turn(chat, "one")))
    await until(lambda: page.server.active == 0)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_chat_that_answers_takes_no_message(page: Page, status: int) -> None:
    page.server.busy_status = status
    page.server.answer = lambda turn: Script().answer("...").hang()
    chat = await page.new_chat()
    response = await page.open("POST", completions(chat), turn(chat, "one"))
    got = await page.say(chat, "two")
    assert got.status == status
    assert got.fault == ("Bad_Request", "The chat is in progress!")
    assert page.server.locked == [chat]
    discard(response)


async def test_who_leaves_without_a_word_leaves_the_chat_locked(page: Page) -> None:
    page.server.play(Script().answer("...").hang(), Script().answer("again").finish())
    chat = await page.new_chat()
    await leave(page, chat)
    assert page.server.locked == [chat]
    assert (await page.say(chat, "two")).fault[1] == "The chat is in progress!"
    (answering,) = page.server.chats.turns
    await page.stop(chat, answering.response_id)
    assert page.server.locked == []
    assert [(s.chat_id, s.response_id) for s in page.server.stops] == [(chat, answering.response_id)]
    assert (await page.say(chat, "two", answering.response_id)).text == "again"


async def test_a_stop_without_the_answers_id(page: Page) -> None:
    page.server.answer = lambda turn: Script().answer("...").hang()
    chat = await page.new_chat()
    await leave(page, chat)
    await page.stop(chat, "another")
    assert page.server.locked == [chat]
    assert page.server.faults == ["stop: the response_id is not of this chat"]
    await page.stop(chat, None)
    assert page.server.locked == []


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (lambda: Script().answer("a").hang(), False),
        (lambda: Script().answer(*"abc" * 50).paced(0.02).finish(), True),
    ],
)
async def test_a_stop_ends_the_stream(page: Page, script: Callable[[], Script], told: bool) -> None:
    page.server.answer = lambda turn: script()
    chat = await page.new_chat()
    listening = Deferred.fromCoroutine(page.say(chat, "one"))
    await until(lambda: bool(page.server.locked))
    await pause(0.01)
    await page.stop(chat, page.server.chats.turns[0].response_id)
    got = await listening
    assert got.records[0]["response.created"]
    assert ("response.stopped" in got.records[-1]) is told
    assert page.server.locked == []


async def test_a_cut_answer_leaves_the_chat_locked(page: Page) -> None:
    page.server.answer = lambda turn: Script().answer("a").cut()
    chat = await page.new_chat()
    assert (await page.say(chat, "one")).text == "a"  # the client is told; here only the bytes count
    await until(lambda: page.server.active == 0)
    assert page.server.locked == [chat]


@pytest.mark.parametrize(
    "script",
    [
        Script().answer("a").finish().hang(),
        Script().error("Internal_Server_Error", "Internal error").hang(),
        Script().error_text("Internal error").hang(),
        Script().answer("a").error_delta("Internal_Server_Error", "Internal error").hang(),
        Script().stopped().hang(),
        Script().done().hang(),
    ],
)
async def test_the_record_that_ends_an_answer_frees_the_chat(page: Page, script: Script) -> None:
    page.server.answer = lambda turn: script
    chat = await page.new_chat()
    response = await page.open("POST", completions(chat), turn(chat, "one"))
    await until(lambda: page.server.locked == [])
    assert page.server.active == 1
    discard(response)


async def test_slow_answers_and_lost_connections(page: Page) -> None:
    page.server.play(Script().answer(*"abc").finish().paced(0.002).delayed(0.002), Reply(ending="cut"))
    chat = await page.new_chat()
    got = await page.say(chat, "one")
    assert got.text == "abc"
    with pytest.raises(Refusal, match="closed the connection"):
        await page.say(chat, "two", got.response_id)


async def test_many_leave(page: Page) -> None:
    page.server.answer = lambda turn: Script().answer(*"abc" * 50).paced(0.01).finish()
    chats = [await page.new_chat() for _ in range(20)]
    for chat in chats:
        discard(await page.open("POST", completions(chat), turn(chat, "one")))
    await until(lambda: page.server.active == 0)
    assert sorted(page.server.locked) == sorted(chats)


# --- streams


async def test_phases_have_to_be_asked_for(page: Page) -> None:
    chat = await page.new_chat()
    got = await page.say(chat, "one", feature_config={"thinking_enabled": False})
    assert not [r for r in got.records if "choices" in r and "phase" in r["choices"][0]["delta"]]


# --- files


@pytest.mark.parametrize(
    "body",
    [
        {"filename": "a.png", "filesize": 3, "filetype": "file"},
        {"filename": "a.png", "filesize": 0, "filetype": "image"},
        {},
    ],
)
async def test_leave_for_what_is_no_picture(page: Page, body: dict[str, Any]) -> None:
    assert bad(await page.ask("POST", "/api/v2/files/getstsToken", body))


async def test_a_file_that_was_not_uploaded(page: Page) -> None:
    asked = {"filename": "a.png", "filesize": 3, "filetype": "image"}
    told = (await page.ask("POST", "/api/v2/files/getstsToken", asked)).json["data"]
    file = {"type": "image", "showType": "image", "file_class": "vision", "status": "uploaded"}
    file |= {"name": "a.png", "file_type": "image/png", "url": told["file_url"]}
    chat = await page.new_chat()
    assert "not there" in bad(await page.say(chat, "one", files=[file]))


async def test_the_account_is_not_shown_to_the_store(page: Page) -> None:
    told = page.server.store.grant(page.server.url, "a.png", 3)
    page.headers = HEADERS
    got = await page.ask("PUT", told["file_url"].removeprefix(page.server.url), b"abc")
    assert got.status == 400
    assert page.server.faults == ["store: the account's token was sent to the object store"]


def test_the_models_can_be_told_apart() -> None:
    server = QwenServer(reactor)
    assert MODEL in {known["id"] for known in server.models}
