"""What clients are told of models: what is known, and no number that is not."""

from __future__ import annotations

import json
from typing import Any

from chatmock.dialects.ollama_models import (
    VERSION,
    ShownModel,
    loaded_body,
    show_body,
    tags_body,
    version_body,
)
from chatmock.model import Model

KNOWN = Model(
    "gpt-5",
    created=1_700_000_000,
    context_length=400_000,
    efforts=("low", "high"),
    inputs=("text", "image"),
)


def show(details: Model | None) -> Any:
    return json.loads(show_body(ShownModel("my-name", "chatgpt", "gpt-5", details)))


def test_the_version_is_a_number_of_three() -> None:
    assert json.loads(version_body()) == {"version": VERSION}
    assert tuple(map(int, VERSION.split("."))) >= (0, 13, 4)


def test_a_known_model() -> None:
    told = show(KNOWN)
    architecture = told["model_info"]["general.architecture"]
    assert told["model_info"][f"{architecture}.context_length"] == 400_000
    assert told["capabilities"] == ["completion", "tools", "vision", "thinking"]
    assert told["modified_at"] == "2023-11-14T22:13:20Z"
    assert told["details"]["context_length"] == 400_000
    assert (told["remote_model"], told["remote_host"]) == ("gpt-5", "chatgpt")


def test_an_unknown_one() -> None:
    told = show(None)
    assert told["capabilities"] == ["completion", "tools"]
    assert not [value for value in told["model_info"].values() if not isinstance(value, str)]
    assert not [value for value in told["details"].values() if isinstance(value, int)]
    assert told["modified_at"] == "0001-01-01T00:00:00Z"


def test_the_list() -> None:
    rows = [("gpt-5", "chatgpt", KNOWN), ("grok/gpt-5", "grok", None), ("alias", "grok", Model("real"))]
    models = json.loads(tags_body(rows))["models"]
    assert [model["name"] for model in models] == [model["model"] for model in models]
    assert [model["name"] for model in models] == ["gpt-5", "grok/gpt-5", "alias"]
    assert [model["remote_model"] for model in models] == ["gpt-5", "gpt-5", "real"]
    digests = {model["digest"] for model in models}
    assert len(digests) == 3
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)
    assert [model["size"] for model in models] == [0, 0, 0]
    assert json.loads(tags_body(rows))["models"] == models
    assert json.loads(loaded_body()) == {"models": []}


def test_an_entry_of_an_ollamas_own() -> None:
    digest = "ab" * 32
    facts = {"size": 5, "digest": digest, "details": {"family": "llama", "families": None}}
    known = Model("m", created=1_700_000_000, facts=facts)
    (entry,) = json.loads(tags_body([("x/m", "ollama", known)]))["models"]
    assert (entry["name"], entry["model"], entry["size"], entry["digest"]) == ("x/m", "x/m", 5, digest)
    assert entry["details"]["family"] == "llama"
    assert entry["details"]["quantization_level"] == ""
    assert entry["modified_at"] == "2023-11-14T22:13:20Z"
    assert "remote_host" not in entry
