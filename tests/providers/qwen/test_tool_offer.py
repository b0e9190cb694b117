"""Which tools the model is told of and may call, by every form of the choice."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.providers.qwen.tool_offer import Offer, offer
from tests.providers.qwen.asking import faulty, function, parsed

TOOLS = [function("a"), function("b"), function("c")]


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "usable", "forced"),
    [
        (None, "abc", False),
        ("auto", "abc", False),
        ("required", "abc", True),
        ({"type": "function", "function": {"name": "b"}}, "b", True),
        (allowed("auto", "c", "a"), "ac", False),
        (allowed("required", "b", "c"), "bc", True),
    ],
)
@pytest.mark.parametrize("parallel", [True, False])
def test_choices(choice: Any, usable: str, forced: bool, parallel: bool) -> None:
    made = offer(parsed(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel))
    assert "".join(tool.name for tool in made.tools) == "abc"
    assert "".join(tool.name for tool in made.usable) == usable
    assert (made.forced, made.parallel) == (forced, parallel)


def test_none_offers_nothing() -> None:
    assert offer(parsed(tools=TOOLS, tool_choice="none")) == Offer()
    assert offer(parsed()) == Offer()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": allowed("auto")}, "tool_choice.allowed_tools.tools"),
        ({"tools": TOOLS, "tool_choice": allowed("auto", "a", "x")}, "tool_choice.allowed_tools.tools[1]"),
        ({"tools": TOOLS, "tool_choice": allowed("maybe", "a")}, "tool_choice.allowed_tools.mode"),
        ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools.mode"),
        ({"tools": [function("")]}, "tools[0]"),
        ({"tools": [*TOOLS, {"type": "custom", "custom": {"name": "sh"}}]}, "tools[3]"),
    ],
)
def test_what_cannot_be_offered(body: Any, param: str) -> None:
    assert faulty(lambda: offer(parsed(**body))).param == param
