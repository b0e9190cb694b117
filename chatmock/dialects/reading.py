"""Reads the bodies of clients, of whichever dialect: JSON that has one meaning, in the shape that is expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from chatmock import jsontext
from chatmock.dialects.spelling import check_spelling
from chatmock.errors import bad_request
from chatmock.jsontext import JSONError, Struct

T = TypeVar("T")
MOST_STOPS = 4
"""Stop sequences: OpenAI and the upstreams that speak like it take no more."""
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class FunctionBody(Struct):
    """A function offered as a tool."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


def read_object(body: bytes) -> dict[str, Any]:
    """The request body's JSON object.

    :raises Refusal: bad request, when it is none, or one that another reader may understand otherwise.
    """
    try:
        found = jsontext.loads_strictly(body)
    except JSONError as error:
        raise bad_request(
            f"The request body is not a JSON object in UTF-8 that can be trusted: {error}."
        ) from None
    check_spelling(found)
    return found


def read_shape(body: Mapping[str, Any], shape: type[T]) -> T:
    """*body* checked against *shape*.

    :raises Refusal: bad request, with the field at fault as its ``param``.
    """
    try:
        return jsontext.convert(body, shape)
    except JSONError as error:
        text = str(error)
        path = _PATH.search(text)
        field = path[1] if path else None
        missing = re.search(r"missing required field `(\w+)`", text)
        if missing:
            field = f"{field}.{missing[1]}" if field else missing[1]
        where = f" for {field!r}" if field else ""
        raise bad_request(f"Invalid value{where}: {_PATH.sub('', text)}.", param=field) from None
