"""Reads what Ollama says of faults into refusals (spec upstreams.md, E4 and E5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock.errors import Kind, Refusal
from chatmock.providers.interface import Headers
from chatmock.providers.openai_errors import (
    ErrorFacts,
    facts_of_body,
    is_page,
    read_facts,
    retry_after,
    to_refusal,
)

TITLE: Final = "Ollama"
SETTING: Final = "CHATMOCK_OLLAMA_UPSTREAM"
_UNSUPPORTED: Final = (("support thinking", "think"), ("support tools", "tools"))
"""What a model may lack, as the text of the error and the request's field call it."""
_TOO_LONG: Final = ("exceeds the context length", "exceeds maximum context length")
_ELSEWHERE: Final = frozenset({301, 302, 303, 307, 308, 404, 405, 501})
"""Statuses of a server that is no Ollama, or whose paths begin elsewhere."""


def facts(said: ErrorFacts) -> ErrorFacts:
    """The code and the field at fault, by what the text says: Ollama tells neither."""
    message = said.message.lower()
    if any(words in message for words in _TOO_LONG):
        return attrs.evolve(said, code="context_length_exceeded")
    field = next((field for words, field in _UNSUPPORTED if f"does not {words}" in message), None)
    return said if field is None else attrs.evolve(said, param=field)


def read_error(line: Mapping[str, Any]) -> Refusal:
    """The refusal for the last line of a stream that failed, or an error in place of an answer: ``{"error": "…"}``."""
    return _refusal(read_facts(200, line), None)


def refusal(status: int, headers: Headers, body: bytes) -> Refusal:
    """Read an answer that is not a success, of Ollama's own paths or its ``/v1``."""
    said = facts_of_body(status, body)
    if status in _ELSEWHERE and (is_page(headers, body) or not said.message):
        return Refusal(
            Kind.UPSTREAM_FAILED,
            f"What answers as {TITLE} is none: it does not know Ollama's paths. Check {SETTING}, which is written"
            " without /v1 or /api.",
            code="upstream_page",
        )
    if status == 401:
        return Refusal(
            Kind.FORBIDDEN,
            f"{TITLE} wants to be signed in for this model, which runs in its cloud: run ollama signin on its machine.",
            code="signin_required",
        )
    if status == 499:
        return Refusal(
            Kind.UPSTREAM_FAILED, f"{TITLE} gave the request up.", code="upstream_cancelled", retryable=True
        )
    if 200 <= status < 300 and not said.message:
        return Refusal(
            Kind.UPSTREAM_FAILED,
            f"{TITLE} did not answer as a stream, although it was asked to (it sent"
            f" {headers.get('content-type', 'no content type')[:50]!r}).",
            code="upstream_not_a_stream",
        )
    return _refusal(said, retry_after(headers))


def _refusal(said: ErrorFacts, wait: float | None) -> Refusal:
    found = to_refusal(TITLE, SETTING, facts(said), wait)
    found.quoted = "" if found.kind is Kind.UNAUTHENTICATED else said.message
    if "memory" in said.message:
        found.retryable = False  # the model is too large for that machine, now as in a moment
    return found
