"""Scenarios on the wire of OpenAI chat, as each of the servers that speak it writes it (spec upstreams.md, B3, C1, D1, H)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, head, record
from tests.conftest import KEY
from tests.matrix.scenario import Call, Heard, Scenario
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

RETRY_AFTER = "17"
"""Seconds."""
TROUBLE = "The model stumbled."
PROMPT = "What do weather and clock say?"


def _openai_error(status: int) -> Any:
    return {"error": {"message": TROUBLE, "type": "server_error", "param": None, "code": None}}


def _xai_error(status: int) -> Any:
    return {"code": "Some requested entity was in trouble", "error": TROUBLE}


def _openrouter_error(status: int) -> Any:
    return {"error": {"message": TROUBLE, "code": status}}


@attrs.frozen
class Manner:
    """How one server writes what the wire leaves open."""

    model: str
    setting: str
    """What the names of its settings begin with."""
    key: str
    """The setting of its key."""
    thinking: str = "reasoning_content"
    whole_calls: bool = False
    """Whether a call comes whole in one chunk."""
    blank_calls: bool = False
    """Whether a call's later deltas repeat its id and name as empty texts."""
    thinking_apart: bool = False
    """Whether the tokens of thinking are counted besides the answer's, and not among them."""
    usage_in_choice: bool = False
    """Whether the usage comes with a choice that finishes once more."""
    error: Callable[[int], Any] = _openai_error
    listed: Mapping[str, Any] = attrs.field(factory=dict)
    """What else its list of models tells of the model."""


MANNERS = {
    "grok": Manner(
        "grok-4.3", "grok", "xai_api_key", whole_calls=True, thinking_apart=True, error=_xai_error
    ),
    "openrouter": Manner(
        "x-ai/grok-4.3",
        "openrouter",
        "openrouter_api_key",
        thinking="reasoning",
        usage_in_choice=True,
        error=_openrouter_error,
        listed={
            "context_length": 1_000_000,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "supported_parameters": ["tools", "reasoning", "structured_outputs", "response_format"],
        },
    ),
    "dashscope": Manner("qwen3.7-plus", "dashscope", "dashscope_api_key", blank_calls=True),
    "compatible": Manner("m", "compatible", "compatible_api_key"),
}


