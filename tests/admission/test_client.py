"""Who asks, and what its key allows."""

from __future__ import annotations

import pytest

from chatmock.admission.client import Client, Key, may_use, model_forbidden
from chatmock.errors import Kind


def test_a_client_is_its_key_else_its_address() -> None:
    assert Client("10.0.0.1").name == "10.0.0.1"
    assert Client("10.0.0.1", Key("laptop")).name == "laptop"


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        ((), "gpt-5", True),
        (("gpt-5",), "gpt-5", True),
        (("gpt-5",), "gpt-5-pro", False),
        (("gpt-*", "qwen*"), "qwen3-max", True),
        (("qwen*",), "openai/qwen3", False),
        (("*/qwen*",), "openai/qwen3", True),
        (("qwen*",), "Qwen3", False),
        (("*",), "anything/at:all", True),
    ],
)
def test_the_models_of_a_key(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    assert may_use(Key("laptop", models=patterns), model) is allowed
    assert may_use(None, model)


def test_the_refusal_names_the_model() -> None:
    refusal = model_forbidden("gpt-5" * 1000)
    assert refusal.kind is Kind.FORBIDDEN
    assert "gpt-5" in refusal.message
    assert len(refusal.message) < 300
