"""The client of the package `anthropic`."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import anthropic

from tests.matrix.scenario import PNG, RESULTS, SCHEMA, Call, Fault, Seen, Tokens, Wish
from tests.matrix.sdk_client import SDKClient


class AnthropicClient(SDKClient):
    """``client.messages``."""

    errors = (anthropic.APIError,)
    raises: ClassVar[Mapping[int, type[BaseException]]] = {
        400: anthropic.BadRequestError,
        429: anthropic.RateLimitError,
        501: anthropic.InternalServerError,
        502: anthropic.InternalServerError,
    }
    breaks: type[BaseException] = anthropic.APIStatusError
    loses: type[BaseException] = anthropic.APIConnectionError
    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn",
        "tool_calls": "tool_use",
        "refusal": "refusal",
    }
    shows_refusals = True
    shows_headers = True
    shows_details = True

    def connect(self, url: str, http: dict[str, Any]) -> anthropic.Anthropic:
        """The client."""
        return anthropic.Anthropic(
            base_url=url,
            api_key="client-key",
            max_retries=0,
            timeout=30.0,
            http_client=anthropic.DefaultHttpxClient(verify=False, **http),
        )

    def fault(self, error: anthropic.APIError) -> Fault:
        """Of an answer with a status, or of a stream, whose status was a success."""
        if not isinstance(error, anthropic.APIStatusError):
            return Fault(type(error), error.message)
        waits = error.response.headers.get("retry-after")
        status = error.status_code if error.status_code >= 400 else None
        return Fault(type(error), error.message, status, waits)

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        with self._sdk.messages.stream(**_message(wish)) as stream:
            yield from stream.text_stream

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask; of a stream the SDK itself puts the pieces together."""
        if not wish.stream:
            _fill(self._sdk.messages.create(**_message(wish)), seen)
            return
        with self._sdk.messages.stream(**_message(wish)) as stream:
            for event in stream:
                if event.type == "text":
                    seen.text += event.text
            said, seen.text = seen.text, ""
            _fill(stream.get_final_message(), seen)
            assert seen.text + seen.refusal == said


def _message(wish: Wish) -> dict[str, Any]:
    content: Any = wish.prompt
    if wish.picture:
        data = base64.b64encode(PNG).decode()
        source = {"type": "base64", "media_type": "image/png", "data": data}
        content = [{"type": "image", "source": source}, {"type": "text", "text": wish.prompt}]
    messages: list[Any] = [{"role": "user", "content": content}]
    if wish.after is not None:
        messages.append({"role": "assistant", "content": wish.after.turn.content})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.name]}
            for call in wish.after.calls
        ]
        messages.append({"role": "user", "content": results})
    asked: dict[str, Any] = {"model": wish.model, "max_tokens": 2000, "messages": messages}
    if wish.thinks:
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if wish.tools:
        asked["tools"] = [
            {
                "name": tool.name,
                "description": f"Tells the {tool.name}.",
                "input_schema": tool.parameters,
            }
            for tool in wish.tools
        ]
    if wish.schema:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    return asked


def _fill(answer: Any, seen: Seen) -> None:
    for block in answer.content:
        match block.type:
            case "text":
                seen.text += block.text
            case "thinking":
                seen.thinking += block.thinking
            case "tool_use":
                seen.calls.append(Call(block.name, block.input, block.id))
            case _:
                raise AssertionError(block)
    seen.finish = answer.stop_reason
    if seen.finish == "refusal":
        seen.text, seen.refusal = "", seen.text
    seen.usage = _tokens(answer.usage)
    seen.turn = answer


def _tokens(usage: Any) -> Tokens:
    """The counts: tokens from a cache are no input tokens here."""
    cached, details = usage.cache_read_input_tokens, usage.output_tokens_details
    return Tokens(
        usage.input_tokens + cached,
        usage.output_tokens,
        cached,
        0 if details is None else details.thinking_tokens,
    )
