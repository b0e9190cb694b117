"""The clients of the package `openai`, one for each of its three APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import openai

from tests.matrix.scenario import PNG_URL, RESULTS, SCHEMA, Call, Fault, Seen, Tokens, Tool, Wish
from tests.matrix.sdk_client import SDKClient


class OpenAIClient(SDKClient):
    """What the three have in common."""

    errors = (openai.APIError,)
    raises: ClassVar[Mapping[int, type[BaseException]]] = {
        400: openai.BadRequestError,
        429: openai.RateLimitError,
        501: openai.InternalServerError,
        502: openai.InternalServerError,
    }
    breaks: type[BaseException] = openai.APIError
    loses: type[BaseException] = openai.APIConnectionError
    finishes: ClassVar[Mapping[str, str]] = {"stop": "stop", "tool_calls": "tool_calls", "refusal": "stop"}
    shows_refusals = True
    shows_headers = True
    shows_details = True

    def connect(self, url: str, http: dict[str, Any]) -> openai.OpenAI:
        """The client of ``/v1``."""
        return openai.OpenAI(
            base_url=f"{url}/v1",
            api_key="client-key",
            max_retries=0,
            timeout=30.0,
            http_client=openai.DefaultHttpxClient(verify=False, **http),
        )

    def fault(self, error: openai.APIError) -> Fault:
        """Of an answer with a status, or of a stream."""
        if not isinstance(error, openai.APIStatusError):
            return Fault(type(error), error.message)
        waits = error.response.headers.get("retry-after")
        return Fault(type(error), error.message, error.status_code, waits)


class ChatClient(OpenAIClient):
    """``client.chat.completions``."""

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask; of a stream the SDK itself puts the pieces together."""
        api = self._sdk.chat.completions
        if not wish.stream:
            _fill_chat(api.create(**_chat(wish)), seen)
            return
        with api.stream(**_chat(wish), stream_options={"include_usage": True}) as stream:
            for event in stream:
                if event.type == "content.delta":
                    seen.text += event.delta
            said, seen.text = seen.text, ""
            _fill_chat(stream.get_final_completion(), seen)
            assert seen.text == said

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        with self._sdk.chat.completions.create(**_chat(wish), stream=True) as stream:
            for chunk in stream:
                yield chunk.choices[0].delta.content or ""


