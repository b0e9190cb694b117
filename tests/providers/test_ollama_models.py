"""What an Ollama's lists say of its models is kept as it says it, as far as clients know its form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.errors import Refusal
from chatmock.providers.ollama_models import read_loaded, read_tags
from tests.upstreams.ollama_server import Tag


def facts(**entry: Any) -> Any:
    body = json.dumps({"models": [{"name": "m", **entry}]}).encode()
    return read_tags(body, "X")[0].facts


def test_a_whole_entry() -> None:
    entry = Tag("m:latest").entry()
    listed = read_tags(json.dumps({"models": [entry]}).encode(), "X")
    named = {key: value for key, value in entry.items() if key not in ("name", "model")}
    assert [model.facts for model in listed] == [named, named]
    cloud = {"remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443", "size": 384}
    assert facts(**cloud) == cloud


@pytest.mark.parametrize(
    "odd",
    [
        {"size": -1},
        {"size": True},
        {"size": 2**70},
        {"size": "5"},
        {"digest": "sha256:ab"},
        {"digest": 5},
        {"modified_at": "yesterday"},
        {"modified_at": 5},
        {"remote_host": "x" * 501},
        {"capabilities": ["a", 5]},
        {"capabilities": []},
        {"capabilities": ["a"] * 51},
        {"details": []},
        {"other": {"deep": [1]}},
    ],
)
def test_what_has_another_form_is_left_out(odd: dict[str, Any]) -> None:
    assert facts(**odd) == {}


def test_details() -> None:
    odd = {"family": 5, "format": "gguf", "families": "x", "context_length": -1, "more": 1}
    assert facts(details=odd) == {"details": {"format": "gguf"}}
    assert facts(details={"families": None}) == {"details": {"families": None}}


def test_models_in_memory() -> None:
    told = {
        "models": [
            {"model": "m", "expires_at": "2026-01-01T00:00:00.123456789Z", "size_vram": 5},
            {"size": 1},
        ]
    }
    memory = {"expires_at": "2026-01-01T00:00:00.123456789Z", "size_vram": 5}
    assert read_loaded(json.dumps(told).encode(), "X") == {"m": memory}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models":null}', b'{"models":["m"]}'])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(Refusal, match="X sent a list of loaded models that cannot be read"):
        read_loaded(body, "X")
