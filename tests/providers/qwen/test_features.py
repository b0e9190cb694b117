"""Thinking and searching as the site is told, and the fields that it cannot be told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from chatmock.model import Model
from chatmock.providers.qwen.contract import THINKING_BUDGETS
from chatmock.providers.qwen.features import asked_features
from tests.providers.qwen.asking import faulty, function, parsed

THINKS = Model("m", efforts=("none", "low", "medium", "high"))
PLAIN = Model("m", inputs=("text",))
BASE = {"output_schema": "phase", "research_mode": "normal", "auto_search": False}
AUTO = {
    "thinking_enabled": True,
    "auto_thinking": True,
    "thinking_mode": "Auto",
    "thinking_format": "summary",
}
ON = {
    "thinking_enabled": True,
    "auto_thinking": False,
    "thinking_mode": "Thinking",
    "thinking_format": "summary",
}
OFF = {"thinking_enabled": False, "auto_thinking": False, "thinking_mode": "Fast"}


def budget(tokens: int, **more: Any) -> dict[str, Any]:
    return {**ON, "thinking_budget": tokens, **more}


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({}, AUTO),
        ({"reasoning_effort": "none"}, OFF),
        ({"reasoning_effort": "low"}, budget(THINKING_BUDGETS["low"])),
        ({"reasoning_effort": "ultra"}, budget(THINKING_BUDGETS["ultra"])),
        ({"reasoning": {"effort": "high"}}, budget(THINKING_BUDGETS["high"])),
        ({"reasoning": {"effort": "high"}, "reasoning_effort": "none"}, OFF),
        ({"reasoning": {"summary": "detailed"}}, {**AUTO, "thinking_format": "full"}),
        ({"reasoning": {"summary": "concise", "effort": "low"}}, budget(THINKING_BUDGETS["low"])),
        ({"enable_thinking": True}, ON),
        ({"enable_thinking": False}, OFF),
        ({"enable_thinking": True, "thinking_budget": 77}, budget(77)),
        ({"thinking_budget": 77}, budget(77)),
        ({"thinking_budget": 77, "reasoning_effort": "high"}, budget(77)),
        ({"thinking_budget": 77, "enable_thinking": False}, OFF),
        ({"think": True}, ON),
        ({"think": False}, OFF),
        ({"think": "low"}, budget(THINKING_BUDGETS["low"])),
    ],
)
def test_thinking(body: Any, thinking: Any) -> None:
    for details in (None, THINKS):
        made = asked_features(parsed(details, **body))
        assert made.config == {**BASE, **thinking}
        assert made.ignored == ()


def test_the_effort_in_the_models_name_goes_last() -> None:
    assert asked_features(parsed(model_effort="low")).config == {**BASE, **budget(THINKING_BUDGETS["low"])}
    assert asked_features(parsed(model_effort="low", think=False)).config == {**BASE, **OFF}


def test_the_budgets_rise_and_are_held_to_what_the_model_has() -> None:
    budgets = list(THINKING_BUDGETS.values())
    assert budgets == sorted(budgets)
    bounded = attrs.evolve(THINKS, most_thinking=1000)
    assert asked_features(parsed(bounded, reasoning_effort="high")).config["thinking_budget"] == 1000
    assert asked_features(parsed(bounded, thinking_budget=7)).config["thinking_budget"] == 7


def test_a_model_of_which_nothing_is_told_is_asked_to_think() -> None:
    made = asked_features(parsed(Model("m"), reasoning_effort="low"))
    assert made.config == {**BASE, **budget(THINKING_BUDGETS["low"])}
    assert made.ignored == ()


def test_a_model_that_does_not_think_is_not_told_to() -> None:
    made = asked_features(parsed(PLAIN, reasoning_effort="high", thinking_budget=5, enable_thinking=True))
    assert made.config == {**BASE, **AUTO}
    assert made.ignored == ("enable_thinking", "reasoning_effort", "thinking_budget")


@pytest.mark.parametrize(("details", "thinking"), [(None, OFF), (THINKS, OFF), (PLAIN, AUTO)])
def test_who_wants_no_thinking_gets_none(details: Model | None, thinking: Any) -> None:
    made = asked_features(attrs.evolve(parsed(details, reasoning_effort="high"), least_effort=True))
    assert made.config == {**BASE, **thinking}
    assert made.ignored == (("reasoning_effort",) if details is PLAIN else ())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning_effort": "hard"}, "reasoning_effort"),
        ({"reasoning_effort": "on"}, "reasoning_effort"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"reasoning": "high"}, "reasoning"),
        ({"enable_thinking": "yes"}, "enable_thinking"),
        ({"think": 1}, "think"),
        ({"thinking_budget": 0}, "thinking_budget"),
        ({"thinking_budget": True}, "thinking_budget"),
        ({"thinking_budget": "5"}, "thinking_budget"),
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"responses_tools": {}}, "responses_tools"),
        ({"responses_tools": [{"type": "web_search"}, {"type": "file_search"}]}, "responses_tools[1]"),
        ({"responses_tool_choice": "required"}, "responses_tool_choice"),
        ({"web_search_options": True}, "web_search_options"),
    ],
)
def test_what_means_nothing_is_refused(body: Any, param: str) -> None:
    homed = {name: body[name] for name in body if name in ("reasoning_effort", "n")}
    chat = attrs.evolve(parsed(**homed), extras={k: v for k, v in body.items() if k not in homed})
    assert faulty(lambda: asked_features(chat)).param == param


@pytest.mark.parametrize(
    ("body", "searches", "ignored"),
    [
        ({}, False, ()),
        ({"web_search_options": {}}, True, ()),
        (
            {"web_search_options": {"search_context_size": "low"}},
            True,
            ("web_search_options.search_context_size",),
        ),
        ({"responses_tools": [{"type": "web_search"}]}, True, ()),
        ({"responses_tools": [{"type": "web_search_preview"}], "responses_tool_choice": "auto"}, True, ()),
        ({"responses_tools": [{"type": "web_search"}], "responses_tool_choice": "none"}, False, ()),
        ({"responses_tools": []}, False, ()),
        ({"tools": [{"type": "web_search"}]}, True, ()),
        ({"tools": [{"type": "web_search"}], "tool_choice": "none"}, False, ("tools.web_search",)),
        ({"tools": [{"type": "web_search"}, function("f")]}, False, ("tools.web_search",)),
        ({"tools": [{"type": "file_search"}]}, False, ("tools.file_search",)),
        ({"web_search_options": {}, "tools": [function("f")]}, False, ("web_search_options",)),
        ({"web_search_options": {}, "tools": [function("f")], "tool_choice": "none"}, True, ()),
    ],
)
def test_searching(body: Any, searches: bool, ignored: tuple[str, ...]) -> None:
    made = asked_features(parsed(**body))
    assert made.config["auto_search"] is searches
    assert made.ignored == ignored


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("temperature", 0.5, True),
        ("top_p", 0.5, True),
        ("seed", 1, True),
        ("logprobs", True, True),
        ("top_logprobs", 2, True),
        ("user", "u", True),
        ("anything", {"a": 1}, True),
        ("n", 1, False),
        ("modalities", ["text"], False),
        ("stop", ["x"], False),
        ("max_tokens", 5, False),
        ("response_format", {"type": "json_object"}, False),
        ("parallel_tool_calls", False, False),
        ("stream", True, False),
    ],
)
def test_fields_without_effect_are_told(field: str, value: Any, told: bool) -> None:
    made = asked_features(parsed(**{field: value}))
    assert made.ignored == ((field,) if told else ())
    assert made.config == {**BASE, **AUTO}


def test_parts_of_a_field_without_effect_are_told() -> None:
    made = asked_features(parsed(reasoning={"effort": "low", "summary": "none", "max_tokens": 5}))
    assert made.ignored == ("reasoning.max_tokens", "reasoning.summary")
