"""The kinds of values a setting may have: what is accepted, what it becomes, how it is written back.

A kind is one small object with two directions. `read` takes what a flag, an environment variable or the
TOML file holds, a string or the file's own type, and returns the value or raises `ValueError`; `render`
returns the text which, put into an environment variable, reads as the same value again. Reading a value
that was read before changes nothing, which is why `Settings` can run every value through its kind,
wherever it came from. Secrets and addresses have modules of their own.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import attrs

__all__ = [
    "Aliases",
    "Boolean",
    "Choice",
    "FileName",
    "Items",
    "Kind",
    "Number",
    "Uuid",
    "Whole",
    "Word",
    "shown",
    "text_of",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SHOWN_CHARACTERS: Final = 100


def shown(raw: object) -> str:
    """`raw` for an error message: one line of at most 100 characters, quoted where it would mislead."""
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)  # as TOML writes it
    if not text or " " in text or not text.isprintable():
        text = repr(text)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


@attrs.frozen
class Kind(abc.ABC, Generic[T_co]):
    """What one kind of setting accepts; see the module's own text."""

    @property
    @abc.abstractmethod
    def allowed(self) -> str:
        """What is accepted, to follow the words "give" or "takes"."""

    @property
    def choices(self) -> Sequence[str]:
        """Every accepted text, where there are only a few; else empty."""
        return ()

    @abc.abstractmethod
    def read(self, raw: object) -> T_co:
        """The value of `raw`; raises `ValueError`, whose text is a closer reason or empty."""

    def render(self, value: object) -> str:
        """The text that reads as `value`."""
        return str(value)

    def shown(self, raw: object) -> str:
        """`raw` as an error message may show it."""
        return shown(raw)


def text_of(raw: object) -> str:
    """`raw` without white space around it; raises `ValueError` for what is no text."""
    if not isinstance(raw, str):
        raise ValueError(f"it is of type {type(raw).__name__}")  # noqa: TRY004  a bad value like any other
    return raw.strip()


@attrs.frozen
class Word(Kind[str]):
    """A text of one shape, given as a regular expression; white space around it is dropped."""

    pattern: str
    allowed: str

    def read(self, raw: object) -> str:
        """Strip the text."""
        text = text_of(raw)
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError
        return text


@attrs.frozen
class Uuid(Kind[str]):
    """A UUID with its hyphens, in lower case."""

    allowed: str = "a UUID, such as 004c84c5-5f3e-4a51-9d2b-6f1f2f6c1a77"

    def read(self, raw: object) -> str:
        """Put it into lower case."""
        text = text_of(raw).lower()
        if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is None:
            raise ValueError
        return text


@attrs.frozen
class Choice(Kind[str]):
    """One of a few words, in any case."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The words."""
        return "one of " + ", ".join(self.words)

    @property
    def choices(self) -> Sequence[str]:
        """The words."""
        return self.words

    def read(self, raw: object) -> str:
        """Find the word."""
        word = text_of(raw).lower()
        if word not in self.words:
            raise ValueError
        return word


_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")


@attrs.frozen
class Boolean(Kind[bool]):
    """On or off: a real boolean, or one of eight words in any case. The numbers 1 and 0 only as text."""

    allowed: str = f"{', '.join(_TRUE)} or {', '.join(_FALSE)}"

    def read(self, raw: object) -> bool:
        """Read a boolean or one of the words."""
        if isinstance(raw, bool):
            return raw
        word = text_of(raw).lower()
        if word not in _TRUE + _FALSE:
            raise ValueError
        return word in _TRUE

    def render(self, value: object) -> str:
        """Write `on` or `off`."""
        return "on" if value else "off"


