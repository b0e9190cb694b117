"""What the lists of models of the several OpenAI-compatible servers tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.openai_models import read_models

OPENROUTER = {
    "id": "maker/thinker",
    "canonical_slug": "maker/thinker-1",
    "created": 1760000000,
    "context_length": 1000000,
    "architecture": {
        "modality": "text+image->text",
        "input_modalities": ["image", "text", "file"],
        "output_modalities": ["text"],
        "tokenizer": "Other",
    },
    "top_provider": {"context_length": 200000, "max_completion_tokens": 65536, "is_moderated": False},
    "supported_parameters": ["max_tokens", "reasoning", "include_reasoning", "tools", "tool_choice"],
    "reasoning": {"mandatory": False, "supported_efforts": ["high", "medium", "low", "none"]},
}
XAI = {
    "id": "grok-4.5",
    "created": 1780000000,
    "object": "model",
    "owned_by": "xai",
    "aliases": ["grok-latest"],
    "context_length": 500000,
    "prompt_text_token_price": 20000,
    "prompt_image_token_price": 20000,
}
VLLM = {"id": "org/m", "object": "model", "owned_by": "vllm", "root": "org/m", "max_model_len": 40960}
LLAMA_CPP = {
    "id": "m.gguf",
    "owned_by": "llamacpp",
    "meta": {"n_vocab": 128256, "n_ctx_train": 131072, "n_embd": 4096, "n_params": 8030261312},
}
LM_STUDIO = {"id": "m", "type": "vlm", "max_context_length": 32768, "capabilities": ["tool_use"]}
MISTRAL = {
    "id": "m",
    "max_context_length": 131072,
    "capabilities": {"completion_chat": True, "function_calling": False, "vision": True},
}


def read(*entries: Any) -> list[Model]:
    return list(read_models("It", json.dumps({"object": "list", "data": entries}).encode()))


def test_openrouter() -> None:
    (model,) = read(OPENROUTER)
    assert model == Model(
        "maker/thinker",
        created=1760000000,
        context_length=1000000,
        efforts=("none", "low", "medium", "high"),
        inputs=("image", "text", "file"),
        outputs=("text",),
        parameters=("max_tokens", "reasoning", "include_reasoning", "tools", "tool_choice"),
        thinks=True,
        calls_tools=True,
    )
    assert model.capabilities == ("completion", "tools", "vision", "thinking")


def test_openrouter_of_a_model_that_can_do_little() -> None:
    (model,) = read({"id": "a/b", "supported_parameters": ["max_tokens"], "context_length": None})
    assert (model.thinks, model.calls_tools, model.context_length) == (False, False, None)
    assert model.capabilities == ("completion",)


def test_that_a_model_takes_reasoning_says_that_it_thinks() -> None:
    (model,) = read({"id": "a/b", "supported_parameters": ["reasoning"]})
    assert (model.thinks, model.efforts) == (True, ())


def test_the_window_of_the_provider_where_the_models_is_not_told() -> None:
    (model,) = read({"id": "a/b", "context_length": None, "top_provider": {"context_length": 8192}})
    assert model.context_length == 8192


@pytest.mark.parametrize(
    ("entry", "window", "capabilities"),
    [
        (XAI, 500000, ("completion", "tools", "vision")),
        ({**XAI, "prompt_image_token_price": 0}, 500000, ("completion", "tools")),
        (VLLM, 40960, ("completion", "tools")),
        (LLAMA_CPP, 131072, ("completion", "tools")),
        ({**LLAMA_CPP, "meta": {"n_ctx_train": 131072, "n_ctx": 8192}}, 8192, ("completion", "tools")),
        (LM_STUDIO, 32768, ("completion", "tools", "vision")),
        ({"id": "m", "type": "embeddings"}, None, ("embedding",)),
        (MISTRAL, 131072, ("completion", "vision")),
        ({"id": "m", "context_window": 16384}, 16384, ("completion", "tools")),
        ({"id": "m", "object": "model", "owned_by": "library"}, None, ("completion", "tools")),
    ],
)
def test_other_servers(entry: Any, window: int | None, capabilities: Any) -> None:
    (model,) = read(entry)
    assert (model.context_length, model.capabilities) == (window, capabilities)


def test_what_a_list_of_words_lacks_is_not_known() -> None:
    (model,) = read({"id": "m", "capabilities": ["completion", "multimodal"]})
    assert model.calls_tools is None
    assert model.inputs == ("text", "image")


def test_models_that_give_no_text_come_last() -> None:
    embedding = {
        "id": "e",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["embeddings"]},
    }
    listed = read(embedding, {"id": "a"}, {"id": "b"})
    assert [model.id for model in listed] == ["a", "b", "e"]
    assert listed[-1].capabilities == ("embedding",)


def test_entries_without_a_name_are_passed_over() -> None:
    assert [model.id for model in read({"id": ""}, {"id": 5}, {}, {"id": "m"})] == ["m"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":null}', b'{"data":["m"]}', b'{"data":5}'])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_models("It", body)
    assert caught.value.kind is Kind.UPSTREAM_FAILED
    assert caught.value.message.startswith("It ")


FIELDS = [*OPENROUTER, *XAI, *VLLM, *LLAMA_CPP, *LM_STUDIO, "context_window"]
INNER = ["input_modalities", "output_modalities", "supported_efforts", "n_ctx", "vision", "tools"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_strange_details_cost_no_model(details: dict[str, Any]) -> None:
    (model,) = read({**details, "id": "m"})
    assert model.id == "m"
    assert model.context_length is None or model.context_length > 0
    assert all(isinstance(word, str) for word in (*model.inputs, *model.efforts, *model.parameters))
    assert set(model.capabilities) <= {"completion", "tools", "vision", "thinking", "embedding"}


@pytest.mark.parametrize(
    ("model", "capabilities"),
    [
        (Model("m"), ("completion", "tools")),
        (Model("m", efforts=("low",)), ("completion", "tools", "thinking")),
        (Model("m", efforts=("low",), thinks=False), ("completion", "tools")),
        (Model("m", inputs=("text", "image")), ("completion", "tools", "vision")),
        (Model("m", calls_tools=False), ("completion",)),
        (Model("m", outputs=("embeddings",), inputs=("text", "image")), ("embedding",)),
        (Model("m", outputs=("text", "embeddings")), ("completion", "tools", "embedding")),
    ],
)
def test_capabilities(model: Model, capabilities: Any) -> None:
    assert model.capabilities == capabilities
