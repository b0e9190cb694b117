"""Requests of clients that speak the backend's own dialect."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Identity, Message, Reasoning, Source, Text
from chatmock.dialects.responses_parse import parse_object
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.chatgpt.provider import ChatGPT
from chatmock.providers.chatgpt.request import Asked, Defaults, build, original_names
from chatmock.providers.interface import Credential
from chatmock.settings import Secret
from tests.providers.chatgpt.asking import ACCOUNT
from tests.upstreams.chatgpt_rules import check

LONG = "n" * 70
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object"}}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "seal"}
CALL = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "2"}
IDENTITY = Identity("own", 5)


def parsed(details: Model | None = None, model_effort: str | None = None, **body: Any) -> ChatRequest:
    """The request of a Responses client, after routing."""
    chat = parse_object({"model": "m", "input": "Hello", **body})
    return attrs.evolve(chat, details=details, model_effort=model_effort)


def asked(chat: ChatRequest, **defaults: Any) -> Asked:
    """The request for the backend, which accepts it."""
    made = build(chat, ACCOUNT, Defaults(**defaults))
    check(made.body)
    return made


def sent(**body: Any) -> dict[str, Any]:
    return asked(parsed(**body)).body


def items(*given: Any) -> Any:
    return sent(input=list(given))["input"]


def refusal(chat: ChatRequest) -> Refusal:
    with pytest.raises(Refusal) as caught:
        build(chat, ACCOUNT, Defaults())
    assert caught.value.kind is Kind.BAD_REQUEST
    return caught.value


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_a_text_is_a_message_of_the_user() -> None:
    assert sent(input="Hello")["input"] == [user("Hello")]
    assert items({"role": "user", "content": "Hello"}) == [user("Hello")]


def test_the_least_request() -> None:
    made = sent()
    key = made.pop("prompt_cache_key")
    assert key == sent()["prompt_cache_key"]
    assert made == {
        "model": "m",
        "instructions": "",
        "input": [user("Hello")],
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "medium", "summary": "auto"},
    }


def test_what_the_backend_takes_goes_as_it_is() -> None:
    tools = [
        FUNCTION,
        {"type": "custom", "name": "patch", "format": {"type": "grammar"}},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "namespace", "name": "mcp", "tools": [FUNCTION]},
    ]
    made = sent(
        instructions="Be good.",
        tools=tools,
        tool_choice="required",
        parallel_tool_calls=False,
        include=["web_search_call.action.sources"],
        reasoning={"effort": "high", "summary": "detailed"},
        text={
            "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
            "verbosity": "low",
        },
        prompt_cache_key="key",
        service_tier="priority",
        client_metadata={"x-codex-installation-id": "i"},
    )
    assert made["tools"] == tools
    assert (made["tool_choice"], made["parallel_tool_calls"]) == ("required", False)
    assert made["include"] == ["web_search_call.action.sources", "reasoning.encrypted_content"]
    assert made["reasoning"] == {"effort": "high", "summary": "detailed"}
    assert made["text"]["format"]["name"] == "n"
    assert made["text"]["verbosity"] == "low"
    assert (made["prompt_cache_key"], made["service_tier"]) == ("key", "priority")
    assert made["client_metadata"] == {"x-codex-installation-id": "i"}
    assert made["instructions"] == "Be good."


def test_what_it_does_not_take_is_named() -> None:
    made = asked(
        parsed(
            temperature=0.5,
            top_p=0.5,
            user="u",
            safety_identifier="s",
            truncation="auto",
            max_tool_calls=3,
            top_logprobs=2,
            text={"format": {"type": "text"}, "x": 1},
            reasoning={"effort": "low", "context": "all"},
            service_tier="auto",
        )
    )
    assert made.ignored == (
        "max_tool_calls",
        "reasoning.context",
        "temperature",
        "text.x",
        "top_logprobs",
        "top_p",
        "truncation",
    )
    assert "text" not in made.body


def test_what_chatmock_does_itself_is_not_named() -> None:
    chat = parsed(
        store=True,
        stream=True,
        stream_options={"include_obfuscation": False},
        metadata={"a": "b"},
        max_output_tokens=5,
        previous_response_id="resp_0",
        truncation="disabled",
        parallel_tool_calls=True,
    )
    assert asked(chat).ignored == ()


@pytest.mark.parametrize(
    ("reasoning", "made"),
    [
        (None, {"effort": "medium", "summary": "auto"}),
        ({"generate_summary": "concise"}, {"effort": "medium", "summary": "concise"}),
        ({"summary": "none"}, {"effort": "medium"}),
        ({"effort": "xhigh"}, {"effort": "high", "summary": "auto"}),
    ],
)
def test_reasoning(reasoning: Any, made: Any) -> None:
    details = Model("m", efforts=("low", "medium", "high"))
    assert asked(parsed(details, reasoning=reasoning)).body["reasoning"] == made


def test_the_effort_of_the_models_name_comes_second() -> None:
    assert asked(parsed(model_effort="low")).body["reasoning"]["effort"] == "low"
    both = parsed(model_effort="low", reasoning={"effort": "high"})
    assert asked(both).body["reasoning"]["effort"] == "high"


def test_an_effort_that_does_not_exist_is_refused_by_its_name() -> None:
    assert refusal(parsed(reasoning={"effort": "huge"})).param == "reasoning.effort"


def test_system_messages_become_the_developers() -> None:
    given = items({"role": "system", "content": "Be good."}, {"role": "user", "content": "Hi"})
    assert given[0] == {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "Be good."}],
    }


@pytest.mark.parametrize(
    ("body", "instructions"),
    [
        ({}, "The owner's."),
        ({"instructions": " "}, "The owner's."),
        ({"instructions": "Mine."}, "Mine."),
        ({"input": [{"role": "developer", "content": "Mine."}, user("Hi")]}, ""),
    ],
)
def test_the_owners_instructions(body: Any, instructions: str) -> None:
    made = asked(parsed(**body), instructions="The owner's.")
    assert made.body["instructions"] == instructions


def test_items_lose_the_ids_that_nobody_keeps() -> None:
    answered = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}
    given = items(
        user("Hello"),
        SEALED,
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [answered],
         "phase": "commentary"},
        {**CALL, "id": "fc_1", "status": "completed", "namespace": "mcp"},
        RESULT,
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "image_generation_call", "id": "ig_1", "result": "QQ=="},
        {"type": "dance", "id": "d_1", "steps": 3},
    )  # fmt: skip
    assert given[1:] == [
        {"type": "reasoning", "summary": [], "encrypted_content": "seal"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}],
         "phase": "commentary"},
        {**CALL, "namespace": "mcp"},
        RESULT,
        {"type": "web_search_call", "status": "completed", "action": {"type": "search"}},
        {"type": "image_generation_call", "id": "ig_1", "result": "QQ=="},
        {"type": "dance", "id": "d_1", "steps": 3},
    ]  # fmt: skip


def test_thinking_without_a_seal_is_left_out() -> None:
    open = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "content": None,
    }
    assert items(user("Hello"), open) == [user("Hello")]
    assert items(user("Hello"), {**open, "encrypted_content": "seal"})[1] == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "seal",
    }


def test_parts_are_of_their_roles_kind() -> None:
    given = items(
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "output_text", "text": ""}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": ""},
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,QQ", "detail": "low"}],
        },
        {"role": "user", "content": [{"type": "input_file", "file_id": "f", "prompt_cache_breakpoint": {}}]},
    )
    assert [item["content"] for item in given] == [
        [{"type": "input_text", "text": "a"}],
        [{"type": "output_text", "text": "no"}],
        [{"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"}],
        [{"type": "input_file", "file_id": "f"}],
    ]


def test_a_picture_for_a_model_that_reads_none() -> None:
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]}]
    details = Model("m", inputs=("text",))
    assert refusal(parsed(details, input=picture)).param == "input[0].content[0]"
    assert asked(parsed(Model("m", inputs=("text", "image")), input=picture))


def test_results_in_parts_and_empty_ones() -> None:
    parts = {**RESULT, "output": [{"type": "text", "text": "2"}]}
    assert items(CALL, parts)[1]["output"] == [{"type": "input_text", "text": "2"}]
    assert items(CALL, {**RESULT, "output": []})[1]["output"] == ""
    assert items(CALL, {**RESULT, "output": {"a": 1}})[1]["output"] == '{"a":1}'
    assert items({**CALL, "arguments": ""})[0]["arguments"] == "{}"


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}])
def test_a_reference_has_nothing_to_refer_to(item: Any) -> None:
    refused = refusal(parsed(input=[user("Hi"), item]))
    assert refused.param == "input[1]"
    assert "msg_1" in refused.message


def test_an_input_of_nothing_gets_a_blank() -> None:
    assert items({"role": "user", "content": []}) == [user(" ")]


def test_long_names_are_shortened_everywhere_and_found_again() -> None:
    chat = parsed(
        input=[
            {**CALL, "name": LONG},
            RESULT,
            {"type": "custom_tool_call", "call_id": "d", "name": "p" * 70, "input": ""},
            {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
        ],
        tools=[
            {**FUNCTION, "name": LONG},
            {"type": "custom", "name": "p" * 70},
            {**FUNCTION, "name": "o" * 70},
        ],
        tool_choice={
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": LONG}, {"type": "custom", "name": "p" * 70}],
        },
    )
    made = asked(chat).body
    short = made["tools"][0]["name"]
    assert made["input"][0]["name"] == made["tool_choice"]["tools"][0]["name"] == short
    assert original_names(chat)[short] == LONG
    assert len(original_names(chat)) == 3
    assert asked(parsed(tools=[{**FUNCTION, "name": LONG}], tool_choice={"type": "function", "name": LONG}))


def test_a_function_as_openai_chat_has_it() -> None:
    nested = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    assert sent(tools=[nested])["tools"] == [FUNCTION]


def test_tools_are_required_where_there_are_none() -> None:
    assert refusal(parsed(tool_choice="required")).param == "tool_choice"
    assert "tool_choice" not in sent(tool_choice="none")


@pytest.mark.parametrize(
    ("body", "searches"),
    [
        ({}, True),
        ({"tool_choice": "auto"}, True),
        ({"tool_choice": "none"}, False),
        ({"tools": [FUNCTION]}, False),
        ({"responses_tools": []}, False),
    ],
)
def test_the_owners_search(body: Any, searches: bool) -> None:
    made = asked(parsed(**body), web_search=True).body
    assert ({"type": "web_search"} in made.get("tools", [])) is searches
    assert "web_search" not in str(asked(parsed(**body)).body)


def test_a_refused_search_of_the_owners_is_left_out() -> None:
    provider = ChatGPT("http://x", Defaults(web_search=True))
    refused = Refusal(Kind.BAD_REQUEST, "no search here")
    amendment = provider.amend(parsed(), refused)
    assert amendment is not None
    assert "tools" not in asked(amendment.chat, web_search=True).body
    assert provider.amend(amendment.chat, refused) is None
    assert provider.amend(parsed(tools=[{"type": "web_search"}]), refused) is None, "the client's own"


def test_seals_that_cannot_be_read_are_left_out() -> None:
    provider = ChatGPT("http://x")
    refused = Refusal(Kind.BAD_REQUEST, "could not be verified", code="invalid_encrypted_content")
    chat = parsed(input=[user("Hi"), SEALED, user("Bye")])
    amendment = provider.amend(chat, refused)
    assert amendment is not None
    assert asked(amendment.chat).body["input"] == [user("Hi"), user("Bye")]
    assert amendment.notes
    assert provider.amend(amendment.chat, refused) is None
    turn = Message("assistant", (Reasoning("Hm", "seal"), Text("Hi")))
    chatting = ChatRequest("m", (turn,))
    amendment = provider.amend(chatting, refused)
    assert amendment is not None
    assert amendment.chat.messages == (Message("assistant", (Text("Hi"),)),)


def test_the_http_request() -> None:
    provider = ChatGPT("http://x")
    asking = provider.request(parsed(max_output_tokens=5, temperature=1), Credential(Secret("t"), ACCOUNT))
    assert asking.stream
    assert asking.notes["X-Chatmock-Ignored"] == "temperature"
    assert "x-chatmock-max-tokens" in asking.notes


def test_what_passes() -> None:
    provider = ChatGPT("http://x")
    assert provider.passage(parsed(max_output_tokens=5), IDENTITY) is not None
    whole, stream = provider.passage(parsed(), IDENTITY), provider.passage(parsed(stream=True), IDENTITY)
    assert whole is not None
    assert stream is not None
    assert whole.folds
    assert not stream.folds


def test_the_clients_body_is_not_changed() -> None:
    body = {
        "model": "m",
        "input": [{**CALL, "name": LONG, "id": "x"}],
        "tools": [{**FUNCTION, "name": LONG}],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": LONG}],
        },
    }
    before = repr(body)
    asked(parse_object(body))
    assert repr(body) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
odd_items = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "reasoning", "function_call", "function_call_output", "dance"])
        | json_values,
        "role": st.sampled_from(["system", "user", "assistant"]) | json_values,
        "content": json_values | st.lists(st.fixed_dictionaries({"type": st.just("input_text")}), max_size=2),
        "name": json_values,
        "id": json_values,
        "output": json_values,
        "encrypted_content": json_values,
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(odd_items, max_size=3), json_values, json_values, json_values)
def test_any_body_is_asked_or_refused(odd: Any, tools: Any, choice: Any, text: Any) -> None:
    body = {
        "input": odd,
        "tools": tools,
        "tool_choice": choice,
        "text": text,
        "reasoning": text,
        "include": tools,
    }
    chat = ChatRequest("m", (), source=Source("openai-responses", body))
    try:
        made = build(chat, ACCOUNT, Defaults(web_search=True))
    except Refusal as refused:
        kind, made = refused.kind, None
    assert kind is Kind.BAD_REQUEST if made is None else made.body["input"]
