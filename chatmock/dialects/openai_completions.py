"""OpenAI text completions: ``POST /v1/completions`` (spec upstreams.md, D2).

Upstreams serve chat models, so the prompt goes as one user message and the answer's text comes back as the
completion. What a chat model cannot do (token prompts, ``suffix``, ``best_of``) is refused. Thinking has no
place in this format and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.answer import Answer, AnswerChoice
from chatmock.conversation import ChatRequest, Identity, Message, Source, Text
from chatmock.dialects.openai_chat import DONE, head, usage_body
from chatmock.dialects.openai_errors import error_body
from chatmock.dialects.openai_parse import ChatBody, StreamOptions, read_choices, read_max_tokens, read_stop
from chatmock.dialects.reading import read_object, read_shape
from chatmock.errors import Refusal, bad_request
from chatmock.events import Event, Failed, Finished, Opened, RefusalDelta, TextDelta, Usage
from chatmock.framing import sse_comment, sse_record
from chatmock.jsontext import Struct

_HOMED_FIELDS = frozenset(
    [
        "prompt",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stop",
        "logprobs",
        "echo",
        "suffix",
        "best_of",
    ]
)

CHAT_ONLY = frozenset(
    [
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "modalities",
        "audio",
    ]
)


class CompletionBody(Struct):
    """The fields that chatmock reads itself."""

    prompt: str | list[Any]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None


@attrs.frozen
class OpenAICompletions:
    """The :class:`~chatmock.dialects.interface.Dialect`."""

    name: str = attrs.field(default="openai-completions", init=False)
    stream_type: str = attrs.field(default="text/event-stream; charset=utf-8", init=False)
    request_id_header: None = attrs.field(default=None, init=False)

    def comment(self, text: str) -> bytes:
        """A comment of the event stream."""
        return sse_comment(text)

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request."""
        fields = read_object(body)
        asked = read_shape(fields, CompletionBody)
        extras = {k: v for k, v in fields.items() if k not in _HOMED_FIELDS and v is not None}
        read_shape({**extras, "messages": []}, ChatBody)
        for field in extras:
            if field in CHAT_ONLY:
                raise bad_request(f"{field!r} belongs to chat completions.", param=field)
        _refuse_the_impossible(asked)
        return ChatRequest(
            model=asked.model or "",
            messages=(Message("user", (Text(_prompt(asked.prompt)),)),),
            stream=bool(asked.stream),
            include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            choices=read_choices(asked.n),
            max_tokens=read_max_tokens(asked.max_completion_tokens, asked.max_tokens),
            stop=read_stop(asked.stop),
            logprobs=asked.logprobs is not None,
            top_logprobs=asked.logprobs or None,
            echo=bool(asked.echo),
            extras=extras,
            source=Source(self.name, fields),
        )

    def encoder(self, chat: ChatRequest, identity: Identity) -> CompletionEncoder:
        """A fresh encoder."""
        return CompletionEncoder(chat, identity)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        body = head("text_completion", f"cmpl-{identity.id}", chat, identity, answer.opened)
        body["choices"] = [_whole_choice(i, choice, chat) for i, choice in enumerate(answer.choices)]
        if answer.usage is not None:
            body["usage"] = usage_body(answer.usage)
        return jsontext.dumps(body)

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body."""
        return error_body(refusal)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return refusal.status


def _refuse_the_impossible(asked: CompletionBody) -> None:
    if asked.suffix:
        raise bad_request(
            "'suffix' is not possible: the models behind chatmock are chat models.", param="suffix"
        )
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        raise bad_request("'best_of' other than 'n' is not possible: ask for 'n' answers.", param="best_of")


def _prompt(prompt: str | list[Any]) -> str:
    if isinstance(prompt, str):
        text = prompt
    elif len(prompt) == 1 and isinstance(prompt[0], str):
        text = prompt[0]
    elif prompt and all(isinstance(item, str) for item in prompt):
        raise bad_request("Several prompts in one request are not possible: send one request each.", "prompt")
    else:
        raise bad_request("'prompt' must be text: token arrays are not possible with chat models.", "prompt")
    if not text:
        raise bad_request("'prompt' is empty.", param="prompt")
    return text


class CompletionEncoder:
    """Events as ``text_completion`` records."""

    answer: None = None

    def __init__(self, chat: ChatRequest, identity: Identity) -> None:
        self._chat = chat
        self._identity = identity
        self._head: dict[str, Any] = {}
        self._text_head = b""
        self._text_tail = b""
        self._offsets: dict[int, int] = {}
        self._usage: Usage | None = None

    def encode(self, events: Iterable[Event]) -> bytes:
        """The records for *events*; those that have no place here give none."""
        return b"".join([self._encode(event) for event in events])

    def _encode(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, 0, None) if self._text_head:
                return b"%b%b%b" % (self._text_head, jsontext.dumps(text), self._text_tail)
            case Opened():
                return self._open(event)
            case TextDelta(text, choice, logprobs):
                return self._text(choice, text, logprobs)
            case RefusalDelta(text, choice):
                return self._text(choice, text, None)
            case Usage():
                self._usage = event
                return b""
            case Finished():
                return self._finish(event)
            case Failed(refusal):
                return sse_record(error_body(refusal)) + DONE
            case _:
                return b""

    def _open(self, event: Opened) -> bytes:
        chat = self._chat
        self._head = head("text_completion", f"cmpl-{self._identity.id}", chat, self._identity, event)
        if chat.include_usage:
            self._head["usage"] = None
        if not chat.logprobs:
            record = self._record([_choice(0, "\0", None, None)])
            self._text_head, _, self._text_tail = record.partition(jsontext.dumps("\0"))
        if not chat.echo:
            return b""
        return b"".join(self._text(choice, chat.messages[0].text, None) for choice in range(chat.choices))

    def _text(self, choice: int, text: str, logprobs: Sequence[Mapping[str, Any]] | None) -> bytes:
        offset = self._offsets.get(choice, 0)
        self._offsets[choice] = offset + len(text)
        return self._record([_choice(choice, text, _logprobs(logprobs, offset), None)])

    def _finish(self, event: Finished) -> bytes:
        records = [self._record([_choice(i, "", None, reason)]) for i, reason in enumerate(event.reasons)]
        if self._chat.include_usage and self._usage is not None:
            records.append(self._record([], usage=usage_body(self._usage)))
        return b"".join([*records, DONE])

    def _record(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return sse_record(jsontext.dumps({**self._head, "choices": choices, **more}))


def _choice(index: int, text: str, logprobs: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}


def _whole_choice(index: int, choice: AnswerChoice, chat: ChatRequest) -> dict[str, Any]:
    echoed = chat.messages[0].text if chat.echo else ""
    text = echoed + "".join(choice.text) + "".join(choice.refusal)
    return _choice(index, text, _logprobs(choice.logprobs, len(echoed)), choice.finish_reason)


def _logprobs(tokens: Sequence[Mapping[str, Any]] | None, offset: int) -> dict[str, Any] | None:
    """Chat log probabilities in the older form; *offset* is the first token's place in the text."""
    if tokens is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(str(token.get("token", "")))
    return {
        "tokens": [token.get("token") for token in tokens],
        "token_logprobs": [token.get("logprob") for token in tokens],
        "top_logprobs": [
            {top.get("token"): top.get("logprob") for top in token.get("top_logprobs") or ()}
            for token in tokens
        ],
        "text_offset": offsets,
    }
