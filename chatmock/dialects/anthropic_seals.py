"""Thinking that its client keeps for the next turn: the seal of its upstream as Anthropic's ``signature`` (spec upstreams.md, F).

A signature of chatmock's is ``chatmock.v1:ID:SEAL``; Anthropic's own are base64, which has no colon. A block of thinking
must have a signature whether its upstream seals it or not, so there is one without a seal, ``chatmock.v1::``.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from chatmock.conversation import Reasoning
from chatmock.events import ReasoningSeal

_PREFIX: Final = "chatmock.v1:"


def signature_of(seal: ReasoningSeal | None) -> str:
    """The signature that carries *seal*; one that carries none for None."""
    return f"{_PREFIX}:" if seal is None else f"{_PREFIX}{quote(seal.id, safe='')}:{seal.value}"


def unsealed(text: str, signature: str) -> Reasoning:
    """The thinking *text* that came back with *signature*; without a seal where the signature is somebody else's."""
    if not signature.startswith(_PREFIX):
        return Reasoning(text)
    id, _, value = signature.removeprefix(_PREFIX).partition(":")
    return Reasoning(text, value, unquote(id)) if value else Reasoning(text)
