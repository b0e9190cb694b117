"""JSON text: the one module that knows which JSON library is used.

msgspec decodes strictly (UTF-8, no NaN, no lone surrogates), checks shapes while it decodes, and costs about
a microsecond for a record of a stream; see docs/architecture.md for the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

__all__ = ["JSONError", "Raw", "Struct", "convert", "dumps", "indented", "loads", "loads_object", "reader"]

T = TypeVar("T")
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
