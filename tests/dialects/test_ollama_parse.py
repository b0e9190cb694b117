"""Ollama's requests are read as its server reads them, and refused in its words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chatmock.conversation import Image, Message, Reasoning, ResponseFormat, Text, ToolCall, ToolResult
from chatmock.dialects import OllamaChat, OllamaGenerate
from chatmock.errors import Kind, Refusal

HI = [{"role": "user", "content": "Hi"}]
PICTURES = {
    "png": b"\x89PNG\r\n\x1a\n" + bytes(12),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(12),
    "gif": b"GIF89a" + bytes(12),
    "webp": b"RIFF\0\0\0\0WEBPVP8 ",
}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chat(**fields: Any) -> Any:
    return OllamaChat().parse(json.dumps({"model": "m", "messages": HI, **fields}).encode())


def generate(**fields: Any) -> Any:
    return OllamaGenerate().parse(json.dumps({"model": "m", "prompt": "Hi", **fields}).encode())


def refused(parse: Any, **fields: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(**fields)
    assert caught.value.kind is Kind.BAD_REQUEST
    return caught.value


def test_the_least_there_is() -> None:
    asked = chat()
    assert asked.model == "m"
    assert asked.messages == (Message("user", (Text("Hi"),)),)
    assert asked.stream
    assert asked.otherwise is None
    assert asked.thinking == "reasoning-content"
    assert asked.ignored == ()
    assert asked.extras == {}
    assert asked.source.wire == "ollama-chat"
    assert not chat(stream=False).stream
    assert generate().messages == asked.messages
    assert generate().source.wire == "ollama-generate"


@pytest.mark.parametrize("parse", [chat, generate])
def test_the_words_of_the_real_one(parse: Any) -> None:
    for dialect in (OllamaChat(), OllamaGenerate()):
        with pytest.raises(Refusal, match=r"^missing request body$"):
            dialect.parse(b"")
    for model in (None, "", "  "):
        assert refused(parse, model=model).message == "model is required"
    assert refused(parse, top_logprobs=21).message == "top_logprobs must be between 0 and 20"
    assert refused(parse, think="a bit").message == (
        'invalid think value: "a bit" (must be "high", "medium", "low", "max", true, or false)'
    )
    assert refused(parse, format="xml").message == (
        'invalid format: "xml"; expected "json" or a valid JSON Schema object'
    )
    assert refused(parse, keep_alive="5 minutes").message == 'time: invalid duration "5 minutes"'


@pytest.mark.parametrize(
    ("name", "otherwise"),
    [("demo:latest", "demo"), ("demo", None), ("qwen3:4b", None), (":latest", None), ("a:b:latest", "a:b")],
)
def test_the_tag_that_stands_for_none(name: str, otherwise: str | None) -> None:
    assert chat(model=name).model == name
    assert chat(model=name).otherwise == otherwise


@pytest.mark.parametrize(
    ("think", "thinking", "effort", "least"),
    [
        (None, "reasoning-content", None, False),
        (True, "reasoning-content", "medium", False),
        (False, "none", None, True),
        ("low", "reasoning-content", "low", False),
        ("max", "reasoning-content", "max", False),
    ],
)
def test_think(think: Any, thinking: str, effort: str | None, least: bool) -> None:
    asked = chat(think=think)
    assert (asked.thinking, asked.reasoning_effort, asked.least_effort) == (thinking, effort, least)


def test_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert chat(format="").response_format == chat(format=None).response_format == ResponseFormat()
    assert chat(format="json").response_format == ResponseFormat("json_object")
    assert chat(format=schema).response_format == ResponseFormat("json_schema", "answer", schema)
    assert chat(format={}).response_format.kind == "json_schema"


def test_options_that_mean_something_elsewhere() -> None:
    options = {
        "num_predict": 24,
        "temperature": 0,
        "top_p": 0.5,
        "seed": 2**62 + 1,
        "presence_penalty": 1.5,
        "frequency_penalty": -1,
        "stop": ["a", "", "b"],
    }
    asked = chat(options=options)
    assert asked.max_tokens == 24
    assert asked.stop == ("a", "b")
    assert not asked.tell_stop
    assert asked.extras == {k: v for k, v in options.items() if k not in ("num_predict", "stop")}
    assert asked.ignored == ()
    assert chat(options={"num_predict": -1}).max_tokens > 10**9, "the limits make the owner's maximum of it"
    assert chat(options={"num_predict": 0}).max_tokens is None


def test_more_stop_sequences_than_openai_takes_are_looked_for_here() -> None:
    asked = chat(options={"stop": ["1", "2", "3", "4", "5"]})
    assert len(asked.stop) == 5
    assert asked.tell_stop


def test_what_means_nothing_elsewhere_is_named_and_goes_nowhere() -> None:
    asked = chat(
        options={"num_ctx": 8192, "mirostat": 1, "top_k": None, "seed": 1}, keep_alive="5m", shift=True
    )
    assert set(asked.ignored) == {"keep_alive", "shift", "options.num_ctx", "options.mirostat"}
    assert asked.extras == {"seed": 1}
    assert set(generate(raw=True, template="{{ .Prompt }}", context=[1]).ignored) == {
        "raw",
        "template",
        "context",
    }


def test_what_is_empty_is_not_named() -> None:
    """As an older client sends it (recorded)."""
    asked = generate(
        system="", template="", context=[], raw=False, images=[], format="", options={}, keep_alive=None
    )
    assert asked.ignored == ()
    assert asked.messages == (Message("user", (Text("Hi"),)),)


def test_a_wrong_option_names_itself() -> None:
    assert refused(chat, options={"temperature": "hot"}).param == "options.temperature"
    assert refused(chat, options=5).param == "options"


def test_generate_has_a_system_text_and_no_suffix() -> None:
    assert generate(system="Be brief.").messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
    )
    with pytest.raises(Refusal, match='"m" does not support insert'):
        OllamaGenerate().check_translated(generate(suffix="end"))
    OllamaGenerate().check_translated(generate(suffix=""))


@pytest.mark.parametrize(
    ("keep_alive", "load"),
    [
        (None, "load"),
        ("5m", "load"),
        (-1, "load"),
        (300, "load"),
        (0, "unload"),
        ("0", "unload"),
        ("0s", "unload"),
        ("500ms", "unload"),
        ("-1m", "load"),
    ],
)
def test_nothing_said_loads_or_unloads(keep_alive: Any, load: str) -> None:
    for asked in (
        chat(messages=[], keep_alive=keep_alive),
        chat(messages=None, keep_alive=keep_alive),
        generate(prompt="", keep_alive=keep_alive),
        generate(prompt=None, keep_alive=keep_alive, stream=True),
    ):
        assert (asked.load, asked.messages, asked.stream) == (load, (), False)
    assert chat(keep_alive=keep_alive).load is None


@pytest.mark.parametrize(("kind", "data"), PICTURES.items(), ids=PICTURES.keys())
def test_pictures(kind: str, data: bytes) -> None:
    text = base64_of(data)
    shown = Image(f"data:image/{kind};base64,{text}")
    for given in (text, f"{text[:4]}\r\n{text[4:]}", f"data:image/png;base64,{text}"):
        asked = chat(messages=[{"role": "user", "content": "What?", "images": [given]}])
        assert asked.messages[0].parts == (Text("What?"), shown)
    assert generate(images=[text]).messages[0].parts == (Text("Hi"), shown)
    assert chat(messages=[{"content": "", "images": [text]}]).messages[0].parts == (shown,)


def test_pictures_that_are_none() -> None:
    def one(data: str) -> Refusal:
        refusal = refused(chat, messages=[{"role": "user", "images": [data]}])
        assert refusal.param == "messages[0].images[0]"
        return refusal

    assert "illegal base64 data at input byte 4" in one("QUJD!").message
    assert "illegal base64 data" in one("QUJDR").message
    assert "illegal base64 data at input byte 0" in one("https://example.org/a.png"[5:]).message
    assert "unknown format" in one(base64_of(b"BM" + bytes(20))).message
    assert "unknown format" in one("").message


def test_roles() -> None:
    roles = ["system", "USER", "assistant", "", "developer"]
    asked = chat(messages=[{"role": role, "content": "x"} for role in roles])
    assert [m.role for m in asked.messages] == ["system", "user", "assistant", "user", "developer"]
    odd = chat(messages=[*HI, {"role": "nobody", "content": "x"}])
    with pytest.raises(Refusal) as caught:
        OllamaChat().check_translated(odd)
    assert caught.value.param == "messages[1].role"
    assert odd.messages[1].text == "x", "its length is checked all the same"
    OllamaChat().check_translated(asked)
    assert chat(messages=[{"role": "user"}]).messages[0].parts == (Text(""),)


def test_an_earlier_answer_keeps_its_thinking_its_calls_and_the_order() -> None:
    call = {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"n": 2**63, "x": 0.1}}}
    asked = chat(messages=[{"role": "assistant", "content": "So.", "thinking": "Hm.", "tool_calls": [call]}])
    assert asked.messages[0].parts == (
        Reasoning("Hm."),
        Text("So."),
        ToolCall("call_1", "f", '{"n":9223372036854775808,"x":0.1}'),
    )


def calls(*names: str, ids: bool = False) -> dict[str, Any]:
    made: list[dict[str, Any]] = [{"function": {"name": name, "arguments": {}}} for name in names]
    for number, call in enumerate(made):
        if ids:
            call["id"] = f"id{number}"
    return {"role": "assistant", "content": "", "tool_calls": made}


def results(*messages: dict[str, Any]) -> list[tuple[str, str]]:
    """By the name of the call that each result is taken for the answer of."""
    asked = chat(messages=[*messages])
    made = {p.id: p.name for m in asked.messages for p in m.parts if isinstance(p, ToolCall)}
    found = [p for m in asked.messages for p in m.parts if isinstance(p, ToolResult)]
    assert len({result.id for result in found}) == len(found)
    return [(made.get(result.id, "?"), result.parts[0].text) for result in found]


def tool(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def test_results_go_to_their_calls() -> None:
    by_id = results(calls("a", "b", ids=True), tool("B", tool_call_id="id1"), tool("A"))
    assert by_id == [("b", "B"), ("a", "A")]
    by_name = results(calls("a", "b", "a"), tool("B", tool_name="b"), tool("A", tool_name="a"), tool("A2"))
    assert by_name == [("b", "B"), ("a", "A"), ("a", "A2")]
    assert results(calls("a", "b"), tool("1"), tool("2")) == [("a", "1"), ("b", "2")]
    assert results(calls("a"), tool("1", tool_name="other")) == [("a", "1")]
    two_turns = results(calls("a", "b"), tool("1"), *HI, calls("c"), tool("2"))
    assert two_turns == [("a", "1"), ("c", "2")]
    assert results(tool("lost"), tool("too")) == [("?", "lost"), ("?", "too")]


def test_ids_that_are_made_up_stay_the_same_as_the_conversation_grows() -> None:
    first = [calls("a"), tool("1")]
    shorter, longer = chat(messages=first), chat(messages=[*first, *HI, calls("b"), tool("2")])
    assert longer.messages[:2] == shorter.messages
    ids = [p.id for m in longer.messages for p in m.parts if isinstance(p, ToolCall)]
    assert len(set(ids)) == 2
    assert all(len(id) == 13 and id.startswith("call_") for id in ids)


def test_tools_wrapped_and_bare() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    for given in ({"type": "function", "function": function}, {"function": function}, function):
        offered = chat(tools=[given]).tools[0]
        assert (offered.name, offered.description, offered.parameters) == ("f", "d", {"type": "object"})
    assert refused(chat, tools=[{"type": "function", "function": {}}]).param == "tools[0].name"
    assert refused(chat, tools=[{"type": "web_search"}]).param == "tools[0].name"


def test_logprobs() -> None:
    assert (chat(logprobs=True, top_logprobs=3).logprobs, chat(logprobs=True).top_logprobs) == (True, None)
    assert chat(logprobs=True, top_logprobs=0).top_logprobs == 0
    assert chat(top_logprobs=3).top_logprobs is None
