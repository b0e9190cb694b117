"""Refusals as Ollama tells them (spec upstreams.md, E4)."""

from __future__ import annotations

from chatmock import jsontext
from chatmock.dialects.ollama_json import escaped
from chatmock.errors import Refusal

_MODEL_NOT_FOUND = "model_not_found"


def error_body(refusal: Refusal) -> bytes:
    """``{"error": "…"}``, of one line, and in an Ollama's own words where it was one that said so; clients look for the
    words of a model that is not there."""
    words = refusal.quoted or refusal.message
    if not refusal.quoted and refusal.code == _MODEL_NOT_FOUND and refusal.model:
        words = f"model '{refusal.model[:100]}' not found: {words}"
    return escaped(jsontext.dumps({"error": words}))
