"""What the backend accepts (spec chatgpt.md, 2.3, 2.4), checked as it would: written apart from the code under test."""

from __future__ import annotations

from typing import Any

ACCEPTED = {
    "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "store", "stream",
    "include", "reasoning", "prompt_cache_key", "service_tier", "text", "client_metadata",
}  # fmt: skip
PARTS = {
    "user": {"input_text", "input_image", "input_file"},
    "developer": {"input_text", "input_image", "input_file"},
    "assistant": {"output_text"},
}
KEYS = {
    "message": {"type", "role", "content"},
    "reasoning": {"type", "summary", "encrypted_content"},
    "function_call": {"type", "call_id", "name", "arguments"},
    "function_call_output": {"type", "call_id", "output"},
    "custom_tool_call": {"type", "call_id", "name", "input"},
    "custom_tool_call_output": {"type", "call_id", "output"},
    "input_text": {"type", "text"},
    "output_text": {"type", "text"},
    "input_image": {"type", "image_url", "detail"},
    "input_file": {"type", "file_id", "filename", "file_data"},
}
MORE_KEYS = {"message": {"phase"}, "reasoning": {"content"}, "function_call": {"namespace"}}
"""What only clients of the backend's own dialect send."""


def check(body: dict[str, Any]) -> None:
    """Raise AssertionError for a body that the backend refuses."""
    assert set(body) <= ACCEPTED, set(body) - ACCEPTED
    assert body["stream"] is True
    assert body["store"] is False
    assert isinstance(body["instructions"], str)
    assert isinstance(body["model"], str)
    assert isinstance(body["prompt_cache_key"], str)
    assert ("include" in body) == ("reasoning" in body)
    assert "reasoning.encrypted_content" in body["include"]
    assert all(isinstance(each, str) for each in body["include"])
    assert set(body["reasoning"]) <= {"effort", "summary"}
    assert body["reasoning"].get("summary") != "none"
    assert body.get("service_tier", "priority") == "priority"
    assert body.get("text", True)
    assert set(body.get("text", {})) <= {"format", "verbosity"}
    check_input(body["input"])
    check_tools(body)


def check_input(items: Any) -> None:
    assert isinstance(items, list)
    assert items
    calls: set[str] = set()
    for item in items:
        kind = item["type"]
        assert kind != "item_reference", "nothing is stored"
        if kind not in KEYS:  # of clients that speak the backend's own dialect
            continue
        assert KEYS[kind] <= set(item) <= KEYS[kind] | MORE_KEYS.get(kind, set()), set(item)
        match kind:
            case "reasoning":
                assert isinstance(item["summary"], list)
                assert item["encrypted_content"]
            case "message":
                assert item["content"]
                for part in item["content"]:
                    assert part["type"] in PARTS[item["role"]]
                    check_part(part)
            case "function_call" | "custom_tool_call":
                assert 0 < len(item["call_id"]) <= 64
                assert item["call_id"] not in calls, "two calls of one id"
                calls.add(item["call_id"])
                assert len(item["name"]) <= 64
                given = item["arguments" if kind == "function_call" else "input"]
                assert isinstance(given, str)
                assert given or kind == "custom_tool_call"
            case "function_call_output" | "custom_tool_call_output":
                assert item["call_id"] in calls, "an output before its call, or without one"
                if not isinstance(item["output"], str):
                    assert item["output"]
                    for part in item["output"]:
                        assert part["type"] in PARTS["user"]
                        check_part(part)


def check_part(part: dict[str, Any]) -> None:
    assert set(part) <= KEYS[part["type"]]
    assert part.get("text", "x")
    assert all(isinstance(value, str) for value in part.values())


def check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools", [])
    assert ("tools" in body) == ("tool_choice" in body) == ("parallel_tool_calls" in body) == bool(tools)
    names = [tool["name"] for tool in tools if tool["type"] in ("function", "custom")]
    for tool in tools:
        if tool["type"] == "function":
            assert {"type", "name"} <= set(tool) <= {"type", "name", "description", "strict", "parameters"}
            assert tool.get("parameters", True)
        assert len(tool.get("name", "")) <= 64
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        named = choice["tools"] if choice["type"] == "allowed_tools" else [choice]
        for each in named:
            if each["type"] in ("function", "custom"):
                assert set(each) == {"type", "name"}
                assert each["name"] in names
            else:
                assert each in [{"type": tool["type"]} for tool in tools]
    else:
        assert choice in ("auto", "none", "required")
