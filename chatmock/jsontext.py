"""JSON text: the one module that knows which JSON library is used.

msgspec decodes strictly (UTF-8, no NaN, no lone surrogates), checks shapes while it decodes, and costs about
a microsecond for a record of a stream; see docs/architecture.md for the figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
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
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
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

    :raises JSONError: as :func:`loads`, also for numbers that nobody can hold and for more than :data:`MOST_DEPTH` levels.
    """
    if not _shallow(data):
        raise JSONError(f"it is nested more than {MOST_DEPTH} levels deep")
    loads(data)


def loads_strictly(data: bytes) -> dict[str, Any]:
    """Decode what a client has sent, which must be an object that every reader of JSON reads alike (security.md, P24).

    The standard library's reader, since msgspec takes the last of several equal keys without a word.

    :raises JSONError: as :func:`loads_object`, and for a byte order mark, equal keys in one object, more than
        :data:`MOST_DEPTH` levels (looked at before anything is decoded), integers of more than :data:`MOST_DIGITS`
        digits, numbers that are not finite, and halves of surrogate pairs. The message repeats nothing of the text.
    """
    if not _shallow(data):
        raise JSONError(f"it is nested more than {MOST_DEPTH} levels deep")
    try:
        text = data.decode()
        value = _strict(text)
        if b"\\u" in data and _SURROGATE.search(data):
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


def _shallow(data: bytes) -> bool:
    """Whether *data* is nested at most :data:`MOST_DEPTH` levels deep; brackets in strings are none."""
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH:
        return True
    depth = 0
    for match in _BRACKET.finditer(data):
        bracket = match[0]
        if bracket in (b"[", b"{"):
            depth += 1
            if depth > MOST_DEPTH:
                return False
        elif bracket in (b"]", b"}"):
            depth -= 1
    return True


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
