"""The schemas of Ollama's requests and its dialects agree on what is a request and what is none."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.dialects import OllamaChat, OllamaGenerate
from chatmock.dialects.ollama_chat import ChatBody
from chatmock.dialects.ollama_generate import GenerateBody
from tests.openapi.described import described, validator
from tests.openapi.test_requests import FUNCTION, agree

DOC = described()
CHAT = validator(DOC, {"$ref": "#/components/schemas/OllamaChatRequest"})
TEXT = validator(DOC, {"$ref": "#/components/schemas/OllamaTextRequest"})
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    20,
    21,
    1.5,
    "",
    " ",
    "a",
    "json",
    "low",
    "max",
    "5m",
    "1h30m",
    "-1s",
    "0",
    "5",
    [],
    ["a"],
    [1],
    {},
    {"type": "object"},
    {"temperature": 1},
    {"temperature": "1"},
    {"num_predict": 1.5},
    {"num_predict": -1, "num_ctx": "odd", "stop": ["a"]},
    {"stop": "a", "seed": 2**60},
    [CALL],
    [{"function": FUNCTION}],
    [{"type": "function", "function": FUNCTION}],
    [{"type": "function", "function": {}}],
    [{"type": 1, "function": FUNCTION}],
    [FUNCTION],
    [{"type": "function", "function": None}],
    [{"role": "user", "content": "Hi"}],
    [{"content": None}],
    [{"role": "nobody"}],
]
ANY = st.sampled_from(VALUES)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["", "system", "developer", "user", "assistant", "tool", "nobody", None]),
        "content": st.sampled_from([None, "", "Hi", 1, []]),
        "thinking": st.sampled_from([None, "hm", 1]),
        "images": st.sampled_from([None, [], [PNG], [1], PNG]),
        "tool_calls": st.sampled_from([None, [], [CALL], [{**CALL, "id": "1"}], [{}], CALL]),
        "tool_name": st.sampled_from([None, "f", 1]),
        "tool_call_id": st.sampled_from([None, "1", 1]),
        "other": ANY,
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGE, max_size=2))
def test_messages(messages: Any) -> None:
    agree(CHAT, OllamaChat(), {"model": "m", "messages": messages})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_fields(data: Any) -> None:
    for judge, dialect, shape in ((CHAT, OllamaChat(), ChatBody), (TEXT, OllamaGenerate(), GenerateBody)):
        fields = sorted({*shape.__struct_fields__, "other"} - {"images"})
        body = data.draw(st.dictionaries(st.sampled_from(fields), ANY, max_size=2))
        agree(judge, dialect, {"model": "m", **body})


def test_each_field_with_each_value() -> None:
    for judge, dialect, shape in ((CHAT, OllamaChat(), ChatBody), (TEXT, OllamaGenerate(), GenerateBody)):
        agree(judge, dialect, {})
        for field in shape.__struct_fields__:
            for value in VALUES:
                # A picture that is none is refused for what is in it, which no schema tells.
                if field != "images" or not value or value == [1]:
                    agree(judge, dialect, {"model": "m", field: value})
