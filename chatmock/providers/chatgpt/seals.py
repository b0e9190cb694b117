"""Whether the backend could not read thinking that came sealed, such as another upstream's (spec chatgpt.md, 2.3)."""

from __future__ import annotations

from typing import Final

from chatmock.errors import Kind, Refusal

_REFUSED: Final = "invalid_encrypted_content"


def refuses_seals(refusal: Refusal) -> bool:
    """Whether *refusal* is for a seal that the backend cannot open."""
    return refusal.kind is Kind.BAD_REQUEST and refusal.code == _REFUSED
