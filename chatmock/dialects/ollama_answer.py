"""Answers as Ollama's server gives them: a JSON object a line, or one (spec upstreams.md, E2)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from chatmock import jsontext
from chatmock.answer import Answer, AnswerChoice, CompleteCall
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.ollama_errors import error_body
from chatmock.dialects.ollama_json import arguments_of, escaped, second_of, timestamp
from chatmock.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

Said = Mapping[str, Any]
Form = Callable[[str, str, Sequence[Said]], dict[str, Any]]
"""Puts text, thinking and tool calls where a dialect has them."""

_USABLE_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 8
_SECOND: Final = 1_000_000_000


@attrs.define
class PendingCall(CompleteCall):
    """A tool call on its way: told once its arguments are there, for half an object is none."""

    tried: bool = False
    """Whether its arguments have been looked at, and were not complete; once, since looking takes time."""


class OllamaEncoder:
    """Events as lines. Text is put between bytes made once for the stream: all else but the time stays the same.

    It keeps nothing of the request but the model's name, since a stream may last.
    """

    answer: None = None

    def __init__(self, chat: ChatRequest, identity: Identity, form: Form) -> None:
        self._identity = identity
        self._created = identity.created_ns
        self._form = form
        self._model = _name(chat)
        self._logprobs = chat.logprobs
        self._head = escaped(b'{"model":%b,"created_at":"' % jsontext.dumps(self._model))
        self._text = self._around(form("\0", "", ()))
        self._thought = self._around(form("", "\0", ()))
        self._second = -1
        self._second_text = b""
        self._stamp = b""
        self._began = identity.elapsed()
        self._spoke = 0
        self._calls: dict[int, PendingCall] = {}
        self._has_calls = form("", "", [{}]) != form("", "", ())
        self._usage: Usage | None = None

    def encode(self, events: Iterable[Event]) -> bytes:
        """The lines for *events*; those that have no place here give none."""
        now = self._identity.elapsed()
        second, rest = divmod(self._created + now, _SECOND)
        if second != self._second:
            self._second, self._second_text = second, second_of(second).encode()
        # As `timestamp` has it; here it is worked out for nearly each word of an answer.
        self._stamp = b"%b.%09d" % (self._second_text, rest)
        self._stamp = (self._stamp.rstrip(b"0") if rest else self._second_text) + b"Z"
        return b"".join([self._encode(event, now) for event in events])

    def _encode(self, event: Event, now: int) -> bytes:
        match event:
            case TextDelta(text, 0, None) if text and not self._calls:
                self._spoke = self._spoke or now
                before, after = self._text
                text_json = escaped(jsontext.dumps(text))
                return b"%b%b%b%b%b" % (self._head, self._stamp, before, text_json, after)
            case ReasoningDelta(text=text) if text:
                self._spoke = self._spoke or now
                before, after = self._thought
                thought = escaped(jsontext.dumps(text))
                line = b"%b%b%b%b%b" % (self._head, self._stamp, before, thought, after)
                return self._whole_calls() + line
            case TextDelta(text, 0, logprobs) if text or logprobs:
                self._spoke = self._spoke or now
                more = {"logprobs": _logprobs(logprobs)} if logprobs and self._logprobs else {}
                return self._whole_calls() + self._line(self._form(text, "", ()), done=False, **more)
            case RefusalDelta(text, 0) if text:
                self._spoke = self._spoke or now
                return self._whole_calls() + self._line(self._form(text, "", ()), done=False)
            case ToolCallDelta(choice=0) if self._has_calls:
                self._spoke = self._spoke or now
                return self._call(event)
            case Usage():
                self._usage = event
                return b""
            case Finished(reasons):
                return self._finish(reasons[0])
            case Failed(refusal):
                return error_body(refusal) + b"\n"
            case _:
                return b""

    def _call(self, event: ToolCallDelta) -> bytes:
        out = b""
        if event.id:
            out = self._whole_calls()
            self._calls[event.index] = PendingCall(event.id, event.name)
        call = self._calls.get(
            event.index
        )  # none for what comes behind a call that was complete: blanks, if anything
        if call is not None:
            call.arguments.append(event.arguments)
        return out

    def _whole_calls(self) -> bytes:
        """The calls that are complete for certain, now that something else comes: calls of some upstreams come mixed."""
        out = []
        while self._calls:
            index, call = next(iter(self._calls.items()))
            told = None if call.tried else _told(call, index, self._identity, complete=False)
            if told is None:
                call.tried = True
                break
            out.append(self._line(self._form("", "", [told]), done=False))
            del self._calls[index]
        return b"".join(out)

    def _finish(self, reason: FinishReason) -> bytes:
        told = _all_told(self._calls.items(), self._identity, reason)
        lines = [self._line(self._form("", "", [each]), done=False) for each in told]
        spoke = self._spoke or None
        end = _end(reason, self._usage, self._identity.elapsed(), self._began, spoke)
        return b"".join([*lines, self._line(self._form("", "", ()), done=True, **end)])

    def _line(self, said: Said, **more: Any) -> bytes:
        line = {"model": self._model, "created_at": self._stamp.decode(), **said, **more}
        return escaped(jsontext.dumps(line)) + b"\n"

    def _around(self, said: Said) -> tuple[bytes, bytes]:
        """What stands before and after the text of a line that says *said*, from the time on."""
        before, _, after = jsontext.dumps(said)[1:-1].partition(jsontext.dumps("\0"))
        return b'",' + before, after + b',"done":false}\n'


def whole(chat: ChatRequest, identity: Identity, answer: Answer, form: Form) -> bytes:
    """A whole answer as one object; where nothing was asked, that the model is there."""
    now = identity.elapsed()
    said: dict[str, Any] = {"model": _name(chat), "created_at": timestamp(identity.created_ns + now)}
    if chat.load is not None:
        return escaped(jsontext.dumps({**said, **form("", "", ()), "done": True, "done_reason": chat.load}))
    choice = answer.choices[0] if answer.choices else AnswerChoice()
    reason = choice.finish_reason
    calls = _all_told(enumerate(choice.calls), identity, reason)
    said.update(form("".join([*choice.text, *choice.refusal]), "".join(choice.reasoning), calls))
    more = {"logprobs": _logprobs(choice.logprobs)} if chat.logprobs and choice.logprobs else {}
    end = _end(reason, answer.usage, now, answer.opened_after, answer.spoke_after or None)
    return escaped(
        jsontext.dumps({**said, "done": True, "done_reason": end.pop("done_reason"), **more, **end})
    )


def _name(chat: ChatRequest) -> str:
    return chat.asked_model or chat.model


def _end(
    reason: FinishReason, usage: Usage | None, total: int, began: int, spoke: int | None
) -> dict[str, Any]:
    """The fields of the end. Times are in nanoseconds since the request came, as they were measured; what is not known
    is left out, and so is a zero, as Go does.

    :param began: when the upstream had begun to answer.
    :param spoke: when the first of the answer was there; None where it is empty.
    """
    heard = total if spoke is None else spoke
    end: dict[str, Any] = {
        "total_duration": total,
        "load_duration": began,
        "prompt_eval_count": usage.prompt_tokens if usage else None,
        "prompt_eval_duration": heard - began,
        "eval_count": usage.completion_tokens if usage else None,
        "eval_duration": total - heard,
    }
    why: Literal["stop", "length"] = "length" if reason == "length" else "stop"
    return {"done_reason": why, **{name: value for name, value in end.items() if value}}


def _all_told(
    calls: Iterable[tuple[int, CompleteCall]], identity: Identity, reason: FinishReason
) -> list[Said]:
    """The tool calls of an answer that has ended. One that was cut short with it is no call."""
    told = [_told(call, index, identity, complete=reason != "length") for index, call in calls]
    return [each for each in told if each is not None]


def _told(call: CompleteCall, index: int, identity: Identity, *, complete: bool) -> Said | None:
    """A tool call as Ollama has it; None while its arguments are not complete."""
    arguments = arguments_of("".join(call.arguments), complete=complete)
    if arguments is None:
        return None
    id = call.id if _USABLE_ID.fullmatch(call.id) else _made_id(f"{identity.id}/{index}/{call.id}")
    return {"id": id, "function": {"index": index, "name": call.name, "arguments": arguments}}


def _made_id(seed: str) -> str:
    """A name for a call as Ollama makes them up."""
    number = int.from_bytes(hashlib.blake2b(seed.encode("utf-8", "replace"), digest_size=8).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return f"call_{''.join(letters)}"


def _logprobs(tokens: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI's log probabilities, without the keys that Ollama has not where there is nothing to tell."""
    told = []
    for token in tokens:
        entry = {key: token[key] for key in ("token", "logprob", "bytes") if token.get(key) is not None}
        others = token.get("top_logprobs") or ()
        if others:
            entry["top_logprobs"] = _logprobs([{**other, "top_logprobs": None} for other in others])
        told.append(entry)
    return told
