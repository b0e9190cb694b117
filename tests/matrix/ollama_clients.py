"""The clients of the package `ollama`, one for each of its two calls that answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import httpx
import ollama

from tests.matrix.scenario import PNG, RESULTS, SCHEMA, Call, Fault, Seen, Tokens, Wish
from tests.matrix.sdk_client import SDKClient


class OllamaClient(SDKClient):
    """What the two have in common."""

    errors = (ollama.ResponseError, httpx.TransportError)
    raises: ClassVar[Mapping[int, type[BaseException]]] = dict.fromkeys(
        (400, 429, 501, 502), ollama.ResponseError
    )
    breaks: type[BaseException] = ollama.ResponseError
    loses: type[BaseException] = httpx.RemoteProtocolError
    finishes: ClassVar[Mapping[str, str]] = {"stop": "stop", "tool_calls": "stop", "refusal": "stop"}
    shows_refusals = False
    shows_headers = False
    shows_details = False

    def connect(self, url: str, http: dict[str, Any]) -> ollama.Client:
        """The client, which makes its own httpx client."""
        return ollama.Client(host=url, timeout=30.0, verify=False, trust_env=False, **http)

    def fault(self, error: ollama.ResponseError | httpx.TransportError) -> Fault:
        """Of an answer with a status, of a stream (without one), or of the connection."""
        if isinstance(error, httpx.TransportError):
            return Fault(type(error), str(error))
        return Fault(type(error), error.error, None if error.status_code == -1 else error.status_code)


def _end(part: Any, seen: Seen) -> None:
    """Read what the last line of an answer tells, or a whole answer."""
    assert part.done is True
    seen.finish = part.done_reason
    if part.prompt_eval_count is not None:
        seen.usage = Tokens(part.prompt_eval_count, part.eval_count)


def _common(wish: Wish) -> dict[str, Any]:
    """What both calls have. A stream asks to think, a whole answer to think hard."""
    asked: dict[str, Any] = {"model": wish.model}
    if wish.thinks:
        asked["think"] = True if wish.stream else "high"
    if wish.schema:
        asked["format"] = SCHEMA
    return asked


class OllamaChatClient(OllamaClient):
    """``client.chat``."""

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask."""
        asked = _chat(wish)
        parts = self._sdk.chat(**asked, stream=True) if wish.stream else [self._sdk.chat(**asked)]
        ended = False
        for part in parts:
            assert not ended, part
            message = part.message
            assert message.role == "assistant"
            seen.text += message.content or ""
            seen.thinking += message.thinking or ""
            seen.calls += [
                Call(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or ()
            ]
            if part.done:
                ended = True
                _end(part, seen)
        assert ended
        seen.turn = {
            "role": "assistant",
            "content": seen.text,
            "thinking": seen.thinking,
            "tool_calls": [{"function": {"name": c.name, "arguments": c.arguments}} for c in seen.calls],
        }

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        parts = self._sdk.chat(**_chat(wish), stream=True)
        try:
            for part in parts:
                yield part.message.content or ""
        finally:
            parts.close()


def _chat(wish: Wish) -> dict[str, Any]:
    question: dict[str, Any] = {"role": "user", "content": wish.prompt}
    if wish.picture:
        question["images"] = [PNG]
    messages = [question]
    if wish.after is not None:
        messages.append(wish.after.turn)
        messages += [
            {"role": "tool", "tool_name": call.name, "content": RESULTS[call.name]}
            for call in wish.after.calls
        ]
    asked = {**_common(wish), "messages": messages}
    if wish.tools:
        asked["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": f"Tells the {tool.name}.",
                    "parameters": tool.parameters,
                },
            }
            for tool in wish.tools
        ]
    return asked


class OllamaGenerateClient(OllamaClient):
    """``client.generate``."""

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask."""
        asked = _prompt(wish)
        parts = self._sdk.generate(**asked, stream=True) if wish.stream else [self._sdk.generate(**asked)]
        ended = False
        for part in parts:
            assert not ended, part
            seen.text += part.response or ""
            seen.thinking += part.thinking or ""
            if part.done:
                ended = True
                _end(part, seen)
        assert ended

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        parts = self._sdk.generate(**_prompt(wish), stream=True)
        try:
            for part in parts:
                yield part.response or ""
        finally:
            parts.close()


def _prompt(wish: Wish) -> dict[str, Any]:
    asked = {**_common(wish), "prompt": wish.prompt}
    if wish.picture:
        asked["images"] = [PNG]
    return asked
