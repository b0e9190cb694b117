"""Embeddings: what a client asks for, and the vectors that an upstream gives for it. Pure."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError, Raw

_NUMBER_BYTES = 4
"""Of a number in the base64 form: little-endian, as IEEE 754 has it."""
_read_numbers = jsontext.reader(list[float])
_read_string = jsontext.reader(str)


def _size(value: Sized) -> str:
    """For reprs: what a client sends is private."""
    return f"<{len(value)}>"


@attrs.frozen
class EmbeddingRequest:
    """One request for embeddings."""

    model: str
    """As the client named it; after routing, as the upstream knows it."""
    inputs: tuple[str | tuple[int, ...], ...] = attrs.field(repr=_size)
    """Texts, or texts as the model's token numbers."""
    otherwise: str | None = None
    """The model to ask for where no provider knows :attr:`model`."""
    asked_model: str = ""
    """As the client named it, set by routing: the answer names it so."""
    base64: bool = False
    """Whether the vectors are wanted in base64, and not as arrays of numbers."""
    dimensions: int | None = None
    """How many numbers a vector is to have; None for as many as the model makes."""
    extras: Mapping[str, Any] = attrs.field(factory=dict, repr=_size)
    """Further fields, as OpenAI or the upstream names them."""
    form: str = ""
    """The name of the form the client asks in, where an upstream may know that as well (``ollama-embed``); else empty."""
    own: Mapping[str, Any] = attrs.field(factory=dict, repr=_size)
    """What only an upstream that is asked in :attr:`form` is told, under its names of the fields."""
    ignored: tuple[str, ...] = ()
    """The client's fields that have no effect unless the upstream is asked in :attr:`form`, fit for a response header."""


@attrs.frozen
class Embeddings:
    """The answer."""

    vectors: Sequence[Raw] = attrs.field(repr=_size)
    """One for each input, in their order: JSON, in the form that was asked for."""
    usage: Mapping[str, Any] | None = None
    """The token counts as the upstream told them (``prompt_tokens``, ``total_tokens``), where it did."""
    load_duration: int | None = None
    """How long the upstream needed to have the model in memory, in nanoseconds, where it told."""

    @property
    def size(self) -> int:
        """The bytes of all vectors."""
        return sum(memoryview(vector).nbytes for vector in self.vectors)


def as_numbers(vector: Raw) -> Raw:
    """*vector*, in either form, as an array of numbers.

    :raises JSONError: when it has neither form.
    """
    if not _is_string(vector):
        _read_numbers(bytes(vector))
        return vector
    return Raw(jsontext.dumps(_unpacked(vector).tolist()))


def as_base64(vector: Raw) -> Raw:
    """*vector*, in either form, in base64: 32 bits a number.

    :raises JSONError: when it has neither form, or a number too large for that.
    """
    if _is_string(vector):
        _unpacked(vector)
        return vector
    packed = _finite(array("f", _read_numbers(bytes(vector))))
    _to_little_endian(packed)
    return Raw(jsontext.dumps(base64.b64encode(packed.tobytes()).decode()))


def _is_string(vector: Raw) -> bool:
    return bytes(memoryview(vector)[:1]) == b'"'


def _unpacked(vector: Raw) -> array[float]:
    try:
        data = base64.b64decode(_read_string(bytes(vector)), validate=True)
    except ValueError:
        raise JSONError("a vector is not in base64") from None
    if len(data) % _NUMBER_BYTES:
        raise JSONError("a vector in base64 ends in the middle of a number")
    numbers = array("f")
    numbers.frombytes(data)
    _to_little_endian(numbers)
    return _finite(numbers)


def _to_little_endian(numbers: array[float]) -> None:
    """Turn the bytes of *numbers* round on a machine that has them the other way; from there as well as to there."""
    if sys.byteorder == "big":
        numbers.byteswap()


def _finite(numbers: array[float]) -> array[float]:
    if not all(map(math.isfinite, numbers)):
        raise JSONError("a vector has a number that is not finite")
    return numbers
