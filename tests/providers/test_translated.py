"""Requests of other dialects ask upstreams of OpenAI chat only for what these may have, and their clients are told."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Message, Source, Text
from chatmock.errors import Kind, Refusal, bad_request
from chatmock.model import Model
from chatmock.providers.dashscope import DIFFERENCES
from chatmock.providers.interface import Credential
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.openai_differences import Differences
from chatmock.providers.translated import both

DASHSCOPE = OpenAICompatible("dashscope", "http://x/v1", DIFFERENCES)
PROVIDER = OpenAICompatible("x", "http://x/v1", Differences("X", "X_KEY"))


def asking(effort: str | None = None, efforts: tuple[str, ...] = (), **more: Any) -> ChatRequest:
    chat = {"source": Source("anthropic", {}), "details": Model("m", efforts=efforts), **more}
    return ChatRequest("m", (Message("user", (Text("Hi"),)),), reasoning_effort=effort, **chat)


def sent(chat: ChatRequest) -> tuple[dict[str, Any], dict[str, str]]:
    asked = PROVIDER.request(chat, Credential())
    assert asked.body is not None
    return jsontext.loads_object(asked.body), dict(asked.notes)


@pytest.mark.parametrize(
    ("wanted", "efforts", "given"),
    [
        ("max", (), "high"),
        ("xhigh", (), "high"),
        ("minimal", (), "low"),
        ("none", (), "none"),
        ("max", ("low", "xhigh"), "xhigh"),
        ("minimal", ("none", "high"), "high"),
        ("none", ("low", "high"), "low"),
    ],
)
def test_an_effort_that_the_model_lacks_becomes_its_nearest(
    wanted: str, efforts: tuple[str, ...], given: str
) -> None:
    body, notes = sent(asking(wanted, efforts))
    assert body["reasoning_effort"] == given
    assert notes.get("x-chatmock-effort", given).startswith(given)
    assert ("x-chatmock-effort" in notes) == (wanted != given)


def test_an_effort_that_it_has_is_asked_for_as_it_is() -> None:
    for effort, efforts in (("high", ()), ("max", ("max",))):
        body, notes = sent(asking(effort, efforts))
        assert (body["reasoning_effort"], notes) == (effort, {})


def test_openai_clients_get_what_they_ask_for() -> None:
    own = {"messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "max"}
    body, notes = sent(asking("max", source=Source("openai-chat", own)))
    assert (body["reasoning_effort"], notes) == ("max", {})


@pytest.mark.parametrize(
    ("model", "source", "given", "ignored"),
    [
        (Model("m", efforts=("none", "low")), "anthropic", "none", None),
        (Model("m", efforts=("low", "high")), "anthropic", "low", None),
        (Model("m"), "anthropic", None, "thinking"),
        (None, "ollama-chat", None, "think"),
        (Model("m", thinks=True), "ollama-generate", None, "think"),
        (Model("m", thinks=False), "anthropic", None, None),
    ],
)
def test_who_wants_no_thinking_gets_the_least(
    model: Model | None, source: str, given: str | None, ignored: str | None
) -> None:
    body, notes = sent(asking(details=model, least_effort=True, source=Source(source, {})))
    assert (body.get("reasoning_effort"), notes.get("X-Chatmock-Ignored")) == (given, ignored)


def test_an_upstream_with_a_switch_of_its_own_has_the_thinking_switched_off() -> None:
    chat = asking(least_effort=True)
    asked = DASHSCOPE.request(chat, Credential())
    assert jsontext.loads_object(asked.body or b"")["enable_thinking"] is False
    assert asked.notes == {}
    amendment = DASHSCOPE.amend(chat, bad_request("parameter.enable_thinking must be true"))
    assert amendment is not None
    assert amendment.notes == {"X-Chatmock-Ignored": "thinking"}
    assert b"enable_thinking" not in (DASHSCOPE.request(amendment.chat, Credential()).body or b"")
    plain = asking(least_effort=True, details=Model("m", thinks=False))
    assert b"enable_thinking" not in (DASHSCOPE.request(plain, Credential()).body or b"")


def test_the_notes_of_tools_and_thinking_are_told_together() -> None:
    _, notes = sent(asking(least_effort=True, other_tools=({"type": "web_search"},)))
    assert notes == {"X-Chatmock-Ignored": "thinking, tools.web_search"}


def test_tools_that_run_elsewhere_are_named() -> None:
    body, notes = sent(asking(other_tools=({"type": "web_search"}, {"type": "image\ngen"})))
    assert "tools" not in body
    assert notes == {"X-Chatmock-Ignored": "tools.image?gen, tools.web_search"}


@pytest.mark.parametrize(
    "refusal",
    [
        bad_request("This model does not support reasoning_effort."),
        bad_request("Unrecognized request argument", param="reasoning_effort"),
    ],
)
def test_a_refused_effort_is_left_out_and_told(refusal: Refusal) -> None:
    amendment = PROVIDER.amend(asking("high"), refusal)
    assert amendment is not None
    assert amendment.chat.reasoning_effort is None
    assert amendment.notes == {"X-Chatmock-Ignored": "reasoning_effort"}


@pytest.mark.parametrize(
    ("chat", "refusal"),
    [
        (asking("high"), bad_request("Your picture is broken.")),
        (asking("high"), Refusal(Kind.RATE_LIMITED, "Too much thinking.")),
        (asking(), bad_request("No reasoning.")),
        (asking("high", source=Source("openai-chat", {})), bad_request("No reasoning_effort.")),
    ],
)
def test_nothing_else_is_asked_again(chat: ChatRequest, refusal: Refusal) -> None:
    assert PROVIDER.amend(chat, refusal) is None


def test_notes_of_two_changes_are_all_told() -> None:
    assert both({"a": "1", "X-Chatmock-Ignored": "x"}, {"X-Chatmock-Ignored": "x, y"}) == {
        "a": "1",
        "X-Chatmock-Ignored": "x, y",
    }
