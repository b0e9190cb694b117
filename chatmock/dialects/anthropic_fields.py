"""Reads the fields of a Messages request; what is wrong is told as Anthropic does: ``messages.0.content.1: …``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from chatmock import jsontext
from chatmock.errors import Refusal, bad_request
from chatmock.jsontext import JSONError

T = TypeVar("T")

MISSING: Final = "Field required"
_MOST_CHARS: Final = 200
_PATH: Final = re.compile(r" - at `\$\.?(.*)`$")
_PLACE: Final = re.compile(r"\[(\d+)\]")
_ABSENT: Final = re.compile(r"missing required field `(\w+)`")


def read(value: Mapping[str, Any], shape: type[T], where: str = "") -> T:
    """*value*, which stands at *where* in the request, in *shape*.

    :raises Refusal: bad request, naming the field at fault.
    """
    try:
        return jsontext.convert(value, shape)
    except JSONError as error:
        text = str(error)
    found = _PATH.search(text)
    path = _PLACE.sub(r".\1", found[1]) if found else ""
    absent = _ABSENT.search(text)
    place = ".".join(part for part in (where, path, absent[1] if absent else "") if part)
    raise fault(place, MISSING if absent else _PATH.sub("", text)[:_MOST_CHARS])


def fault(where: str, what: str) -> Refusal:
    """The field *where* is at fault: *what* says why."""
    return bad_request(f"{where}: {what}", param=where)
