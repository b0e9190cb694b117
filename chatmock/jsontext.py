"""JSON text: the one module that knows which JSON library is used.

msgspec decodes strictly (UTF-8, no NaN, no lone surrogates), checks shapes while it decodes, and costs about
a microsecond for a record of a stream; see docs/architecture.md for the figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

__all__ = [
    "Annotated",
    "JSONError",
    "Meta",
    "Raw",
    "Struct",
    "check_foreign",
    "convert",
    "dumps",
    "indented",
    "loads",
    "loads_object",
    "loads_strictly",
    "reader",
    "schemas",
]

T = TypeVar("T")
MOST_DEPTH = 64
MOST_DIGITS = 20
MOST_VALUES = 100_000
"""In one text, keys not counted, and what is empty counted twice. A value costs a microsecond and some hundred bytes
however short it is written; clients with hundreds of tools send some ten thousand."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_MARKS = bytes(set(range(256)) - set(b",[{"))
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_untyped = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()

dumps: Callable[[object], bytes] = _encoder.encode
"""Encode plain values (and :class:`Struct`, :class:`Raw`) as compact UTF-8 JSON without line breaks."""


indented: Callable[[bytes], bytes] = msgspec.json.format
"""JSON text with line breaks, for files that people look at."""


class JSONError(ValueError):
    """The text is not JSON, or not of the shape asked for; the message says where."""


def loads(data: bytes | str) -> Any:
    """Decode UTF-8 JSON text into plain values.

    :raises JSONError: when the text is not JSON, is nested too deeply or is not UTF-8.
    """
    try:
        return _untyped.decode(data)
    except (ValueError, RecursionError) as error:
        raise JSONError(str(error)) from None


def loads_object(data: bytes | str) -> dict[str, Any]:
    """Decode UTF-8 JSON text that must be an object.

    :raises JSONError: as :func:`loads`, and when the value is of another type.
    """
    value = loads(data)
    if not isinstance(value, dict):
        raise JSONError("expected a JSON object")
    return value


def check_foreign(data: bytes) -> None:
    """Look at text that is passed on as it is, and that may hold what other readers stumble over.

    :raises JSONError: as :func:`loads`, also for numbers that nobody can hold, for more than :data:`MOST_DEPTH` levels
        and for more than :data:`MOST_VALUES` values.
    """
    _check_structure(data)
    loads(data)


def loads_strictly(data: bytes) -> dict[str, Any]:
    """Decode what a client has sent, which must be an object that every reader of JSON reads alike (security.md, P24).

    The standard library's reader, since msgspec takes the last of several equal keys without a word.

    :raises JSONError: as :func:`loads_object`, and for a byte order mark, equal keys in one object, more than
        :data:`MOST_DEPTH` levels or :data:`MOST_VALUES` values (both looked at before anything is decoded), integers
        of more than :data:`MOST_DIGITS` digits, numbers that are not finite, and halves of surrogate pairs. The
        message repeats nothing of the text.
    """
    _check_structure(data)
    try:
        text = data.decode()
        value = _strict(text)
        # One byte is looked for many times faster than two are.
        if b"\\" in data and b"\\u" in data and _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise JSONError(f"{error.msg} at character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise JSONError(f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise JSONError("a string holds half of a surrogate pair") from None
    if not isinstance(value, dict):
        raise JSONError("it is not an object")
    return value


def _check_structure(data: bytes) -> None:
    """Refuse what is too deep or has too many values, in linear time and without decoding it.

    A value is the first of its array or object, or follows a comma. Counting in strings as well is cheap and enough
    for most texts.

    :raises JSONError: for either, and when more is closed than opened.
    """
    marks = data.translate(None, _NO_MARKS)
    if len(marks) < MOST_VALUES and len(marks) - marks.count(b",") <= MOST_DEPTH:
        return
    bare = _without_strings(data)
    openings = bare.count(b"[") + bare.count(b"{")
    if openings + bare.count(b",") >= MOST_VALUES:
        raise JSONError(f"it has more than {MOST_VALUES} values")
    brackets = bare.translate(None, _NO_BRACKETS)
    if len(brackets) > 2 * openings:
        raise JSONError("it closes more than it opens")
    if max(accumulate(map(_BRACKETS.__getitem__, brackets)), default=0) > MOST_DEPTH:
        raise JSONError(f"it is nested more than {MOST_DEPTH} levels deep")


def _without_strings(data: bytes) -> bytes:
    """JSON text without its strings; of what is no JSON, the part up to its fault.

    Whole replacements, since a search string by string takes a second for a body of quotes and backslashes.

    :raises JSONError: for more strings than :data:`MOST_VALUES` values and their keys can be.
    """
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = data.split(b'"', 4 * MOST_VALUES + 1)
    if len(pieces) > 4 * MOST_VALUES + 1:
        raise JSONError(f"it has more than {MOST_VALUES} values")
    return b"".join(pieces[::2])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JSONError("an object has two equal keys")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise JSONError(f"an integer has more than {MOST_DIGITS} digits")
    return int(digits)


def _number(text: str) -> float:
    """What is written with a point or an exponent; an integer where it is one, as JSON Schema has it: ``2.0``."""
    number = float(text)
    if not math.isfinite(number):
        raise JSONError("a number is too large")
    return int(number) if number.is_integer() and abs(number) < 10**MOST_DIGITS else number


def _constant(name: str) -> NoReturn:
    raise JSONError(f"{name} is no JSON")


_strict: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
).decode


def convert(value: Mapping[str, Any], shape: type[T]) -> T:
    """Check decoded *value* against *shape* and return it in that shape.

    :raises JSONError: with the path of the first fault, such as ``Expected `int`, got `str` - at `$.n```.
    """
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        raise JSONError(str(error)) from None


def reader(shape: type[T]) -> Callable[[bytes], T]:
    """A decoder of JSON text into *shape*, to be made once and called for each record.

    The callable raises :exc:`JSONError` as :func:`loads` does, and when the text has another shape. Parts of
    the text that *shape* does not name are checked as JSON but not as UTF-8.
    """
    decode = msgspec.json.Decoder(shape).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except (ValueError, RecursionError) as error:
            raise JSONError(str(error)) from None

    return read


def schemas(shape: type[Struct]) -> dict[str, dict[str, Any]]:
    """The JSON Schemas of *shape* and of the structs in it, by class name; ``$ref`` ends in such a name."""
    _, components = msgspec.json.schema_components([shape])
    return components
