"""Requests of Ollama's clients, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.dialects.ollama_chat import ChatBody
from chatmock.dialects.ollama_generate import GenerateBody
from chatmock.dialects.ollama_messages import CallBody, CalledBody, MessageBody
from chatmock.dialects.ollama_parse import DURATION, EFFORTS, MOST_TOP_LOGPROBS
from chatmock.openapi.schemas import (
    BOOLEAN,
    COUNT,
    INTEGER,
    NULL,
    OBJECT,
    STRING,
    Schema,
    array,
    closed,
    derived,
    nullable,
    open_object,
    ref,
)

_NAME: Final[Schema] = {"type": "string", "pattern": r"\S"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_NANOSECONDS: Final[Schema] = {**COUNT, "description": "Nanoseconds."}
_PICTURES: Final = nullable(
    array({**STRING, "contentEncoding": "base64", "description": "PNG, JPEG, GIF or WebP."})
)
_ELSEWHERE: Final = ("remote_model", "remote_host")
"""Of a model that is not in the memory of the Ollama that lists it."""
_ROLES: Final = ("", "system", "developer", "user", "assistant", "tool")


def ollama_request_schemas(max_messages: int, max_message_chars: int) -> dict[str, Schema]:
    """The shared schemas of requests, under the limits of the settings of the same names."""
    text = nullable({"type": "string", "maxLength": max_message_chars})
    called = open_object({**derived(CalledBody), "arguments": {"anyOf": [OBJECT, STRING, NULL]}}, ["name"])
    message = {
        **derived(MessageBody),
        "role": {
            **STRING,
            "description": f"{', '.join(filter(None, _ROLES))}; empty for the user's. Others are for models of an Ollama.",
        },
        "content": text,
        "images": _PICTURES,
        "tool_calls": nullable(array(open_object({**derived(CallBody), "function": called}, ["function"]))),
    }
    chat = {
        "messages": nullable(array(ref("OllamaMessage"), maxItems=max_messages)),
        "tools": nullable(array(ref("OllamaTool"))),
    }
    prompt = {
        "prompt": text,
        "system": text,
        "images": _PICTURES,
        "suffix": {**nullable(STRING), "description": "Only for models of an Ollama that insert."},
    }
    return {
        "OllamaMessage": open_object(message),
        "OllamaTool": _tool(),
        "OllamaChatRequest": _request(
            ChatBody, chat, "A chat; without messages it only asks whether the model is there."
        ),
        "OllamaTextRequest": _request(
            GenerateBody, prompt, "A prompt; without one it only asks whether the model is there."
        ),
        "OllamaNamed": _named(),
    }


def _request(shape: type[Any], own: Mapping[str, Schema], words: str) -> Schema:
    narrowed: dict[str, Schema] = {
        "model": {**_NAME, "description": "With or without :latest."},
        "stream": {**nullable(BOOLEAN), "default": True},
        "format": {"anyOf": [{"enum": ["", "json", None]}, OBJECT]},
        "think": {"anyOf": [BOOLEAN, {"enum": [*EFFORTS, None]}]},
        "keep_alive": {
            "description": "Seconds, or a duration (5m); what only Ollama's own engine has is ignored.",
            "anyOf": [
                {**INTEGER, "type": "number"},
                {"type": "string", "pattern": f"^(?:{DURATION})$"},
                NULL,
            ],
        },
        "top_logprobs": nullable({"type": "integer", "minimum": 0, "maximum": MOST_TOP_LOGPROBS}),
    }
    return {"description": words, **open_object({**derived(shape), **narrowed, **own}, ["model"])}


def _tool() -> Schema:
    return {
        "description": "A function that the model may call, wrapped or by itself.",
        "anyOf": [
            open_object({"type": nullable(STRING), "function": ref("Function")}, ["function"]),
            {"allOf": [ref("Function"), open_object({"type": nullable(STRING), "function": NULL})]},
        ],
    }


def _named() -> Schema:
    fields = {"model": nullable(STRING), "name": nullable(STRING), "stream": nullable(BOOLEAN)}
    empty = {"properties": {"model": {"enum": ["", None]}}}
    return {
        "description": "The model; name is its older name.",
        **open_object(fields),
        "anyOf": [
            open_object({"model": _NAME}, ["model"]),
            {"allOf": [empty, open_object({"name": _NAME}, ["name"])]},
        ],
    }


def ollama_answer_schemas() -> dict[str, Schema]:
    """The shared schemas of answers."""
    call = closed(
        {
            "id": STRING,
            "function": closed({"index": COUNT, "name": STRING, "arguments": OBJECT}),
        }
    )
    message = closed(
        {
            "role": {"const": "assistant"},
            "content": STRING,
            "thinking": STRING,
            "tool_calls": array(call),
        },
        ["thinking", "tool_calls"],
    )
    return {
        "OllamaChatAnswer": _answer({"message": message}),
        "OllamaTextAnswer": _answer({"response": STRING, "thinking": STRING}),
        "OllamaVersion": closed({"version": STRING}),
        "OllamaStatus": closed({"status": STRING}),
        "OllamaModelDetails": _details(),
        "OllamaTags": closed({"models": array(_tag())}),
        "OllamaLoaded": closed({"models": array(_loaded())}),
        "OllamaState": closed({"cloud": closed({"disabled": BOOLEAN, "source": STRING})}),
        "OllamaNothing": NULL,
        "OllamaShown": _shown(),
    }


def _answer(said: Mapping[str, Schema]) -> Schema:
    counts: dict[str, Schema] = {
        "total_duration": _NANOSECONDS,
        "load_duration": _NANOSECONDS,
        "prompt_eval_count": COUNT,
        "prompt_eval_duration": _NANOSECONDS,
        "eval_count": COUNT,
        "eval_duration": _NANOSECONDS,
    }
    fields: dict[str, Schema] = {
        "model": STRING,
        "created_at": _TIME,
        **said,
        "done": {"const": True},
        "done_reason": {"enum": ["stop", "length", "load", "unload"]},
        "logprobs": array(OBJECT),
        **counts,
    }
    return closed(fields, ["thinking", "logprobs", *counts])


def _details() -> Schema:
    words = dict.fromkeys(
        ("parent_model", "format", "family", "parameter_size", "quantization_level"), STRING
    )
    lengths = {name: {**COUNT, "description": "Tokens."} for name in ("context_length", "embedding_length")}
    return closed({**words, "families": nullable(array(STRING)), **lengths}, [*lengths])


def _loaded() -> Schema:
    memory: dict[str, Schema] = {
        "expires_at": _TIME,
        "size_vram": {**COUNT, "description": "Bytes."},
        "context_length": {**COUNT, "description": "Tokens."},
    }
    return closed({**_entry(), **memory}, [*_ELSEWHERE, *memory])


def _tag() -> Schema:
    return closed(_entry(), [*_ELSEWHERE])


def _entry() -> dict[str, Schema]:
    return {
        "name": STRING,
        "model": STRING,
        "remote_model": STRING,
        "remote_host": STRING,
        "modified_at": _TIME,
        "size": COUNT,
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "details": ref("OllamaModelDetails"),
        "capabilities": array(STRING),
    }


def _shown() -> Schema:
    return closed(
        {
            "modelfile": STRING,
            "parameters": STRING,
            "template": STRING,
            "details": ref("OllamaModelDetails"),
            "remote_model": STRING,
            "remote_host": STRING,
            "model_info": OBJECT,
            "capabilities": array(STRING),
            "modified_at": _TIME,
        }
    )
