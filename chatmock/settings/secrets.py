"""Secrets: a text that cannot be shown by accident, and the kind of setting that holds one."""

from __future__ import annotations

import hmac
import re
from typing import Final

import attrs

from chatmock.settings.values import Kind

__all__ = ["MASK", "Secret", "SecretText"]

MASK: Final = "***"
"""What is shown in place of a secret."""


class Secret:
    """A text that is never shown by accident: `repr`, `str` and every format give `***`.

    `reveal()` is the only way to the text. Secrets compare equal by their text, in constant time, and
    hash. Deliberately no attrs class: `attrs.asdict` would unpack the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: to be sent or compared, never to be logged."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(*(each.reveal().encode(errors="surrogatepass") for each in (self, other)))

    def __hash__(self) -> int:
        return hash((Secret, self._text))


@attrs.frozen
class SecretText(Kind[Secret]):
    """A secret of visible ASCII, so that it fits into a header; spaces inside only where `spaces` says so."""

    spaces: bool = False

    @property
    def allowed(self) -> str:
        """Which characters."""
        return f"visible ASCII characters {'and spaces' if self.spaces else 'without spaces'}, on one line"

    def read(self, raw: object) -> Secret:
        """Take the text as it is: a secret with a line end is more likely a mistake than a habit."""
        if isinstance(raw, Secret):
            raw = raw.reveal()
        pattern = r"[!-~]([ -~]*[!-~])?" if self.spaces else r"[!-~]+"
        if not isinstance(raw, str) or re.fullmatch(pattern, raw) is None:
            raise ValueError
        return Secret(raw)

    def render(self, value: object) -> str:
        """Give the text itself: for a variable, not for a log."""
        return value.reveal() if isinstance(value, Secret) else ""

    def shown(self, raw: object) -> str:
        """Show nothing of it."""
        return MASK
