"""The demo as an upstream: what comes back over the wire for a request, and when. No clock, no chance, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import attrs

from chatmock import jsontext
from chatmock.errors import Refusal
from chatmock.framing import sse_record
from chatmock.providers.demo.answer import Answer, Choice, answer
from chatmock.providers.demo.asked import MODELS, Asked, read_asked
from chatmock.providers.interface import UpstreamRequest

BASE_URL = "demo:"
DEFAULT_PACE = 20
"""Milliseconds before each token."""
SOME_WORDS = 5
"""How many tokens come before an answer is made to break off."""
RETRY_AFTER = 2
"""Seconds that a rate limit asks to wait."""

_DONE = sse_record(b"[DONE]")
_CODES = {
    401: "invalid_api_key",
    403: "permission_denied",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "service_unavailable",
    529: "overloaded",
}

Step = tuple[float, bytes]
"""Seconds to wait, then bytes of the body."""


@attrs.frozen
class Script:
    """One answer over the wire."""

    status: int
    headers: Mapping[str, str]
    steps: Sequence[Step] = attrs.field(repr=False)
    ending: Literal["complete", "cut", "hang"] = "complete"
    """After the steps: the body is complete, the connection is lost, or nothing comes any more."""


def script(request: UpstreamRequest) -> Script:
    """Answer *request* as a server would: always, if need be with an error status."""
    place = (request.method, request.url.removeprefix(BASE_URL))
    if place == ("GET", "/models"):
        return _json(200, {"object": "list", "data": [_model(name) for name in MODELS]})
    if place != ("POST", "/chat/completions"):
        return _error(404, f"There is no {place[0]} {place[1][:100]}.", "unknown_url")
    try:
        return _chat(read_asked(request.body or b""))
    except Refusal as refusal:
        return _error(refusal.status, refusal.message, refusal.code, refusal.param)


def _chat(asked: Asked) -> Script:
    status = asked.directives.status
    if status is not None:
        headers = {"retry-after": str(RETRY_AFTER)} if status == 429 else {}
        failed = _error(status, f"A line 'demo: fail {status}' asked for this error.", _CODES[status])
        return attrs.evolve(failed, headers={**failed.headers, **headers})
    given = answer(asked)
    if asked.directives.ending == "stall first":
        return Script(200, _content_type(asked), (), "hang")
    return _streamed(asked, given) if asked.body.stream else _whole(asked, given)


def _ending(asked: Asked) -> Literal["complete", "cut", "hang"]:
    match asked.directives.ending:
        case "cut":
            return "cut"
        case "stall" | "stall first":
            return "hang"
        case _:
            return "complete"


def _rounds(asked: Asked, given: Answer) -> int:
    """How many times each choice says a token."""
    rounds = max(choice.size for choice in given.choices)
    return rounds if asked.directives.ending == "complete" else min(rounds, SOME_WORDS)


def _pace(asked: Asked) -> float:
    pace = asked.directives.pace
    return (DEFAULT_PACE if pace is None else pace) / 1000


def _streamed(asked: Asked, given: Answer) -> Script:
    wire = _Wire(asked.body.model)
    closing = b""
    if asked.directives.ending == "complete":
        options = asked.body.stream_options or {}
        closing = wire.closing(given, bool(options.get("include_usage")))
    elif asked.directives.ending == "fail midway":
        closing = sse_record(jsontext.dumps(_failure()))
    steps = StreamSteps(wire, given.choices, _pace(asked), _rounds(asked, given), closing)
    return Script(200, _content_type(asked), steps, _ending(asked))


def _whole(asked: Asked, given: Answer) -> Script:
    body = jsontext.dumps(
        {
            "object": "chat.completion",
            "model": asked.body.model,
            "choices": [_whole_choice(index, choice) for index, choice in enumerate(given.choices)],
            "usage": given.usage,
        }
    )
    if asked.directives.ending == "fail midway":
        body = jsontext.dumps(_failure())
    elif asked.directives.ending != "complete":
        body = body[: len(body) // 2]
    wait = _rounds(asked, given) * _pace(asked)
    return Script(200, _content_type(asked), ((wait, body),), _ending(asked))


def _content_type(asked: Asked) -> Mapping[str, str]:
    return {"content-type": "text/event-stream; charset=utf-8" if asked.body.stream else "application/json"}


@attrs.frozen
class _Wire:
    """Writes records. They have no id and no time: an answer's own are given to it on its way to the client."""

    model: str

    def opening(self, choices: Sequence[Choice]) -> bytes:
        """Write who is speaking, for each choice."""
        return b"".join(
            [
                self._choice(index, {"role": "assistant", "content": "" if choice.has_text else None})
                for index, choice in enumerate(choices)
            ]
        )

    def round(self, choices: Sequence[Choice], place: int) -> bytes:
        """Write the token at *place* of each choice that has one there."""
        deltas = [(index, choice.delta(place)) for index, choice in enumerate(choices)]
        return b"".join([self._choice(index, delta) for index, delta in deltas if delta is not None])

    def closing(self, given: Answer, include_usage: bool) -> bytes:
        """Write the finish of each choice, the usage where it is wanted, and the end."""
        finishes = [self._choice(index, {}, choice.finish) for index, choice in enumerate(given.choices)]
        usage = [self._record([], usage=given.usage)] if include_usage else []
        return b"".join([*finishes, *usage, _DONE])

    def _choice(self, index: int, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return self._record([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def _record(self, choices: Sequence[Mapping[str, Any]], **more: Any) -> bytes:
        record = {"object": "chat.completion.chunk", "model": self.model, "choices": choices, **more}
        return sse_record(jsontext.dumps(record))


@attrs.frozen
class StreamSteps(Sequence[Step]):
    """The steps of a stream, each written when it is looked at: a long answer costs no memory and no delay.

    First who is speaking, without a wait; then *rounds* times a token of every choice; then *closing*, if any.
    """

    _wire: _Wire
    _choices: tuple[Choice, ...] = attrs.field(repr=False)
    pace: float
    """Seconds before each round."""
    rounds: int
    closing: bytes = attrs.field(repr=False)

    def __len__(self) -> int:
        return 1 + self.rounds + bool(self.closing)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        if isinstance(index, slice):
            return [self._step(place) for place in range(len(self))[index]]
        return self._step(range(len(self))[index])

    def _step(self, place: int) -> Step:
        if place == 0:
            return 0.0, self._wire.opening(self._choices)
        if place <= self.rounds:
            return self.pace, self._wire.round(self._choices, place - 1)
        return 0.0, self.closing


def _whole_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.joined("text") if choice.has_text else None,
        "refusal": choice.joined("refusal") or None,
    }
    if reasoning := choice.joined("reasoning"):
        message["reasoning_content"] = reasoning
    called = [(run.call, "".join(run.tokens[1:])) for run in choice.runs if run.call is not None]
    if called:
        message["tool_calls"] = [call.whole(argument) for call, argument in called]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish}


def _model(name: str) -> Mapping[str, Any]:
    return {
        "id": name,
        "object": "model",
        "owned_by": "chatmock",
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "capabilities": {"function_calling": True},
        "reasoning": {"mandatory": name == MODELS[1]},
    }


def _failure() -> Mapping[str, Any]:
    message = "A line 'demo: fail midway' asked for this error."
    return {"error": {"message": message, "type": "server_error", "param": None, "code": "server_error"}}


def _error(status: int, message: str, code: str | None = None, param: str | None = None) -> Script:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return _json(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def _json(status: int, value: Mapping[str, Any]) -> Script:
    return Script(status, {"content-type": "application/json"}, ((0.0, jsontext.dumps(value)),))
