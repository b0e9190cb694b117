"""The body as a whole: what is in it, what never is, and what the client is told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.chatgpt.request import Asked, Defaults, build
from tests.providers.chatgpt.asking import ACCOUNT, HELLO, asked, body, chats, parsed, refusal
from tests.upstreams.chatgpt_rules import check

SCHEMA = {"type": "object", "properties": {}}


def test_the_least() -> None:
    made = asked(parsed())
    assert made.body == {
        "model": "m",
        "instructions": "",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "medium", "summary": "auto"},
        "prompt_cache_key": made.session,
    }
    assert made.ignored == ()
    assert made.notes == {}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("background", True, True),
        ("max_output_tokens", 5, True),
        ("max_tool_calls", 5, True),
        ("metadata", {"a": "b"}, True),
        ("prompt_cache_retention", "24h", True),
        ("safety_identifier", "s", False),
        ("stream_options", {"include_usage": True}, False),
        ("temperature", 0.5, True),
        ("top_logprobs", 2, True),
        ("top_p", 0.5, True),
        ("truncation", "auto", True),
        ("user", "u", False),
        ("presence_penalty", 1.0, True),
        ("frequency_penalty", 1.0, True),
        ("previous_response_id", "resp_1", True),
        ("conversation", "conv_1", True),
        ("prompt", {"id": "p"}, True),
        ("max_completion_tokens", 5, False),
        ("max_tokens", 5, False),
        ("stop", ["x"], False),
        ("generate", False, True),
        ("context_management", [], True),
        ("prompt_cache_options", {}, True),
        ("logprobs", True, True),
        ("seed", 1, True),
        ("logit_bias", {"1": 2.0}, True),
        ("audio", {"voice": "a"}, True),
        ("prediction", {"type": "content", "content": "x"}, True),
        ("client_metadata", {}, True),
        ("anything", {"a": [1]}, True),
    ],
)
def test_a_field_that_the_backend_refuses_never_reaches_it(field: str, value: Any, told: bool) -> None:
    made = asked(parsed(**{field: value}))
    assert field not in made.body
    assert made.ignored == ((field,) if told else ())
    plain = {**asked(parsed()).body, "prompt_cache_key": made.session}
    assert made.body == plain


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("stream", False, True),
        ("stream", True, True),
        ("store", True, False),
        ("include", ["x"], ["reasoning.encrypted_content"]),
        ("instructions", None, ""),
        ("instructions", "Be rude.", ""),
    ],
)
def test_values_that_the_backend_refuses(field: str, value: Any, sent: Any) -> None:
    assert body(**{field: value})[field] == sent


def test_fields_without_effect_are_sorted_and_fit_for_a_header() -> None:
    assert asked(parsed(top_p=0.5, seed=1, **{"a\r\nb: ü": 1, "n" * 99: 1})).ignored == (
        "a??b???",
        "n" * 64,
        "seed",
        "top_p",
    )
    assert len(asked(parsed(**{f"f{n}": 1 for n in range(99)})).ignored) == 32
    assert asked(attrs.evolve(parsed(), extras={"seed": None})).ignored == ()


@pytest.mark.parametrize(
    ("asked_for", "given"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
            {"type": "json_schema", "name": "response", "schema": SCHEMA, "strict": False},
        ),
    ],
)
def test_response_format(asked_for: Any, given: Any) -> None:
    assert body(response_format=asked_for).get("text") == (None if given is None else {"format": given})


@pytest.mark.parametrize("verbosity", ["low", "medium", "high"])
def test_verbosity(verbosity: str) -> None:
    made = body(verbosity=verbosity, response_format={"type": "json_object"})
    assert made["text"] == {"format": {"type": "json_object"}, "verbosity": verbosity}


def test_verbosity_for_a_model_that_takes_none() -> None:
    made = asked(parsed(Model("m", verbosity=False), verbosity="low"))
    assert "text" not in made.body
    assert made.ignored == ("verbosity",)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"verbosity": "chatty"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["image"]}, "modalities"),
    ],
)
def test_refused(more: dict[str, Any], param: str) -> None:
    assert refusal(parsed(**more)).param == param


def test_asking_for_text_is_nothing_to_tell() -> None:
    assert asked(parsed(modalities=["text"], n=1, logprobs=False)).ignored == ()


def test_the_request_is_not_changed() -> None:
    said = [{"role": "system", "content": "s"}, *HELLO]
    chat, same = (
        parsed(messages=said, tools=[], responses_tools=[{"type": "web_search"}], seed=1) for _ in range(2)
    )
    asked(chat)
    assert chat == same


def built(chat: ChatRequest) -> Asked | Refusal:
    try:
        return build(chat, ACCOUNT, Defaults(web_search=True, instructions="d"))
    except Refusal as refused:
        return refused


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(chats)
def test_the_backend_takes_whatever_is_built(chat: ChatRequest) -> None:
    made = built(chat)
    if isinstance(made, Refusal):
        assert made.kind is Kind.BAD_REQUEST
        assert made.param
        return
    check(made.body)
    assert jsontext.loads(jsontext.dumps(made.body)) == made.body
    for text in (made.session, *made.notes, *made.notes.values(), *made.ignored):
        assert text.isascii()
        assert text.isprintable()
    assert built(chat) == made
