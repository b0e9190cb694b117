"""The list of what an answer was given to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.dialects.responses_listing import item_list
from chatmock.errors import Refusal

ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"type": "function_call", "id": "fc_9", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "42"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]},
]


def listed(order: str = "asc", limit: str = "", after: str = "") -> Any:
    return json.loads(item_list(json.dumps(ITEMS).encode(), "resp_7", order, limit, after))


def test_all_items_have_ids_that_stay() -> None:
    told = listed()
    ids = [item["id"] for item in told["data"]]
    assert ids == ["msg_7_0", "msg_7_1", "fc_9", "fco_7_3", "msg_7_4"]
    assert (told["object"], told["first_id"], told["last_id"], told["has_more"]) == (
        "list",
        "msg_7_0",
        "msg_7_4",
        False,
    )
    assert [item["id"] for item in listed("")["data"]] == ids[::-1]


def test_content_is_listed_as_parts() -> None:
    data = listed()["data"]
    assert data[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert data[1]["content"] == [{"type": "output_text", "text": "Hello."}]


def test_pages() -> None:
    first = listed(limit="2")
    assert [item["id"] for item in first["data"]] == ["msg_7_0", "msg_7_1"]
    assert first["has_more"]
    second = listed(limit="3", after=first["last_id"])
    assert [item["id"] for item in second["data"]] == ["fc_9", "fco_7_3", "msg_7_4"]
    assert not second["has_more"]
    last = listed(after="msg_7_4")
    assert (last["data"], last["first_id"], last["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"order": "up"}, "order"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "9" * 6000}, "limit"),
        ({"after": "msg_8_0"}, "after"),
    ],
)
def test_parameters_that_are_none(query: dict[str, str], param: str) -> None:
    with pytest.raises(Refusal) as caught:
        listed(**query)
    assert (caught.value.status, caught.value.param) == (400, param)