@attrs.frozen
class Whole(Kind[int]):
    """A whole number from `lowest` to `highest`, both included; in decimal digits only."""

    lowest: int
    highest: int | None = None

    @property
    def allowed(self) -> str:
        """The range."""
        if self.highest is None:
            return f"a whole number of at least {self.lowest}"
        return f"a whole number from {self.lowest} to {self.highest}"

    def read(self, raw: object) -> int:
        """Read an int that is no boolean, or digits."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raw = text_of(raw)
            # int() alone would also take "1_000" and the digits of other scripts.
            if re.fullmatch("[0-9]{1,30}", raw) is None:
                raise ValueError
        number = int(raw)
        if number < self.lowest or (self.highest is not None and number > self.highest):
            raise ValueError
        return number


@attrs.frozen
class Number(Kind[float]):
    """A number from `lowest` to `highest`, both included; the bounds keep timers and rates finite."""

    lowest: float
    highest: float

    @property
    def allowed(self) -> str:
        """The range."""
        return f"a number from {self.render(self.lowest)} to {self.render(self.highest)}"

    def read(self, raw: object) -> float:
        """Read a number that is no boolean, or digits with at most one point."""
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raw = text_of(raw)
            if re.fullmatch(r"[0-9]{1,30}(\.[0-9]{0,30})?", raw) is None:
                raise ValueError
            raw = float(raw)
        # In this form a NaN is refused too, and an int too large for float() is compared, not converted.
        if not self.lowest <= raw <= self.highest:
            raise ValueError
        return float(raw)

    def render(self, value: object) -> str:
        """Write whole numbers without a point."""
        return str(int(value) if isinstance(value, float) and value.is_integer() else value)


@attrs.frozen
class FileName(Kind[Path]):
    """A path of a file or folder, kept as written: `~` is for the one who opens it to expand."""

    allowed: str = "a path without control characters"

    def read(self, raw: object) -> Path:
        """Read a path that is neither empty nor holds control characters."""
        text = str(raw) if isinstance(raw, Path) else raw
        if not isinstance(text, str) or not text.strip() or re.search(r"[\x00-\x1f\x7f]", text):
            raise ValueError
        return Path(text)


@attrs.frozen
class Items(Kind[tuple[T, ...]]):
    """Several values of one kind: a list, or a text cut at white space and, if `commas`, at commas."""

    item: Kind[T]
    commas: bool = True

    @property
    def allowed(self) -> str:
        """What an item may be, and what stands between items."""
        between = "commas or white space" if self.commas else "white space"
        return f"{self.item.allowed}; several separated by {between}"

    def read(self, raw: object) -> tuple[T, ...]:
        """Read every item; an error names the first bad one."""
        parts: Sequence[object]
        if isinstance(raw, (list, tuple)):
            parts = raw
        else:
            parts = [part for part in re.split(r"[,\s]+" if self.commas else r"\s+", text_of(raw)) if part]
        return tuple(_part(self.item.read, part, self.item.shown) for part in parts)

    def render(self, value: object) -> str:
        """Join the items."""
        parts = value if isinstance(value, tuple) else ()
        return ("," if self.commas else " ").join(self.item.render(part) for part in parts)

    def shown(self, raw: object) -> str:
        """Show a list as its items are shown."""
        return self.item.shown(raw)


def _part(read: Callable[[object], T], part: object, display: Callable[[object], str] = shown) -> T:
    """One part of a value of several; its error says which part it was."""
    try:
        return read(part)
    except ValueError as error:
        raise ValueError(f"{display(part)}: {error}" if str(error) else display(part)) from None


@attrs.frozen
class Aliases(Kind[Mapping[str, str]]):
    """Names standing for other names: a table, or text such as `old=new, older=new`."""

    name: Kind[str]

    @property
    def allowed(self) -> str:
        """The form of the text."""
        return "old=new, several separated by commas (in the file: a table)"

    def read(self, raw: object) -> Mapping[str, str]:
        """Read every pair; the mapping cannot be changed."""
        pairs: list[tuple[object, object]]
        if isinstance(raw, Mapping):
            pairs = list(raw.items())
        else:
            pairs = [_part(_pair, part) for part in text_of(raw).split(",") if part.strip()]
        aliases: dict[str, str] = {}
        for old, new in pairs:
            known = _part(self.name.read, old)
            if known in aliases:
                raise ValueError(f"{shown(known)} is there twice")
            aliases[known] = _part(self.name.read, new)
        return MappingProxyType(aliases)

    def render(self, value: object) -> str:
        """Join the pairs."""
        return ",".join(f"{old}={new}" for old, new in value.items()) if isinstance(value, Mapping) else ""


def _pair(part: object) -> tuple[str, str]:
    old, equals, new = str(part).partition("=")
    if not equals:
        raise ValueError("it has no =")
    return old, new
