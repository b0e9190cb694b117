"""Secrets: a text that cannot be shown by accident, and the kinds of settings that hold some."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.settings.values import Kind

__all__ = ["MASK", "Secret", "SecretHeaders", "SecretText"]

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


@attrs.frozen
class SecretHeaders(Kind[Mapping[str, Secret]]):
    """HTTP headers with secret values: a table, or the text of a JSON object."""

    allowed: str = 'a JSON object of headers, such as {"bx-v": "2.5.36"} (in the file: a table)'

    def read(self, raw: object) -> Mapping[str, Secret]:
        """Read every header; the mapping cannot be changed. Errors name a header, never its value."""
        if isinstance(raw, str):
            try:
                raw = jsontext.loads(raw)
            except JSONError:
                raise ValueError("it is no JSON") from None
        if not isinstance(raw, Mapping):
            raise ValueError  # noqa: TRY004  a bad value like any other
        headers: dict[str, Secret] = {}
        for name, value in raw.items():
            if not isinstance(name, str) or re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) is None:
                raise ValueError("a header's name is no token")
            text = value.reveal() if isinstance(value, Secret) else value
            if not isinstance(text, str) or re.fullmatch(r"[!-~]([ -~]*[!-~])?", text) is None:
                raise ValueError(f"the value of {name} is no visible ASCII text")
            headers[name] = Secret(text)
        return MappingProxyType(headers)

    def render(self, value: object) -> str:
        """Give the object itself: for a variable, not for a log."""
        held = value if isinstance(value, Mapping) else {}
        return (
            jsontext.dumps({name: secret.reveal() for name, secret in held.items()}).decode() if held else ""
        )

    def shown(self, raw: object) -> str:
        """Show nothing of it."""
        return MASK