def _chat(wish: Wish) -> dict[str, Any]:
    content: Any = wish.prompt
    if wish.picture:
        content = [
            {"type": "text", "text": wish.prompt},
            {"type": "image_url", "image_url": {"url": PNG_URL}},
        ]
    messages: list[Any] = [{"role": "user", "content": content}]
    if wish.after is not None:
        messages.append(wish.after.turn)
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.name]}
            for call in wish.after.calls
        ]
    asked: dict[str, Any] = {"model": wish.model, "messages": messages}
    if wish.thinks:
        asked["reasoning_effort"] = "high"
    if wish.tools:
        asked["tools"] = [{"type": "function", "function": _function(tool)} for tool in wish.tools]
    if wish.schema:
        wanted = {"name": "place", "schema": SCHEMA, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return asked


def _function(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": f"Tells the {tool.name}.",
        "parameters": tool.parameters,
    }


def _fill_chat(answer: Any, seen: Seen) -> None:
    [choice] = answer.choices
    message = choice.message
    seen.text = message.content or ""
    seen.thinking = (message.model_extra or {}).get("reasoning_content") or ""
    seen.refusal = message.refusal or ""
    seen.calls = [
        Call(call.function.name, json.loads(call.function.arguments), call.id)
        for call in message.tool_calls or ()
    ]
    seen.finish = choice.finish_reason
    seen.usage = _tokens(answer.usage)
    seen.turn = message


def _tokens(usage: Any) -> Tokens:
    """The counts, as both older APIs have them."""
    asked, answered = usage.prompt_tokens_details, usage.completion_tokens_details
    return Tokens(
        usage.prompt_tokens,
        usage.completion_tokens,
        0 if asked is None else asked.cached_tokens,
        0 if answered is None else answered.reasoning_tokens,
    )


class CompletionsClient(OpenAIClient):
    """``client.completions``."""

    shows_refusals = False

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask."""
        asked = _completion(wish)
        if not wish.stream:
            answer = self._sdk.completions.create(**asked)
            [choice] = answer.choices
            seen.text, seen.finish = choice.text, choice.finish_reason
            seen.usage = _tokens(answer.usage)
            return
        asked["stream_options"] = {"include_usage": True}
        for chunk in self._sdk.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                seen.text += choice.text
                seen.finish = choice.finish_reason or seen.finish
            if chunk.usage is not None:
                seen.usage = _tokens(chunk.usage)

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        with self._sdk.completions.create(**_completion(wish), stream=True) as stream:
            for chunk in stream:
                yield chunk.choices[0].text


def _completion(wish: Wish) -> dict[str, Any]:
    """What the API has no field for is asked for in chat's words."""
    asked: dict[str, Any] = {"model": wish.model, "prompt": wish.prompt}
    chat = _chat(wish)
    more: dict[str, Any] = {
        name: chat[name] for name in ("reasoning_effort", "tools", "response_format") if name in chat
    }
    if wish.picture:
        more["prompt"] = chat["messages"][0]["content"]
    return {**asked, "extra_body": more} if more else asked


class ResponsesClient(OpenAIClient):
    """``client.responses``."""

    finishes: ClassVar[Mapping[str, str]] = {
        "stop": "completed",
        "tool_calls": "completed",
        "refusal": "completed",
    }

    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask; of a stream the SDK itself puts the pieces together."""
        asked = _response(wish)
        if not wish.stream:
            _fill_response(self._sdk.responses.create(**asked), seen)
            return
        with self._sdk.responses.stream(**asked) as stream:
            for number, event in enumerate(stream):
                assert event.sequence_number == number, event
                if event.type == "response.output_text.delta":
                    seen.text += event.delta
            said, seen.text = seen.text, ""
            _fill_response(stream.get_final_response(), seen)
            assert seen.text == said

    def texts(self, wish: Wish) -> Iterator[str]:
        """Its texts."""
        with self._sdk.responses.create(**_response(wish), stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta


def _response(wish: Wish) -> dict[str, Any]:
    """A stream's next turn sends everything anew; a whole answer's goes on from what is stored."""
    content: Any = wish.prompt
    if wish.picture:
        content = [
            {"type": "input_text", "text": wish.prompt},
            {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
        ]
    items: list[Any] = [{"role": "user", "content": content}]
    asked: dict[str, Any] = {"model": wish.model}
    if wish.after is not None:
        results = [
            {"type": "function_call_output", "call_id": call.id, "output": RESULTS[call.name]}
            for call in wish.after.calls
        ]
        if wish.stream:
            items += [*wish.after.turn.output, *results]
        else:
            items = results
            asked["previous_response_id"] = wish.after.turn.id
    if wish.thinks:
        asked["reasoning"] = {"effort": "high", "summary": "auto"}
    if wish.seals:
        asked["include"] = ["reasoning.encrypted_content"]
    if wish.tools:
        asked["tools"] = [{"type": "function", **_function(tool)} for tool in wish.tools]
    if wish.schema:
        wanted = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
        asked["text"] = {"format": wanted}
    return {**asked, "input": items}


def _fill_response(answer: Any, seen: Seen) -> None:
    for item in answer.output:
        match item.type:
            case "reasoning":
                seen.thinking += "".join(part.text for part in [*item.summary, *(item.content or ())])
            case "message":
                for part in item.content:
                    if part.type == "refusal":
                        seen.refusal += part.refusal
            case "function_call":
                seen.calls.append(Call(item.name, json.loads(item.arguments), item.call_id))
            case _:
                raise AssertionError(item)
    seen.text = answer.output_text
    seen.finish = answer.status
    usage = answer.usage
    seen.usage = Tokens(
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )
    seen.turn = answer
