"""What a client of the Responses API may be told, read independently: whole answers, and the records of streams."""

from __future__ import annotations

from typing import Any

_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}


def check_response(body: Any, status: str = "completed") -> None:
    """Fails unless *body* is an answer with this *status*."""
    assert body["object"] == "response"
    assert body["id"].startswith("resp_")
    assert isinstance(body["created_at"], int)
    assert isinstance(body["model"], str)
    assert body["status"] == status
    assert isinstance(body["usage"], dict | None)
    assert (body["error"] is None) is (status != "failed")
    assert (body["output"] != []) is (status not in ("failed", "in_progress"))
    for item in body["output"]:
        assert item["id"]
        assert item["type"] in ("message", "reasoning", "function_call")
        if item["type"] == "message":
            assert item["role"] == "assistant"
            assert all(isinstance(part["text"], str) for part in item["content"])


def is_clean(records: list[Any]) -> bool:
    """Whether the stream of *records* ends well; fails unless it is right as a whole."""
    assert [record["sequence_number"] for record in records] == list(range(len(records)))
    first, second, *content, last = records
    assert (first["type"], second["type"]) == ("response.created", "response.in_progress")
    check_response(first["response"], "in_progress")
    check_response(last["response"], _ENDS[last["type"]])
    assert last["response"]["id"] == first["response"]["id"]
    assert not any("response" in record for record in content)
    failed = last["type"] == "response.failed"
    if failed:
        error = content.pop()
        assert error["type"] == "error"
        assert error["error"]["message"] == error["message"] == last["response"]["error"]["message"]
    assert not any("error" in record for record in content)
    _check_content(content, whole=not failed)
    return not failed


def _check_content(content: list[Any], *, whole: bool) -> None:
    """Fails unless what opens closes, and each text is what its pieces were."""
    open: set[int] = set()
    pieces: dict[tuple[int, str], str] = {}
    for record in content:
        index, kind = record["output_index"], record["type"]
        if kind == "response.output_item.added":
            open.add(index)
        elif kind == "response.output_item.done":
            open.remove(index)
        assert index in open or kind == "response.output_item.done"
        place = (index, kind.rpartition(".")[0])
        if kind.endswith(".delta"):
            pieces[place] = pieces.get(place, "") + record["delta"]
        elif kind == "response.output_text.done":
            assert record["text"] == pieces[place]
    assert not (whole and open)
