"""The schemas of requests for embeddings and their readers agree on what is a request and what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.dialects import OllamaChat
from chatmock.dialects.ollama_embed import EmbedBody, OlderBody, OllamaEmbed, OllamaEmbeddings
from chatmock.dialects.openai_embeddings import MOST_INPUTS, EmbeddingBody, OpenAIEmbeddings
from tests.openapi.described import described, validator
from tests.openapi.test_requests import agree

DOC = described()
PLAIN: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    1.5,
    2.0,
    10**19,
    "",
    " ",
    "a",
    "float",
    "base64",
    "5m",
    {},
    {"a": 1},
]
NESTED: list[Any] = [[], [[]], [[1]], [["a"]], ["a", [1, 2]], [1, "a"], [[1.5]], [-1], [True], [None], [{}]]
ANY = st.sampled_from([*PLAIN, *NESTED]) | st.lists(st.sampled_from(PLAIN), max_size=3)


def compare(schema: str, form: Any, body: Any) -> None:
    agree(validator(DOC, {"$ref": f"#/components/schemas/{schema}"}), form, body)


def bodies(shape: Any) -> Any:
    fields = st.sampled_from([*shape.__struct_fields__, "other"])
    complete = {"model": "e", "input": "Hi"}
    some = st.dictionaries(fields, ANY, max_size=3)
    return some | some.map(lambda body: {**complete, **body})


@settings(max_examples=100, deadline=None)
@given(bodies(EmbeddingBody))
def test_openai(body: Any) -> None:
    compare("EmbeddingRequest", OpenAIEmbeddings(), body)


@settings(max_examples=100, deadline=None)
@given(bodies(EmbedBody))
def test_embed(body: Any) -> None:
    compare("OllamaEmbedRequest", OllamaEmbed(OllamaChat()), body)


@settings(max_examples=100, deadline=None)
@given(bodies(OlderBody))
def test_embeddings(body: Any) -> None:
    compare("OllamaPrompt", OllamaEmbeddings(OllamaChat()), body)


@pytest.mark.parametrize(
    ("schema", "form"),
    [("EmbeddingRequest", OpenAIEmbeddings()), ("OllamaEmbedRequest", OllamaEmbed(OllamaChat()))],
)
def test_how_many_inputs(schema: str, form: Any) -> None:
    for count in (1, MOST_INPUTS, MOST_INPUTS + 1):
        compare(schema, form, {"model": "e", "input": ["a"] * count})
