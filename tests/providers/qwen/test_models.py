"""Qwen's catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.qwen.models import read_models


def item(id: Any, *, active: Any = True, meta: Any = None, **more: Any) -> dict[str, Any]:
    """An entry as the site writes it."""
    info = {"id": id, "is_active": active, "is_visitor_active": False, "meta": meta or {}}
    return {"id": id, "name": "Qwen", "object": "model", "owned_by": "qwen", "info": info, **more}


def meta(window: Any = 1_000_000, **capabilities: Any) -> dict[str, Any]:
    return {
        "capabilities": capabilities,
        "abilities": {"vision": 1},
        "max_context_length": window,
        "chat_type": ["t2t"],
    }


def new(*entries: Any) -> bytes:
    return json.dumps({"success": True, "request_id": "r", "data": {"data": entries}}).encode()


def older(*entries: Any) -> bytes:
    return json.dumps({"data": entries}).encode()


@pytest.mark.parametrize("body", [new, older])
def test_both_shapes(body: Any) -> None:
    models = read_models(
        body(
            item("qwen3.7-plus", meta=meta(vision=True, thinking=True, search=True)),
            item("qwen3.7-max", meta=meta(vision=False, thinking=1)),
            item("qwen3.5-omni-plus", meta=meta(262_144, vision=1, thinking=0)),
        )
    )
    efforts = ("none", "low", "medium", "high")
    assert models == [
        Model("qwen3.7-plus", None, "qwen", 1_000_000, efforts=efforts, inputs=("text", "image")),
        Model("qwen3.7-max", None, "qwen", 1_000_000, efforts=efforts, inputs=("text",)),
        Model("qwen3.5-omni-plus", None, "qwen", 262_144, inputs=("text", "image")),
    ]


def test_inactive_repeated_and_unreadable_entries_are_left_out() -> None:
    entries = [
        item("off", active=False),
        item("off too", active=0),
        item("a"),
        item("a", meta=meta()),
        item(""),
        item(7),
    ]
    assert [model.id for model in read_models(new(*entries, "x", None, {}, item("b", active=None)))] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    "info", [None, "x", {}, {"meta": 1}, {"meta": {"capabilities": [], "max_context_length": "1M"}}]
)
def test_an_entry_that_tells_little(info: Any) -> None:
    assert read_models(older({"id": "a", "owned_by": None, "info": info})) == [Model("a")]


@pytest.mark.parametrize("window", [None, 0, -1, True, "1000", 1.5])
def test_a_window_that_is_none(window: Any) -> None:
    assert read_models(new(item("a", meta=meta(window))))[0].context_length is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": {}}', b'{"data": 1}', b"oops", b'{"success":true}']
)
def test_what_is_no_catalogue(body: bytes) -> None:
    with pytest.raises(Refusal, match=r"Qwen sent a list of models that cannot be read") as caught:
        read_models(body)
    assert caught.value.kind is Kind.UPSTREAM_FAILED


@pytest.mark.parametrize("entries", [[], [item("a", active=False)], [1]])
def test_a_catalogue_without_models(entries: list[Any]) -> None:
    with pytest.raises(Refusal, match="with none to use"):
        read_models(new(*entries))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            b'{"success":false,"data":{"code":"unauthorized","details":"Token has expired"}}',
            "invalid_api_key",
        ),
        (
            b'{"ret":["FAIL_SYS_USER_VALIDATE"],"data":{"url":"https://x/_____tmd_____/punish"}}',
            "upstream_captcha",
        ),
        (b"<html>aliyun_waf_aa</html>", "upstream_captcha"),
    ],
)
def test_errors_instead_of_a_catalogue(body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_models(body)
    assert caught.value.code == code


@pytest.mark.parametrize("id", ["a b", "a\n", "\ta", "a\u2028b", "a\x1b[31m", "a\u00a0b", "a\u202eb"])
def test_an_id_that_cannot_be_shown_is_left_out(id: str) -> None:
    assert [model.id for model in read_models(new(item(id), item("a-b_c.d:e/f")))] == ["a-b_c.d:e/f"]


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        (["t2t", "search"], True),
        (["t2i"], False),
        (["t2t_fast"], False),
        ("t2t", True),
        ("t2v", False),
        ([], True),
        (None, True),
        ({}, True),
    ],
)
def test_models_that_answer_no_text_are_left_out(kinds: Any, kept: bool) -> None:
    models = read_models(new(item("other"), item("a", meta={"chat_type": kinds})))
    assert [model.id for model in models] == ["other", *(["a"] if kept else [])]


def test_what_a_model_can_do_is_told_in_two_places() -> None:
    def told(**meta: Any) -> tuple[tuple[str, ...], bool]:
        (model,) = read_models(new(item("a", meta=meta)))
        return model.inputs, bool(model.efforts)

    assert told(abilities={"vision": 1, "thinking": 4}) == (("text", "image"), True)
    assert told(abilities={"vision": 0, "thinking": 0}) == (("text",), False)
    assert told(capabilities={"vision": False}, abilities={"vision": 1}) == (("text",), False)
    assert told() == ((), False)


@pytest.mark.parametrize(
    ("tokens", "most"), [(81_920, 81_920), (0, None), (True, None), ("1", None), (None, None)]
)
def test_how_much_a_model_can_think(tokens: Any, most: int | None) -> None:
    (model,) = read_models(new(item("a", meta={"max_thinking_generation_length": tokens})))
    assert model.most_thinking == most
