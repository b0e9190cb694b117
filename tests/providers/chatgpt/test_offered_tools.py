"""Functions, and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.model import Model
from tests.providers.chatgpt.asking import asked, body, function, parsed, refusal

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def allowing(*names: str, mode: Any = "required") -> dict[str, Any]:
    tools = [function(name) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_a_function() -> None:
    made = body(tools=[function("add", description="Adds.", parameters=SCHEMA, strict=True), function("now")])
    assert made["tools"] == [
        {"type": "function", "name": "add", "description": "Adds.", "strict": True, "parameters": SCHEMA},
        {
            "type": "function",
            "name": "now",
            "description": "",
            "strict": False,
            "parameters": {"type": "object", "properties": {}},
        },
    ]
    assert made["tool_choice"] == "auto"
    assert made["parallel_tool_calls"] is True


def test_functions_the_old_way() -> None:
    made = body(functions=[{"name": "add"}], function_call={"name": "add"})
    assert made["tools"][0]["name"] == "add"
    assert made["tool_choice"] == {"type": "function", "name": "add"}


@pytest.mark.parametrize(
    ("choice", "given"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (function("add"), {"type": "function", "name": "add"}),
        (
            allowing("add", "sub"),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "add"}, {"type": "function", "name": "sub"}],
            },
        ),
    ],
)
def test_tool_choice(choice: Any, given: Any) -> None:
    assert body(tools=[function("add"), function("sub")], tool_choice=choice)["tool_choice"] == given


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        (function("other"), "tool_choice"),
        (allowing("add", "other"), "tool_choice.allowed_tools.tools[1]"),
        (allowing(), "tool_choice.allowed_tools.tools"),
        (allowing("add", mode="none"), "tool_choice.allowed_tools.mode"),
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools.mode"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
            "tool_choice.allowed_tools.tools[0]",
        ),
    ],
)
def test_a_choice_that_is_not_offered(choice: Any, param: str) -> None:
    assert refusal(parsed(tools=[function("add")], tool_choice=choice)).param == param


@pytest.mark.parametrize("choice", ["required", function("add"), allowing("add")])
def test_a_choice_without_tools(choice: Any) -> None:
    assert refusal(parsed(tool_choice=choice)).param.startswith("tool_choice")


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_no_tools_no_choice(choice: Any) -> None:
    made = body(tool_choice=choice, parallel_tool_calls=True, tools=[])
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(made)


@pytest.mark.parametrize(("wanted", "able", "given"), [
    (None, None, True), (None, True, True), (None, False, False), (True, False, False), (False, True, False),
])  # fmt: skip
def test_calls_side_by_side(wanted: bool | None, able: bool | None, given: bool) -> None:
    chat = parsed(Model("m", parallel_tool_calls=able), tools=[function("add")], parallel_tool_calls=wanted)
    assert asked(chat).body["parallel_tool_calls"] is given


@pytest.mark.parametrize("tool", [{"type": "custom", "custom": {"name": "sh"}}, function("")])
def test_tools_that_are_refused(tool: Any) -> None:
    assert refusal(parsed(tools=[function("add"), tool])).param == "tools[1]"
