"""Calls of tools that a Qwen model writes badly, through the real OpenAI SDK: asked for once more, and never shown."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.conftest import Start
from tests.test_chatgpt import ask
from tests.test_qwen import CALL, TOOLS, USER, picture, talk
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_server import QwenServer

COMMA = '<tool_call>{"name": "weather", "arguments": {"city": "Paris",}}</tool_call>'
HALF = '<tool_call>{"name": "weather", "arguments": {"city": "Pa'
TAGGED = "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>"
TOWN = '<tool_call>{"name": "weather", "arguments": {"town": 7}}</tool_call>'
MADE_UP = '<tool_call>{"name": "shell", "arguments": {}}</tool_call>'
PARIS = [{"city": "Paris"}]
INVALID = "upstream_invalid_tool_call"


def asked(sdk: openai.OpenAI, stream: bool = True) -> tuple[dict[str, Any], list[Any], str | None]:
    """The message, the arguments of its calls, and how it ended."""
    message, finish, _ = ask(sdk, stream, model="qwen", tools=TOOLS)
    calls = message.get("tool_calls") or []
    return message, [json.loads(call["function"]["arguments"]) for call in calls], finish


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (TOWN, "'city' is required and missing"),
        (COMMA, "it is not strict JSON"),
        (HALF, "it ends half-way"),
        (MADE_UP, "there is no tool 'shell'"),
        (TAGGED.replace("</function>", "</func>"), "it ends half-way"),
    ],
)
async def test_a_bad_call_is_asked_for_once_more(
    start_qwen: Start, site: QwenServer, bad: str, fault: str, stream: bool
) -> None:
    site.play(Script().answer(bad[:9], bad[9:]).finish(), Script().answer(CALL).finish())
    message, calls, finish = await start_qwen().ask(lambda sdk: asked(sdk, stream))
    assert (message["content"] or "", calls, finish) == ("", PARIS, "tool_calls")
    first, second = site.chats.turns
    assert second.parent is first
    assert fault in second.text


async def test_and_no_more_often(start_qwen: Start, site: QwenServer) -> None:
    site.say(TOWN)
    with pytest.raises(openai.APIStatusError) as caught:
        await start_qwen().ask(asked)
    assert (caught.value.status_code, caught.value.code) == (502, INVALID)
    assert "'city' is required" in caught.value.message
    assert len(site.chats.turns) == 2


@pytest.mark.parametrize("bad", [COMMA, HALF, MADE_UP, f"{MADE_UP} After."])
@pytest.mark.parametrize("before", ["I look. ", CALL])
async def test_once_something_was_shown_a_bad_call_is_an_error(
    start_qwen: Start, site: QwenServer, before: str, bad: str
) -> None:
    site.play(Script().answer(before, *(bad[at : at + 5] for at in range(0, len(bad), 5))).finish())
    shown: list[str] = []

    def read(sdk: openai.OpenAI) -> None:
        asking: Any = {"model": "qwen", "messages": [USER], "tools": TOOLS}
        for chunk in sdk.chat.completions.create(stream=True, **asking):
            shown.extend(choice.delta.content or "" for choice in chunk.choices)

    with pytest.raises(openai.APIError) as caught:
        await start_qwen().ask(read)
    assert caught.value.code == INVALID
    assert "".join(shown) == ("" if before is CALL else before)
    assert len(site.chats.turns) == 1


async def test_arguments_that_do_not_fit_are_given_where_something_was_shown(
    start_qwen: Start, site: QwenServer
) -> None:
    site.say(f"I look. {TOWN}")
    message, calls, finish = await start_qwen().ask(asked)
    assert (message["content"].strip(), calls, finish) == ("I look.", [{"town": 7}], "tool_calls")


@pytest.mark.parametrize(
    "call", [TAGGED, CALL.replace("weather", "Weather"), TAGGED.replace("weather", "WEATHER")]
)
async def test_other_forms_of_a_call(start_qwen: Start, site: QwenServer, call: str) -> None:
    site.say("I look. ", call[:17], call[17:])

    def turns(sdk: openai.OpenAI) -> dict[str, Any]:
        first = talk(sdk, [USER], tools=TOOLS)
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "25 degrees"}
        site.say("Warm.")
        talk(sdk, [USER, first, result], tools=TOOLS)
        return first

    first = await start_qwen().ask(turns)
    assert "<" not in first["content"]
    assert [call["function"]["name"] for call in first["tool_calls"]] == ["weather"]
    assert len(site.chats) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"Write `{COMMA}` and `{MADE_UP}`.",
        f"As in\n```xml\n{HALF}…\n{COMMA}\n{TAGGED.replace('weather', 'shell')}\n```\n",
        "The tag <tool_call> opens a call, and </tool_call> ends it.",
    ],
)
async def test_talk_about_calls_is_shown_whole(start_qwen: Start, site: QwenServer, text: str) -> None:
    site.say(*text)
    message, calls, finish = await start_qwen().ask(asked)
    assert (message["content"], calls, finish) == (text, [], "stop")


async def test_without_tools_nothing_is_a_call(start_qwen: Start, site: QwenServer) -> None:
    site.say(f"{COMMA}{TAGGED}")
    message, _, _ = await start_qwen().ask(lambda sdk: ask(sdk, True, model="qwen"))
    assert message["content"] == f"{COMMA}{TAGGED}"


async def test_a_picture_under_two_urls_is_put_once(start_qwen: Start, site: QwenServer) -> None:
    one, other = picture(), picture()
    other["image_url"]["url"] = other["image_url"]["url"].replace("image/png;", "image/png;charset=utf-8;")
    await start_qwen().ask(lambda sdk: talk(sdk, [{"role": "user", "content": [one, other]}]))
    assert len(site.calls("store")) == 1
    [turn] = site.chats.turns
    assert len(turn.pictures) == 2


@pytest.mark.parametrize("bad", [TOWN, COMMA, HALF, MADE_UP])
async def test_for_a_client_that_takes_no_stream_every_bad_call_is_asked_for_again(
    start_qwen: Start, site: QwenServer, bad: str
) -> None:
    site.play(Script().think("hm").answer(f"I look. {bad}").finish(), Script().answer(CALL).finish())
    _, calls, finish = await start_qwen().ask(lambda sdk: asked(sdk, False))
    assert (calls, finish) == (PARIS, "tool_calls")
    assert len(site.chats.turns) == 2
