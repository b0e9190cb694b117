"""The key of the prompt cache."""

from __future__ import annotations

import uuid
from typing import Any

import attrs
import pytest

from chatmock.conversation import ChatRequest
from chatmock.providers.chatgpt.request import Asked, Defaults, build
from tests.providers.chatgpt.asking import asked, parsed, refusal

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
SYSTEM = {"role": "system", "content": "Be kind."}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def key(chat: ChatRequest, account: str = "a", **defaults: Any) -> str:
    made = build(chat, account, Defaults(**defaults))
    assert made.session == made.body["prompt_cache_key"]
    return made.session


def test_it_outlives_a_restart() -> None:
    """Written down once: another value would empty the caches of every conversation that goes on."""
    chat = parsed(messages=[SYSTEM, user(said("Hello"), PICTURE)], user="u")
    assert key(chat) == "dd9c1199-cec8-57d7-9262-97cb56e5f7c4"


def test_it_is_a_uuid_of_what_the_conversation_begins_with() -> None:
    begun = [SYSTEM, user(said("Hello"), PICTURE)]
    more = [*begun, {"role": "assistant", "content": "Hi"}, user(said("Go on"))]
    assert uuid.UUID(key(parsed(messages=begun))).version == 5
    assert key(parsed(messages=begun)) == key(parsed(messages=more, temperature=0.1, reasoning_effort="low"))


def test_it_differs_with_account_user_and_beginning() -> None:
    begun = [SYSTEM, user(said("Hello"), PICTURE)]
    other = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJE"}}
    keys = [
        key(parsed(messages=begun)),
        key(parsed(messages=begun), "b"),
        key(parsed(messages=begun, user="u")),
        key(parsed(messages=begun, safety_identifier="u")),
        key(parsed(messages=begun[1:])),
        key(parsed(messages=begun[1:]), instructions="Be brief."),
        key(parsed(messages=[SYSTEM, user(said("Hello"))])),
        key(parsed(messages=[SYSTEM, user(said("Hello"), other)])),
        key(parsed(messages=[SYSTEM, user(said("Hel"), said("lo"), PICTURE)])),
        key(parsed(messages=[SYSTEM])),
    ]
    assert len(set(keys)) == len(keys)


def test_the_clients_own_goes_first() -> None:
    chat = attrs.evolve(parsed(prompt_cache_key="mine"), session="session")
    assert key(chat) == "mine"
    assert key(attrs.evolve(chat, extras={})) == "session"
    assert key(attrs.evolve(chat, extras={"prompt_cache_key": ""}, session=None)) == key(parsed())


def test_user_and_safety_identifier_are_put_to_use() -> None:
    assert asked(parsed(user="u", safety_identifier="s")).ignored == ()
    assert asked(parsed(user="u", safety_identifier="s", prompt_cache_key="k")).ignored == ()


@pytest.mark.parametrize("odd", ["a\r\nx: y", "ключ", " k", "k" * 257, "a\x7f"])
def test_a_key_that_no_header_can_hold_goes_into_the_body_only(odd: str) -> None:
    def made(account: str) -> Asked:
        return build(parsed(prompt_cache_key=odd), account, Defaults())

    assert made("a").body["prompt_cache_key"] == odd
    assert uuid.UUID(made("a").session).version == 5
    assert made("a").session == made("a").session != made("b").session


@pytest.mark.parametrize("field", ["prompt_cache_key", "user", "safety_identifier"])
def test_a_field_that_is_no_text(field: str) -> None:
    assert refusal(attrs.evolve(parsed(), extras={field: 1})).param == field