class ChatStage:
    """A server that speaks OpenAI chat; see :class:`~tests.matrix.upstreams.Stage`."""

    exact = True
    watched = True
    retry_after = RETRY_AFTER

    def __init__(self, provider: str, server: OpenAIServer) -> None:
        self._manner = manner = MANNERS[provider]
        self._server = server
        self.model = manner.model
        self.settings = {
            "provider": provider,
            f"{manner.setting}_base_url": server.url,
            manner.key: Secret(KEY),
        }
        server.models = [{"id": manner.model, "object": "model", "created": 1_790_000_000, **manner.listed}]

    @property
    def active(self) -> int:
        """The requests that it is answering."""
        return self._server.active

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""
        return len(self._server.chats())

    def play(self, scenario: Scenario) -> str:
        """Answer every request with *scenario*; gives the prompt that asks for it."""
        self._server.answer = lambda asked: self.reply(scenario, asked)
        return PROMPT

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """*scenario* itself."""
        return scenario

    def heard(self) -> Heard:
        """What it was last asked."""
        return heard(self._server.chats()[-1].body)

    def reply(self, scenario: Scenario, asked: Asked) -> Reply:
        """What *scenario* is to who *asked*."""
        manner = self._manner
        if scenario.status is not None:
            headers = {b"retry-after": RETRY_AFTER.encode()} if scenario.status == 429 else {}
            body = json.dumps(manner.error(scenario.status)).encode()
            return Reply([body], scenario.status, b"application/json", headers)
        if asked.body.get("stream"):
            return Reply([*self._deltas(scenario), *self._end(scenario)], ending=ending(scenario))
        answer = manner.error(502) if scenario.ending == "error" else self._whole(scenario)
        body = json.dumps(answer).encode()
        return Reply(
            [body if ending(scenario) == "complete" else body[: len(body) // 2]],
            content_type=b"application/json",
            ending=ending(scenario),
        )

    def _deltas(self, scenario: Scenario) -> Iterator[bytes]:
        yield chunk({"role": "assistant", "content": None if scenario.calls else ""})
        if scenario.thinking:
            for word in scenario.thinking.split(" "):
                yield chunk({self._manner.thinking: f"{word} "})
        for text in scenario.text:
            yield chunk({"content": text})
        for text in scenario.refusal:
            yield chunk({"refusal": text})
        yield from self._calls(scenario.calls)

    def _calls(self, calls: Sequence[Call]) -> Iterator[bytes]:
        """Their deltas, interleaved."""
        if self._manner.whole_calls:
            yield from (chunk({"tool_calls": [_call(at, call, call.text)]}) for at, call in enumerate(calls))
            return
        yield from (chunk({"tool_calls": [_call(at, call, "")]}) for at, call in enumerate(calls))
        for end in (0, 1):
            for at, call in enumerate(calls):
                half = len(call.text) // 2
                piece: dict[str, Any] = {"arguments": call.text[half:] if end else call.text[:half]}
                delta: dict[str, Any] = {"index": at, "function": piece}
                if self._manner.blank_calls:
                    piece["name"], delta["id"] = "", ""
                yield chunk({"tool_calls": [delta]})

    def _end(self, scenario: Scenario) -> Iterator[bytes]:
        if scenario.ending == "error":
            yield record(head(**self._manner.error(502), choices=[]))
        if scenario.ending != "complete":
            return
        finish = "tool_calls" if scenario.calls else "stop"
        yield chunk(finish=finish)
        again = [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": finish}]
        yield record(head(choices=again if self._manner.usage_in_choice else [], usage=self._usage(scenario)))
        yield DONE

    def _whole(self, scenario: Scenario) -> Any:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(scenario.text) or None,
            "refusal": "".join(scenario.refusal) or None,
        }
        if scenario.thinking:
            message[self._manner.thinking] = scenario.thinking
        if scenario.calls:
            message["tool_calls"] = [_call(at, call, call.text) for at, call in enumerate(scenario.calls)]
        finish = "tool_calls" if scenario.calls else "stop"
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**head(object="chat.completion"), "choices": [choice], "usage": self._usage(scenario)}

    def _usage(self, scenario: Scenario) -> dict[str, Any]:
        tokens = scenario.usage
        return {
            "prompt_tokens": tokens.asked,
            "completion_tokens": tokens.answered - (tokens.reasoning if self._manner.thinking_apart else 0),
            "total_tokens": tokens.asked + tokens.answered,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
            "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
        }


def ending(scenario: Scenario) -> str:
    """How the reply ends that plays *scenario*: an error that is told is the end of a complete one."""
    return scenario.ending if scenario.ending in ("cut", "hang") else "complete"


def heard(body: Any) -> Heard:
    """What the request *body* asks."""
    parts = [
        part
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    wanted = body.get("response_format") or {}
    return Heard(
        tools={tool["function"]["name"] for tool in body.get("tools", ())},
        results=_results(body["messages"]),
        pictures=[_picture(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"],
        schema=(wanted.get("json_schema") or {}).get("schema"),
        thinks=body.get("reasoning_effort") not in (None, "none"),
    )


def _call(at: int, call: Call, arguments: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments}
    return {"index": at, "id": call.id, "type": "function", "function": function}


def _results(messages: Sequence[Any]) -> list[str]:
    """What the tools answered, in the order of their calls. Fails where a result is of no call, or a call has none."""
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    results = {
        message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"
    }
    assert set(calls) == set(results), messages
    return [results[id] for id in calls]


def _picture(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])
