"""What a client of Anthropic's Messages may be told, read independently: refusals, whole answers, the records of streams."""

from __future__ import annotations

from typing import Any

OVERLOADED = 529
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_COUNTS = {
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
}
_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal")
_DELTAS = {
    "text": ["text_delta"],
    "thinking": ["thinking_delta", "signature_delta"],
    "tool_use": ["input_json_delta"],
}


def check_refusal(body: Any, status: int, request_id: str) -> None:
    """Fails unless *body* is how a request is refused."""
    assert set(body) == {"type", "error", "request_id"}
    assert body["request_id"] == request_id
    _check_error(body)
    assert body["error"]["type"] == _TYPES[status]


def check_message(body: Any) -> None:
    """Fails unless *body* is a whole answer."""
    _check_head(body)
    assert body["content"]
    for block in body["content"]:
        assert block["type"] in (*_DELTAS, "redacted_thinking")
    assert body["stop_reason"] in _REASONS


def is_clean_stream(records: list[Any]) -> bool:
    """Whether the stream of *records* ends well; fails unless it is right as a whole."""
    first, ping, *content, last = records
    assert first["type"] == "message_start"
    _check_head(first["message"])
    assert first["message"]["content"] == []
    assert first["message"]["stop_reason"] is None
    assert ping == {"type": "ping"}
    clean = bool(last == {"type": "message_stop"})
    if clean:
        end = content.pop()
        assert end["type"] == "message_delta"
        assert end["delta"]["stop_reason"] in _REASONS
        _check_usage(end["usage"])
    else:
        assert last["type"] == "error"
        _check_error(last)
    assert _closed(content) or not clean
    return clean


def _check_head(message: Any) -> None:
    assert message["type"] == "message"
    assert message["role"] == "assistant"
    assert message["id"].startswith("msg_")
    assert isinstance(message["model"], str)
    assert message["stop_sequence"] is None
    _check_usage(message["usage"])


def _check_usage(usage: Any) -> None:
    assert set(usage) - {"output_tokens_details"} == _COUNTS
    assert all(isinstance(usage[name], int) and usage[name] >= 0 for name in _COUNTS)


def _check_error(body: Any) -> None:
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert isinstance(body["error"]["message"], str)
    assert body["error"]["message"]
    assert body["error"]["type"] in _TYPES.values()


def _closed(content: list[Any]) -> bool:
    """Whether each block was closed; fails where one is begun before the last is closed, or spoken of when it is not open."""
    index, kind = -1, ""
    for record in content:
        if record["type"] == "content_block_start":
            assert kind == "", "the block before is open"
            index, kind = index + 1, record["content_block"]["type"]
        elif record["type"] == "content_block_delta":
            assert record["delta"]["type"] in _DELTAS[kind]
        else:
            assert record["type"] == "content_block_stop"
            assert kind
            kind = ""
        assert record["index"] == index
    return kind == ""
