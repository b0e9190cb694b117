"""Anthropic's Messages: ``POST /v1/messages`` (spec upstreams.md, F)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from chatmock import jsontext
from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.anthropic_content import content_blocks, message_head, stop_reason, usage_body
from chatmock.dialects.anthropic_errors import error_body, status_of
from chatmock.dialects.anthropic_parse import named, omits_thinking, parse_count, parse_messages
from chatmock.dialects.anthropic_stream import MessagesEncoder
from chatmock.errors import Refusal
from chatmock.events import Finished
from chatmock.framing import sse_comment


@attrs.frozen
class Anthropic:
    """The :class:`~chatmock.dialects.interface.Dialect`.

    The token counts of an answer are told at its end, since no upstream tells them before: those in ``message_start`` are 0.
    """

    aliases: Mapping[str, str] = attrs.field(factory=dict)
    """Patterns (``claude-*-haiku-*``) of the models' names that clients have, to the model that answers to each. The first
    that fits counts. Another name that begins with ``claude`` and that no provider knows means the default model."""
    name: str = attrs.field(default="anthropic", init=False)
    stream_type: str = attrs.field(default="text/event-stream; charset=utf-8", init=False)
    request_id_header: str = attrs.field(default="request-id", init=False)

    def comment(self, text: str) -> bytes:
        """A comment of the event stream."""
        return sse_comment(text)

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request."""
        return parse_messages(body, self.name, self.aliases)

    def parse_count(self, body: bytes) -> ChatRequest:
        """Read a request whose tokens are to be counted: ``max_tokens`` may be absent.

        :raises Refusal: bad request, naming the field at fault.
        """
        return parse_count(body, self.name, self.aliases)

    def encoder(self, chat: ChatRequest, identity: Identity) -> MessagesEncoder:
        """A fresh encoder."""
        return MessagesEncoder(chat, identity)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        outcome = answer.outcome
        assert isinstance(outcome, Finished), "a whole answer is complete"
        blocks = answer.choices[0].blocks if answer.choices else []
        reason = stop_reason(
            outcome,
            refused=any(block.kind == "refusal" and any(block.pieces) for block in blocks),
            called=any(block.kind == "call" for block in blocks),
        )
        return jsontext.dumps(
            {
                **message_head(chat, identity),
                "content": content_blocks(blocks, omit_thinking=omits_thinking(chat)),
                "stop_reason": reason,
                "stop_sequence": outcome.stop if reason == "stop_sequence" else None,
                "stop_details": None,
                "usage": usage_body(answer.usage),
            }
        )

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body; for a name that stands for a model which is not there it names the setting."""
        if (
            refusal.code == "model_not_found"
            and (stands_for := named(refusal.model, self.aliases)) is not None
        ):
            told = f"{refusal.message} The name {refusal.model[:100]!r} stands for {stands_for!r} by CHATMOCK_ANTHROPIC_MODELS."
            refusal = attrs.evolve(refusal, message=told)
        return error_body(refusal, request_id)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return status_of(refusal)
