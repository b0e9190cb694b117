"""The demo provider through the daemon and the real SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.conftest import Start

SCHEMA: Any = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]}
TOOL: Any = {"type": "function", "function": {"name": "count", "parameters": SCHEMA}}


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_text_usage_and_repetition(start: Start) -> None:
    daemon = start()
    ask = lambda sdk: sdk.chat.completions.create(model="demo", messages=said("demo: pace 0\nHello"))  # noqa: E731
    first, second = await daemon.ask(ask), await daemon.ask(ask)
    assert first.choices[0].message.content == second.choices[0].message.content
    assert "Hello" in first.choices[0].message.content
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens > 0


async def test_a_tool_call_fits_its_schema_and_its_result_is_quoted(start: Start) -> None:
    daemon = start()
    messages = said("demo: pace 0\nCount!")

    def call(sdk: openai.OpenAI) -> Any:
        return sdk.chat.completions.create(model="demo", messages=messages, tools=[TOOL]).choices[0]

    choice = await daemon.ask(call)
    assert choice.finish_reason == "tool_calls"
    made = choice.message.tool_calls[0]
    assert json.loads(made.function.arguments)["n"] >= 5
    messages += [choice.message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": made.id, "content": "forty-two"}]
    assert "forty-two" in (await daemon.ask(call)).message.content


async def test_thinking_is_shown(start: Start) -> None:
    def listen(sdk: openai.OpenAI) -> list[Any]:
        asked = sdk.chat.completions.create(
            model="demo-thinking", messages=said("demo: pace 0\nHi"), stream=True
        )
        return [getattr(c.choices[0].delta, "reasoning_content", None) for c in asked if c.choices]

    assert any(await start().ask(listen))


@pytest.mark.parametrize(
    ("status", "raised"),
    [(401, openai.AuthenticationError), (404, openai.NotFoundError), (429, openai.RateLimitError)],
)
async def test_told_to_fail(start: Start, status: int, raised: Any) -> None:
    with pytest.raises(raised):
        await start().ask(
            lambda sdk: sdk.chat.completions.create(model="demo", messages=said(f"demo: fail {status}"))
        )


async def test_told_to_stall_and_to_be_cut(start: Start) -> None:
    daemon = start(idle_timeout=0.3)

    def listen(text: str) -> Any:
        return lambda sdk: list(sdk.chat.completions.create(model="demo", messages=said(text), stream=True))

    for text in ("demo: pace 0\ndemo: stall", "demo: pace 0\ndemo: cut", "demo: pace 0\ndemo: fail midway"):
        with pytest.raises(openai.APIError):
            await daemon.ask(listen(text))


async def test_text_completion(start: Start) -> None:
    answer = await start().ask(lambda sdk: sdk.completions.create(model="demo", prompt="demo: pace 0\nHello"))
    assert "Hello" in answer.choices[0].text
