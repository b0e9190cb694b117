"""What tells one OpenAI-compatible upstream from another; the defaults are OpenAI's own ways."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs

from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal
from chatmock.events import FINISH_REASONS, FinishReason
from chatmock.providers.interface import Amendment, Passage, StreamDecoder
from chatmock.providers.openai_errors import ErrorFacts, read_facts, to_refusal


def same_facts(facts: ErrorFacts) -> ErrorFacts:
    """The upstream's status means what it says."""
    return facts


def same_reason(reason: str, native: str | None) -> str:
    """The upstream's finish reason means what it says."""
    return reason


def no_amendment(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """A refused request stays refused."""
    return None


def as_asked(chat: ChatRequest) -> Amendment:
    """The request goes as it is."""
    return Amendment(chat, {})


@attrs.frozen
class NativeWire:
    """A further dialect that an upstream speaks: who asks in it is asked for, and answered, in it."""

    path: str
    """Where it is spoken, after the base URL."""
    body: Callable[[ChatRequest, bool], Mapping[str, Any]]
    """The JSON for a request of a client of that dialect, streamed or not."""
    decoder: Callable[[str, int, ChatRequest], StreamDecoder]
    """A fresh decoder; given the upstream's name for messages, the most bytes of a record, and the request."""
    passage: Callable[[str, int, ChatRequest, Identity], Passage]
    """A fresh passage; given the same, and what names the answer."""


@attrs.frozen
class Differences:
    """One upstream's ways, for :class:`~chatmock.providers.openai_compatible.OpenAICompatible`."""

    title: str
    """The name people know it by."""
    key_setting: str
    """The environment variable of its key, for messages."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Further request headers."""
    default_model: str | None = None
    retired: Mapping[str, str] = attrs.field(factory=dict)
    models_path: str = "/models"
    """Of the list of models, with a query where one is needed."""
    embedding_formats: Collection[str] = ()
    """The forms in which it gives embeddings: ``float``, ``base64``; empty where it makes none."""
    facts: Callable[[ErrorFacts], ErrorFacts] = same_facts
    """Corrects the status and code of an error by what its text says."""
    efforts: Sequence[str] = ("low", "medium", "high")
    """The reasoning efforts that a model is thought to have which lists none."""
    thoughtless: Mapping[str, Any] | None = None
    """The request fields that have a model not think, where the upstream has such fields of its own."""
    finish_reason: Callable[[str, str | None], str] = same_reason
    """The true finish reason, from the one given and the model maker's own."""
    native: Mapping[str, NativeWire] = attrs.field(factory=dict)
    """The dialects it speaks besides OpenAI chat, by name."""
    prepare: Callable[[ChatRequest], Amendment] = as_asked
    """Changes a request before it is sent the first time."""
    amend: Callable[[ChatRequest, Refusal], Amendment | None] = no_amendment
    """Changes a request that was refused, if a changed one is worth a try."""

    def reason(self, given: str, native: object) -> FinishReason:
        """The finish reason to tell, from the one given and the model maker's own; strange ones mean an end."""
        reason = self.finish_reason(given, native if isinstance(native, str) else None)
        if reason == "function_call":
            return "tool_calls"
        return reason if reason in FINISH_REASONS else "stop"

    def read_error(self, body: Mapping[str, Any]) -> Refusal:
        """The refusal for an error object inside a success or a stream."""
        return to_refusal(self.title, self.key_setting, self.facts(read_facts(200, body)))
