"""What tells one OpenAI-compatible upstream from another; the defaults are OpenAI's own ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import Refusal
from chatmock.events import FINISH_REASONS, FinishReason
from chatmock.providers.interface import Amendment
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
    facts: Callable[[ErrorFacts], ErrorFacts] = same_facts
    """Corrects the status and code of an error by what its text says."""
    finish_reason: Callable[[str, str | None], str] = same_reason
    """The true finish reason, from the one given and the model maker's own."""
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
