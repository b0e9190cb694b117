"""Web search."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.conversation import ChatRequest
from chatmock.providers.chatgpt.hosted_tools import without_hosted_tools
from chatmock.providers.chatgpt.request import Defaults
from tests.providers.chatgpt.asking import asked, body, function, parsed, refusal

SEARCH = {"type": "web_search"}
PREVIEW = {"type": "web_search_preview", "search_context_size": "high"}
ADD = function("add")


def types(chat: ChatRequest, web_search: bool = True) -> list[str]:
    return [tool["type"] for tool in asked(chat, web_search=web_search).body.get("tools", [])]


def test_the_clients_own_come_after_its_functions() -> None:
    made = body(tools=[ADD], responses_tools=[SEARCH, PREVIEW])
    assert made["tools"][1:] == [SEARCH, PREVIEW]
    assert made["tool_choice"] == "auto"


@pytest.mark.parametrize(
    ("more", "given"),
    [
        ({}, ["web_search"]),
        ({"tools": [ADD]}, ["function", "web_search"]),
        ({"responses_tools": [PREVIEW]}, ["web_search_preview"]),
        ({"responses_tools": []}, []),
        ({"responses_tool_choice": "none"}, []),
        ({"tools": [ADD], "tool_choice": "none"}, ["function"]),
        (
            {"tools": [ADD], "tool_choice": "none", "responses_tool_choice": "auto"},
            ["function", "web_search"],
        ),
        ({"tools": [ADD], "tool_choice": "required"}, ["function"]),
        ({"tools": [ADD], "tool_choice": ADD}, ["function"]),
        (
            {
                "tools": [ADD],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [ADD]}},
            },
            ["function"],
        ),
    ],
)
def test_the_owners(more: dict[str, Any], given: list[str]) -> None:
    assert types(parsed(**more)) == given


def test_the_owners_is_off_unless_switched_on() -> None:
    assert types(parsed(), web_search=False) == []


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_the_override_goes_before_the_tool_choice(choice: str) -> None:
    made = body(tools=[ADD], tool_choice="required", responses_tools=[SEARCH], responses_tool_choice=choice)
    assert made["tool_choice"] == choice


def test_required_may_mean_the_search() -> None:
    assert body(tool_choice="required", responses_tools=[SEARCH])["tool_choice"] == "required"


PLACE = {"country": "DE", "city": "Ulm"}


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, SEARCH),
        ({"search_context_size": "low"}, {**SEARCH, "search_context_size": "low"}),
        (
            {
                "user_location": {"type": "approximate", "approximate": {**PLACE, "x": 1}},
                "search_context_size": None,
            },
            {**SEARCH, "user_location": {"type": "approximate", **PLACE}},
        ),
        (
            {"user_location": {"type": "approximate", **PLACE}},
            {**SEARCH, "user_location": {"type": "approximate", **PLACE}},
        ),
    ],
)
def test_chats_own_way(options: dict[str, Any], tool: dict[str, Any]) -> None:
    assert body(web_search_options=options)["tools"] == [tool]


def test_options_without_effect_are_told() -> None:
    assert asked(parsed(web_search_options={"depth": 1})).ignored == ("web_search_options.depth",)
    assert asked(parsed(web_search_options={}, responses_tools=[SEARCH])).ignored == ("web_search_options",)


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"responses_tools": [SEARCH, {"type": "code"}]}, "responses_tools[1]", "RESPONSES_TOOL_UNSUPPORTED"),
        ({"responses_tools": [{}]}, "responses_tools[0]", "RESPONSES_TOOL_UNSUPPORTED"),
        ({"responses_tools": ["web_search"]}, "responses_tools[0]", "RESPONSES_TOOL_UNSUPPORTED"),
        (
            {"responses_tools": [{**SEARCH, "x": "y" * 32_768}]},
            "responses_tools",
            "RESPONSES_TOOLS_TOO_LARGE",
        ),
        ({"responses_tools": SEARCH}, "responses_tools", None),
        ({"responses_tool_choice": "required"}, "responses_tool_choice", None),
        (
            {"web_search_options": {"search_context_size": "all"}},
            "web_search_options.search_context_size",
            None,
        ),
        ({"web_search_options": {"user_location": "Ulm"}}, "web_search_options.user_location", None),
    ],
)
def test_refused(more: dict[str, Any], param: str, code: str | None) -> None:
    refused = refusal(parsed(**more))
    assert (refused.param, refused.code) == (param, code)


def test_the_most_that_is_taken() -> None:
    rest = 32_768 - len('[{"type":"web_search","x":""}]')
    assert body(responses_tools=[{**SEARCH, "x": "y" * rest}])["tools"]


@pytest.mark.parametrize(
    ("more", "web_search"),
    [
        ({"responses_tools": [SEARCH], "responses_tool_choice": "auto"}, False),
        ({"web_search_options": {}}, False),
        ({"responses_tools": [SEARCH], "web_search_options": {}}, True),
        ({"responses_tools": [], "web_search_options": {}}, True),
        ({}, True),
    ],
)
def test_the_second_try_goes_without(more: dict[str, Any], web_search: bool) -> None:
    defaults = Defaults(web_search=web_search)
    chat = parsed(tools=[ADD], temperature=1.0, **more)
    plain = without_hosted_tools(chat, defaults)
    assert plain is not None
    assert types(chat, web_search) != types(plain, web_search) == ["function"]
    assert asked(plain, web_search=web_search).ignored == ("temperature",)
    assert without_hosted_tools(plain, defaults) is None


def test_the_second_try_has_the_tool_choice_of_the_first() -> None:
    chat = parsed(tools=[ADD], tool_choice=ADD, responses_tools=[SEARCH], responses_tool_choice="none")
    plain = without_hosted_tools(chat, Defaults())
    assert plain is not None
    assert asked(plain).body["tool_choice"] == {"type": "function", "name": "add"}


@pytest.mark.parametrize(
    "more", [{}, {"tools": [ADD]}, {"responses_tool_choice": "auto"}, {"responses_tools": []}]
)
def test_no_second_try_where_there_is_nothing_to_leave_out(more: dict[str, Any]) -> None:
    assert without_hosted_tools(parsed(**more), Defaults()) is None


def test_a_search_among_the_tools_is_one() -> None:
    made = asked(parsed(tools=[ADD, SEARCH, {"type": "code_interpreter"}]), web_search=False)
    assert [tool["type"] for tool in made.body["tools"]] == ["function", "web_search"]
    assert made.ignored == ("tools.code_interpreter",)


def test_only_known_keys_reach_the_backend() -> None:
    made = asked(parsed(responses_tools=[{**PREVIEW, "max_output_tokens": 5}]), web_search=False)
    assert made.body["tools"] == [PREVIEW]
    assert made.ignored == ("web_search_preview.max_output_tokens",)


def test_the_retry_leaves_out_a_search_among_the_tools_too() -> None:
    plain = without_hosted_tools(parsed(tools=[ADD, SEARCH]), Defaults())
    assert plain is not None
    assert types(plain, web_search=False) == ["function"]
