"""What clients may send: derived from the structs of :mod:`chatmock.dialects`, and narrowed where the dialects are.

A field that is added to a struct is described without more ado. What is written out here says what a struct cannot:
the forms of message parts and tools, bounds, and what depends on another field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.dialects.openai_completions import CHAT_ONLY, CompletionBody
from chatmock.dialects.openai_parse import HOMED_FIELDS, MOST_CHOICES, ChatBody, FormatBody, MessageBody
from chatmock.dialects.reading import MOST_STOPS, FunctionBody
from chatmock.openapi.schemas import (
    INTEGER,
    NOT_EMPTY,
    NULL,
    OBJECT,
    STRING,
    Schema,
    array,
    derived,
    nullable,
    open_object,
    ref,
)

_POSITIVE: Final = nullable({**INTEGER, "minimum": 1})
_CHOICES: Final = nullable({"type": "integer", "minimum": 1, "maximum": MOST_CHOICES})
_STOP: Final = {"anyOf": [STRING, array(STRING, maxItems=MOST_STOPS), NULL]}
_NAMED: Final = open_object({"name": STRING}, ["name"])
_MODE: Final = {"enum": ["none", "auto", "required"]}


def request_schemas(max_messages: int, max_message_chars: int) -> dict[str, Schema]:
    """The shared schemas of requests, under the limits of the settings of the same names."""
    text = {"type": "string", "maxLength": max_message_chars}
    return {
        "ContentPart": _part(),
        "ToolCall": _tool_call(),
        "Message": _message(max_message_chars),
        "Function": open_object(derived(FunctionBody), ["name"]),
        "Tool": _tool(),
        "ResponseFormat": _response_format(),
        "ChatRequest": _chat(max_messages),
        "CompletionRequest": _completion(text),
    }


def _other_than(*names: str) -> Schema:
    return {"type": "string", "not": {"enum": [*names]}}


def _part() -> Schema:
    image = open_object({"url": {**STRING, "description": "An https: or a data: URL."}}, ["url"])
    forms: Mapping[str, Schema] = {"text": STRING, "refusal": STRING, "image_url": image}
    return {
        "description": "A piece of a message: text, a picture, or another kind that only some models read.",
        "anyOf": [
            *(
                open_object({"type": {"const": kind}, kind: form}, ["type", kind])
                for kind, form in forms.items()
            ),
            open_object({"type": _other_than(*forms)}, ["type"]),
        ],
    }


def _tool_call() -> Schema:
    custom = open_object({"name": STRING, "input": nullable(STRING)}, ["name"])
    function = open_object({"name": STRING, "arguments": nullable(STRING)}, ["name"])
    return {
        "description": "A tool that the model asked for in an earlier turn.",
        "anyOf": [
            open_object(
                {"id": STRING, "type": {"const": "custom"}, "custom": custom}, ["id", "type", "custom"]
            ),
            open_object(
                {"id": STRING, "type": {"not": {"const": "custom"}}, "function": function}, ["id", "function"]
            ),
        ],
    }


def _message(max_chars: int) -> Schema:
    words = f"All text of a message has at most {max_chars} characters; that of tool calls counts."
    content = {"description": words, **nullable({"anyOf": [STRING, array(ref("ContentPart"))]})}
    told = {**derived(MessageBody), "content": content}
    spoken: Mapping[str, Any] = {**told, "tool_calls": nullable(array(ref("ToolCall")))}
    something: list[Schema] = [
        {"properties": {"content": {"not": NULL}}, "required": ["content"]},
        {"properties": {"refusal": NOT_EMPTY}, "required": ["refusal"]},
        {"properties": {"tool_calls": {"type": "array", "minItems": 1}}, "required": ["tool_calls"]},
        {
            "properties": {"function_call": {"type": "object", "minProperties": 1}},
            "required": ["function_call"],
        },
    ]
    answered: list[Schema] = [
        {"properties": {field: NOT_EMPTY}, "required": [field]} for field in ("tool_call_id", "name")
    ]
    return {
        "anyOf": [
            {
                **open_object({**spoken, "role": {"enum": ["system", "developer", "user"]}}, ["role"]),
                "anyOf": something,
            },
            open_object({**spoken, "role": {"const": "assistant"}}, ["role"]),
            {**open_object({**told, "role": {"enum": ["tool", "function"]}}, ["role"]), "anyOf": answered},
        ]
    }


def _tool() -> Schema:
    return {
        "description": "What the model may call; other kinds than function and custom run at the upstream.",
        "anyOf": [
            open_object({"type": {"const": "function"}, "function": ref("Function")}, ["type", "function"]),
            open_object({"type": {"const": "custom"}, "custom": _NAMED}, ["type", "custom"]),
            open_object({"type": _other_than("function", "custom")}, ["type"]),
        ],
    }


def _response_format() -> Schema:
    fields = derived(FormatBody)
    wanted = open_object({"schema": OBJECT}, ["schema"])
    return {
        "anyOf": [
            open_object({**fields, "type": {"enum": ["text", "json_object"]}}, ["type"]),
            open_object(
                {**fields, "type": {"const": "json_schema"}, "json_schema": wanted}, ["type", "json_schema"]
            ),
        ]
    }


def _chat(max_messages: int) -> Schema:
    named = [
        open_object({"type": {"const": "function"}, "function": _NAMED}, ["function"]),
        open_object({"type": {"const": "custom"}, "custom": _NAMED}, ["type", "custom"]),
        open_object({"type": {"const": "allowed_tools"}}, ["type"]),
    ]
    narrowed: Mapping[str, Schema] = {
        "messages": array(ref("Message"), minItems=1, maxItems=max_messages),
        "max_tokens": _POSITIVE,
        "max_completion_tokens": _POSITIVE,
        "n": _CHOICES,
        "stop": _STOP,
        "tools": nullable(array(ref("Tool"))),
        "functions": nullable(array(ref("Function"))),
        "tool_choice": nullable({"anyOf": [_MODE, *named]}),
        "function_call": nullable({"anyOf": [_MODE, _NAMED]}),
        "response_format": nullable(ref("ResponseFormat")),
    }
    return {
        "description": "A chat. max_tokens is lowered to the server's limit, which X-Chatmock-Clamped then tells.",
        **open_object(_narrow(derived(ChatBody), narrowed), ["messages"]),
    }


def _completion(text: Schema) -> Schema:
    prompt = {**text, "minLength": 1}
    narrowed: Mapping[str, Schema] = {
        "prompt": {"anyOf": [prompt, array(prompt, minItems=1, maxItems=1)]},
        "max_tokens": _POSITIVE,
        "max_completion_tokens": _POSITIVE,
        "n": _CHOICES,
        "stop": _STOP,
        "best_of": {"enum": [1, None], "deprecated": True, "description": "As much as n, and so of no use."},
        "suffix": {"enum": ["", None], "description": "The models are chat models, which have no suffix."},
    }
    passed_on = {
        name: schema
        for name, schema in derived(ChatBody).items()
        if name not in HOMED_FIELDS or name in ("reasoning_effort", "parallel_tool_calls", "top_logprobs")
    }
    fields = {**passed_on, **_narrow(derived(CompletionBody), narrowed)}
    one = {"properties": {"n": {"enum": [1, None]}}}
    return {
        "description": "A text to go on from, which the model is asked as one message.",
        **open_object({**fields, **dict.fromkeys(sorted(CHAT_ONLY), NULL)}, ["prompt"]),
        "anyOf": [{"properties": {"best_of": NULL}}, one],
    }


def _narrow(fields: Mapping[str, Schema], narrowed: Mapping[str, Schema]) -> dict[str, Schema]:
    unknown = narrowed.keys() - fields.keys()
    assert not unknown, f"described, but not read: {unknown}"
    return {**fields, **narrowed}
