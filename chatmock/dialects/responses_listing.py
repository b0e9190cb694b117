"""What an answer of the Responses API was given to, as a list (spec upstreams.md, D3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatmock import jsontext
from chatmock.errors import bad_request

Item = dict[str, Any]
MOST_LISTED: Final = 100
_LISTED: Final = 20
_PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


def item_list(input: bytes, answer: str, order: str = "", limit: str = "", after: str = "") -> bytes:
    """What an answer was given to, as ``GET /v1/responses/{id}/input_items`` gives it.

    :param input: the items, as a JSON array.
    :param answer: the answer's id.
    :param order: ``asc``, or ``desc`` as where it is empty.
    :param limit: how many at most, 1 to :data:`MOST_LISTED`; empty for 20.
    :param after: the id of the item before the first; empty for none.
    :raises Refusal: bad request, naming the parameter.
    :raises JSONError: when the items cannot be read.
    """
    items = [_listed(item, answer, at) for at, item in enumerate(jsontext.loads(input))]
    if _order(order) == "desc":
        items.reverse()
    if after:
        items = items[_position(items, after) + 1 :]
    most = _limit(limit)
    shown = items[:most]
    return jsontext.dumps(
        {
            "object": "list",
            "data": shown,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
            "has_more": len(items) > most,
        }
    )


def _order(order: str) -> str:
    if order not in ("", "asc", "desc"):
        raise bad_request("'order' is asc or desc.", param="order")
    return order or "desc"


def _limit(limit: str) -> int:
    if not limit:
        return _LISTED
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= MOST_LISTED:
        raise bad_request(f"'limit' is a number from 1 to {MOST_LISTED}.", param="limit")
    return int(limit)


def _position(items: Sequence[Item], id: str) -> int:
    for position, item in enumerate(items):
        if item["id"] == id:
            return position
    raise bad_request("'after' is the id of none of these items.", param="after")


def _listed(item: Any, answer: str, position: int) -> Item:
    """*item* as it is listed: with an id, which is the same each time, and its content as parts."""
    told: Item = dict(item) if isinstance(item, dict) else {}
    kind = told.setdefault("type", "message" if "role" in told else "item_reference")
    if kind == "message":
        content = told.get("content")
        if isinstance(content, str):
            of = "output_text" if told.get("role") == "assistant" else "input_text"
            told["content"] = [{"type": of, "text": content}]
        told.setdefault("status", "completed")
    if not isinstance(told.get("id"), str) or not told["id"]:
        told["id"] = f"{_PREFIXES.get(str(kind), 'item')}_{answer.removeprefix('resp_')}_{position}"
    return told
