"""The document is OpenAPI: whole, without loose ends, and made anew only when something has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator

from chatmock.dialects import ollama_chat
from chatmock.dialects.anthropic_parse import CountBody
from chatmock.dialects.ollama_embed import EmbedBody, OlderBody
from chatmock.dialects.ollama_generate import GenerateBody
from chatmock.dialects.openai_completions import CompletionBody
from chatmock.dialects.openai_embeddings import EmbeddingBody
from chatmock.dialects.openai_parse import ChatBody, MessageBody
from chatmock.dialects.responses_parse import ResponsesBody
from chatmock.errors import Kind
from chatmock.openapi import document
from tests.openapi.described import FACTS, described, operations, resolved, validator

DOC = described()


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in *value*."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def test_every_schema_is_one() -> None:
    for schema in DOC["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for each in walk({key: DOC[key] for key in ("paths",)}):
        if "schema" in each:
            Draft202012Validator.check_schema(each["schema"])


def test_every_reference_leads_somewhere_and_everything_shared_is_referred_to() -> None:
    references = {each["$ref"] for each in walk(DOC) if "$ref" in each}
    for reference in references:
        assert resolved(DOC, {"$ref": reference}), reference
    shared = {
        f"#/components/{kind}/{name}"
        for kind, named in DOC["components"].items()
        if kind != "securitySchemes"
        for name in named
    }
    assert shared == references


def test_the_frame() -> None:
    assert DOC["openapi"] == "3.1.0"
    assert set(DOC) == {"openapi", "info", "servers", "paths", "components"}
    ids = [operation["operationId"] for _, _, operation in operations(DOC)]
    assert len(set(ids)) == len(ids)
    links = [each["operationId"] for each in walk(DOC) if set(each) == {"operationId", "parameters"}]
    assert set(links) < set(ids)


@pytest.mark.parametrize(("path", "method", "operation"), [*operations(DOC)])
def test_an_operation(path: str, method: str, operation: Any) -> None:
    named = {f"{{{part.strip('{}')}}}" for part in path.split("/") if part.startswith("{")}
    parameters = [resolved(DOC, each) for each in operation.get("parameters", ())]
    assert {f"{{{each['name']}}}" for each in parameters if each["in"] == "path"} == named
    assert all(each["required"] for each in parameters if each["in"] == "path")
    done = "200" in operation["responses"]
    assert (method == "POST" and done and not path.endswith(("/heal", "/signout"))) == (
        "requestBody" in operation
    )
    for status, response in operation["responses"].items():
        told = resolved(DOC, response)
        assert told["description"], status
        assert told["content"], status
    for scheme in operation["security"]:
        assert set(scheme) < set(DOC["components"]["securitySchemes"])


@pytest.mark.parametrize(("path", "method", "operation"), [*operations(DOC)])
def test_its_examples_fit(path: str, method: str, operation: Any) -> None:
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            validator(DOC, content["schema"]).validate(example["value"])


def test_every_kind_of_refusal_has_its_status() -> None:
    told = {
        status
        for _, _, operation in operations(DOC)
        for status, response in operation["responses"].items()
        if "Refused" in response.get("$ref", "")
    }
    # Nobody reads 499; Anthropic has a status of its own for what is overloaded.
    assert told - {"529"} == {str(kind.status) for kind in Kind} - {"499"}


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        ("ChatRequest", ChatBody),
        ("CompletionRequest", CompletionBody),
        ("ResponseRequest", ResponsesBody),
        ("AnthropicRequest", CountBody),
        ("AnthropicCountRequest", CountBody),
        ("OllamaChatRequest", ollama_chat.ChatBody),
        ("OllamaTextRequest", GenerateBody),
        ("EmbeddingRequest", EmbeddingBody),
        ("OllamaEmbedRequest", EmbedBody),
        ("OllamaPrompt", OlderBody),
    ],
)
def test_every_field_that_is_read_is_described(schema: str, shape: Any) -> None:
    assert set(shape.__struct_fields__) <= set(DOC["components"]["schemas"][schema]["properties"])


def test_every_field_of_a_message_is_described() -> None:
    for form in DOC["components"]["schemas"]["Message"]["anyOf"]:
        assert set(form["properties"]) == set(MessageBody.__struct_fields__)


def test_who_needs_a_key() -> None:
    needed, free = DOC, described(attrs.evolve(FACTS, key_needed=False))
    for path, method, operation in operations(needed):
        other = free["paths"][path][method.lower()]["security"]
        if path in ("/", "/health", "/healthz", "/ca", "/ca.pem"):
            assert operation["security"] == other == []
            assert "401" not in operation["responses"]
        else:
            assert operation["security"] == [{"bearer": []}, {"x-api-key": []}, {"basic": []}]
            assert other == [{}, *operation["security"]]
            assert "401" in operation["responses"]


def test_the_chat_is_asked_for_where_there_are_chats() -> None:
    without = described(attrs.evolve(FACTS, has_chats=False))
    for doc, expected in ((DOC, {"provider", "chat_id"}), (without, {"provider"})):
        for path in ("/v1/chat/completions", "/v1/completions"):
            parameters = [resolved(doc, each) for each in doc["paths"][path]["post"]["parameters"]]
            assert {each["name"] for each in parameters} == expected
    assert "chat_id" not in without["components"]["parameters"]


def test_limits_and_names_are_those_of_the_daemon() -> None:
    doc = described(attrs.evolve(FACTS, max_messages=3, max_message_chars=7, providers=("a", "b")))
    judge = validator(doc, {"$ref": "#/components/schemas/ChatRequest"})
    hello = {"role": "user", "content": "Hi"}
    assert judge.is_valid({"messages": [hello] * 3})
    assert not judge.is_valid({"messages": [hello] * 4})
    text = validator(doc, {"$ref": "#/components/schemas/CompletionRequest"})
    assert text.is_valid({"prompt": "1234567"})
    assert not text.is_valid({"prompt": "12345678"})
    assert doc["components"]["parameters"]["provider"]["schema"]["enum"] == ["a", "b", ""]


def test_it_is_made_once() -> None:
    assert document(FACTS) is document(attrs.evolve(FACTS))
    assert document(FACTS) != document(attrs.evolve(FACTS, max_messages=1))
