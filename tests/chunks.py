"""Builders of OpenAI chat records for fake upstreams."""

from __future__ import annotations

import json
from typing import Any

DONE = b"data: [DONE]\n\n"


def record(value: Any) -> bytes:
    """One server-sent record."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> bytes:
    """One chunk with one choice."""
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    choice.update(more.pop("choice", {}))
    return record(head(choices=[choice], **more))


def head(**more: Any) -> dict[str, Any]:
    """A chunk's common fields."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-2024"}
    return {**base, **more}


def usage(prompt: int = 3, completion: int = 2, **more: Any) -> bytes:
    """The closing usage chunk."""
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **more,
    }
    return record(head(choices=[], usage=counts))


def text_stream(*words: str) -> list[bytes]:
    """A complete stream that says *words*."""
    opening = chunk({"role": "assistant", "content": "", "refusal": None})
    return [opening, *(chunk({"content": word}) for word in words), chunk(finish="stop"), usage(), DONE]


def completion(message: dict[str, Any] | None = None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    spoken = {"role": "assistant", "content": "Hello.", "refusal": None, **(message or {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m-2024",
        "choices": [{"index": 0, "message": spoken, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        **more,
    }
