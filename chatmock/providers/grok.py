"""xAI (spec upstreams.md, B): a wrong key and an unknown model come as 400, and some models refuse some fields."""

from __future__ import annotations

import attrs

from chatmock.conversation import ChatRequest, Source
from chatmock.errors import Kind, Refusal
from chatmock.providers.grok_responses import RESPONSES, TITLE, WIRE, amended_seals, without_effort
from chatmock.providers.interface import IGNORED, Amendment
from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_errors import ErrorFacts
from chatmock.providers.openai_request import without_fields

_EFFORT = "reasoning_effort"
_ADVISORY_FIELDS = {
    "reasoningEffort": _EFFORT,
    "reasoning_effort": _EFFORT,
    "reasoning.effort": _EFFORT,
    "presencePenalty": "presence_penalty",
    "presence_penalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""Fields an answer is still useful without, as xAI's messages and as requests call them."""


def facts(said: ErrorFacts) -> ErrorFacts:
    """The status that the text means (B4); slugs such as ``subscription:free-usage-exhausted`` count too."""
    message, code = said.message.lower(), said.code or ""
    if "incorrect api key" in message or "bad-credentials" in code or "no api key" in message:
        return attrs.evolve(said, status=401, code="invalid_api_key")
    if "usage-exhausted" in code:
        return attrs.evolve(said, status=402, code="insufficient_quota")
    if "model not found" in message or ("the model" in message and "does not exist" in message):
        return attrs.evolve(said, status=404, code="model_not_found")
    if "currently unavailable" in message:
        return attrs.evolve(said, status=503, code=None)
    # gRPC phrases are no codes a client knows.
    return attrs.evolve(said, code=None) if " " in code or code == "invalid-argument" else said


def amend(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """Leave out the field that the model does not take (B2), where an answer without it is still one; else the thinking of
    earlier turns that xAI cannot read."""
    return _without_refused_fields(chat, refusal) or amended_seals(chat, refusal)


def _without_refused_fields(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    if refusal.kind is not Kind.BAD_REQUEST or "not support" not in refusal.message:
        return None
    fields = sorted({field for word, field in _ADVISORY_FIELDS.items() if word in refusal.message})
    if not fields:
        return None
    plain = without_fields(chat, fields)
    if _EFFORT in fields and plain.source is not None and plain.source.wire == WIRE:
        plain = attrs.evolve(plain, source=Source(WIRE, without_effort(plain.source.body)))
        fields[fields.index(_EFFORT)] = "reasoning.effort"
    return Amendment(plain, {IGNORED: ", ".join(fields)})


DIFFERENCES = Differences(
    title=TITLE,
    key_setting="XAI_API_KEY",
    default_model="grok-latest",
    retired={
        "grok-beta": "xAI withdrew it in 2025. Ask for another, or map the name: CHATMOCK_GROK_ALIASES=grok-beta=grok-latest."
    },
    facts=facts,
    native={WIRE: RESPONSES},
    amend=amend,
)
