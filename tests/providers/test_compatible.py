"""A compatible server's key, which looks like anything, is not in what is told of its errors."""

from __future__ import annotations

import json

import pytest

from chatmock.conversation import ChatRequest
from chatmock.providers import PROVIDERS
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.settings import Secret, Settings

KEY = "correct horse battery staple".replace(" ", "-")


def provider(key: str = KEY) -> OpenAICompatible:
    made = PROVIDERS["compatible"].build(
        Settings(compatible_base_url="http://127.0.0.1:1/v1", compatible_api_key=Secret(key))
    )
    assert isinstance(made, OpenAICompatible)
    return made


def told(message: str, key: str = KEY, **more: object) -> str:
    refusal = provider(key).refusal(400, {}, json.dumps({"error": {"message": message, **more}}).encode())
    return f"{refusal.message} {refusal.code} {refusal.param}"


@pytest.mark.parametrize("message", [f"Your key {KEY} is old.", f"{KEY}", f"key={KEY}&{KEY}", f"'{KEY}'"])
def test_it_is_masked(message: str) -> None:
    assert "***" in told(message)
    assert "horse" not in told(message)


@pytest.mark.parametrize("before", range(465, 501))
def test_it_is_masked_where_the_text_is_cut(before: int) -> None:
    assert "correct-horse" not in told("word " * (before // 5) + "x" * (before % 5) + KEY + " and more" * 9)


@pytest.mark.parametrize("where", ["code", "param"])
def test_it_is_masked_wherever_it_stands(where: str) -> None:
    assert "horse" not in told("No.", **{where: KEY})


def test_it_is_masked_in_a_stream() -> None:
    decoder = provider().decoder(ChatRequest("m", ()))
    events = decoder.feed(b"data: " + json.dumps({"error": {"message": f"Bad {KEY}"}}).encode() + b"\n\n")
    events = [*events, *decoder.close()]
    assert events
    assert "horse" not in repr(events)
    assert "Bad ***" in repr(events)


def test_a_key_that_is_a_word_like_any_other_is_left() -> None:
    assert "the test failed" in told("the test failed", key="test")
