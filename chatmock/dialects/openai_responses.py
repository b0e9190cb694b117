"""OpenAI's Responses API: ``POST /v1/responses`` (spec upstreams.md, D3; chatgpt.md, 3.8), for upstreams of any dialect.

What a client gets to see of the model's thinking: summaries only where it asks for them (``reasoning.summary``), as at
OpenAI; thinking that is no summary always, as from servers of open models, unless it says ``none``.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chatmock import jsontext
from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.openai_errors import error_body
from chatmock.dialects.reading import read_object
from chatmock.dialects.responses_items import Value
from chatmock.dialects.responses_object import (
    begun_response,
    ended_response,
    ending_of,
    error_record,
    failed_response,
)
from chatmock.dialects.responses_output import Output, Shown, whole_output
from chatmock.dialects.responses_parse import WIRE, parse_object, wants_seals, wants_summary, wants_thinking
from chatmock.dialects.responses_records import Records
from chatmock.dialects.responses_tools import custom_names
from chatmock.errors import Refusal, bad_request
from chatmock.events import (
    Annotation,
    Announced,
    Event,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.framing import sse_comment
from chatmock.jsontext import Raw


@attrs.frozen
class OpenAIResponses:
    """The :class:`~chatmock.dialects.interface.Dialect`."""

    name: str = attrs.field(default=WIRE, init=False)
    stream_type: str = attrs.field(default="text/event-stream; charset=utf-8", init=False)
    request_id_header: None = attrs.field(default=None, init=False)

    def comment(self, text: str) -> bytes:
        """A comment of the event stream."""
        return sse_comment(text)

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request that goes on from no earlier answer.

        :raises Refusal: bad request; also for one that does go on, since nothing is known of earlier answers here.
        """
        asked = read_object(body)
        if asked.get("previous_response_id") is not None:
            raise bad_request(
                "There is no answer here that 'previous_response_id' could mean. Send the conversation in 'input'.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return parse_object(asked)

    def encoder(self, chat: ChatRequest, identity: Identity) -> ResponsesEncoder:
        """A fresh encoder."""
        return ResponsesEncoder(chat, identity)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        assert isinstance(answer.outcome, Finished)
        output = whole_output(answer.choice(0), identity.id, shown_to(chat), ending_of(answer.outcome))
        begun = begun_response(chat, identity)
        return jsontext.dumps(ended_response(begun, identity, output, answer.usage, answer.outcome))

    def fail(self, failed: Failed, announced: Announced) -> bytes:
        """The end of a stream that an upstream of this dialect has begun."""
        records = Records(announced.records)
        add_failure(records, dict(announced.answer), failed.refusal)
        return records.take()

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body."""
        return error_body(refusal)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return refusal.status


def shown_to(chat: ChatRequest) -> Shown:
    """What the client of *chat* gets to see. An answer that is kept has the seals of its thinking in any case: whoever goes
    on from it sends them back."""
    body = chat.source.body if chat.source is not None else {}
    return Shown(
        summaries=wants_summary(body),
        thinking=wants_thinking(body),
        seals=chat.keep or wants_seals(body),
        custom=custom_names(body),
    )


class ResponsesEncoder:
    """Events as the records of a response that grows."""

    def __init__(self, chat: ChatRequest, identity: Identity) -> None:
        self._identity = identity
        self._keep = chat.keep
        self._begun = begun_response(chat, identity)
        self._records = Records()
        self._output = Output(self._records, identity.id, shown_to(chat))
        self._opened = False
        self._usage: Usage | None = None
        self.answer: bytes | None = None
        """The answer whole, once it has ended, where the request wants it kept."""
        self.held = 0
        """How many characters the answer has so far, which its last record repeats."""

    def encode(self, events: Iterable[Event]) -> bytes:
        """The records for *events*."""
        for event in events:
            self._take(event)
        return self._records.take()

    def _take(self, event: Event) -> None:
        output = self._output
        match event:
            case TextDelta(text, 0, logprobs):
                self.held += len(text)
                output.text(text, logprobs)
            case ReasoningDelta(text, kind, part, 0):
                self.held += len(text)
                output.think(text, (kind, part))
            case ReasoningSeal(choice=0):
                self.held += len(event.value)
                output.seal(event)
            case RefusalDelta(text, 0):
                self.held += len(text)
                output.refusal(text)
            case ToolCallDelta(choice=0):
                self.held += len(event.arguments)
                output.call(event)
            case Annotation(value, 0):
                output.cite(value)
            case Usage():
                self._usage = event
            case Opened():
                self._open()
            case Finished():
                self._finish(event)
            case Failed(refusal):
                self._fail(refusal)
            case _:
                pass  # another choice, which this API does not have

    def _open(self) -> None:
        self._opened = True
        begun = Raw(jsontext.dumps(self._begun))
        self._records.add("response.created", response=begun)
        self._records.add("response.in_progress", response=begun)

    def _finish(self, finished: Finished) -> None:
        ending = ending_of(finished)
        self._output.finish(ending)
        whole = jsontext.dumps(
            ended_response(self._begun, self._identity, self._output.items, self._usage, finished)
        )
        self._records.add(f"response.{ending}", response=Raw(whole))
        if self._keep:
            self.answer = whole

    def _fail(self, refusal: Refusal) -> None:
        """Tell that the answer has failed, as OpenAI does; the items that are open stay so."""
        if not self._opened:
            self._open()
        add_failure(self._records, self._begun, refusal)


def add_failure(records: Records, begun: Value, refusal: Refusal) -> None:
    """Tell that the answer that *begun* was the beginning of has failed."""
    records.add("error", **error_record(refusal))
    records.add("response.failed", response=failed_response(begun, refusal))
