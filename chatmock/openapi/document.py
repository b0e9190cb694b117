"""The OpenAPI 3.1 document, put together for one daemon as it is now."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import attrs

from chatmock import __version__, jsontext
from chatmock.openapi.answers import answer_schemas
from chatmock.openapi.anthropic_operations import paging_parameters
from chatmock.openapi.anthropic_schemas import (
    anthropic_answer_schemas,
    anthropic_error_schemas,
    anthropic_request_schemas,
)
from chatmock.openapi.embedding_schemas import embedding_schemas
from chatmock.openapi.ollama_schemas import ollama_answer_schemas, ollama_request_schemas
from chatmock.openapi.operation import Operation
from chatmock.openapi.operations import OPERATIONS
from chatmock.openapi.refusals import (
    ALWAYS,
    GUARDED,
    error_schema,
    header_refs,
    headers,
    notes,
    ollama_error_schema,
    refusals,
    responses,
)
from chatmock.openapi.requests import request_schemas
from chatmock.openapi.responses_schemas import responses_parameters, responses_schemas
from chatmock.openapi.schemas import STRING, ref

_WORDS: Final = (
    "Answers OpenAI clients from the owner's own AI accounts. The JSON of requests is read strictly: an object has no two"
    f" equal keys, an integer no more than {jsontext.MOST_DIGITS} digits, and nothing is nested more than"
    f" {jsontext.MOST_DEPTH} levels deep."
)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password; any user name."},
}


@attrs.frozen
class Facts:
    """What differs between daemons, and may change while one runs."""

    key_needed: bool
    """Whether clients need a key."""
    providers: tuple[str, ...]
    """That may be asked now."""
    accounts: tuple[str, ...]
    """All that are set up."""
    has_chats: bool
    """Whether one of the providers keeps chats that a request may go on in."""
    max_messages: int
    """Of a request, as the setting has it."""
    max_message_chars: int
    """Of one message, as the setting has it."""


@lru_cache(maxsize=4)
def document(facts: Facts) -> bytes:
    """The document as JSON, made once for the same *facts*."""
    return jsontext.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "chatmock",
                "version": __version__,
                "description": _WORDS,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "paths": _paths(facts),
            "components": {
                "schemas": {
                    "Error": error_schema(),
                    "OllamaError": ollama_error_schema(),
                    **request_schemas(facts.max_messages, facts.max_message_chars),
                    **answer_schemas(),
                    **embedding_schemas(),
                    **responses_schemas(),
                    **ollama_request_schemas(facts.max_messages, facts.max_message_chars),
                    **ollama_answer_schemas(),
                    **anthropic_request_schemas(facts.max_messages, facts.max_message_chars),
                    **anthropic_answer_schemas(),
                    **anthropic_error_schemas(),
                },
                "parameters": _parameters(facts),
                "headers": headers(),
                "responses": responses(
                    (status, operation.error) for operation in OPERATIONS for status in _refused(operation)
                ),
                "securitySchemes": _SECURITY,
            },
        }
    )


def _paths(facts: Facts) -> dict[str, Any]:
    known = _parameters(facts)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, facts, known)
    return paths


def _operation(operation: Operation, facts: Facts, known: dict[str, Any]) -> dict[str, Any]:
    done = {} if operation.never_done else {"200": _answer(operation)}
    answers = {**done, **refusals(_refused(operation), operation.error)}
    if operation.unready:
        answers["503"] = {**_answer(operation), "description": "The same, while no provider is usable."}
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "security": _security(operation, facts),
        "responses": answers,
    }
    parameters = [name for name in operation.parameters if name in known]
    if parameters:
        told["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in parameters]
    if operation.body is not None:
        examples = {name: {"value": value} for name, value in operation.examples.items()}
        content = {"schema": ref(operation.body), "examples": examples}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _refused(operation: Operation) -> set[int]:
    """The statuses that it may be refused with."""
    return {*ALWAYS, *operation.refused, *(() if operation.is_open else GUARDED)}


def _answer(operation: Operation) -> dict[str, Any]:
    content = dict(operation.other_types)
    if operation.answers is not None:
        content = {"application/json": {"schema": ref(operation.answers)}, **content}
    answer: dict[str, Any] = {
        "description": "The answer.",
        "headers": notes() if operation.asks_model else header_refs(*operation.told),
        "content": content,
    }
    return {**answer, "links": operation.links} if operation.links else answer


def _security(operation: Operation, facts: Facts) -> list[dict[str, list[str]]]:
    if operation.is_open:
        return []
    needed: list[dict[str, list[str]]] = [{name: []} for name in _SECURITY]
    return needed if facts.key_needed else [{}, *needed]


def _parameters(facts: Facts) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "provider": {
            "name": "provider",
            "in": "query",
            "allowEmptyValue": True,
            "description": "Who is to answer, whatever the model's name says; empty is as good as absent.",
            "schema": {"enum": [*facts.providers, ""]},
        },
        "model": {"name": "name", "in": "path", "required": True, "schema": STRING},
        **responses_parameters(),
        **paging_parameters(),
        "digest": {"name": "digest", "in": "path", "required": True, "schema": STRING},
        "account": {"name": "name", "in": "path", "required": True, "schema": {"enum": [*facts.accounts]}},
    }
    if facts.has_chats:
        parameters["chat_id"] = {
            "name": "chat_id",
            "in": "query",
            "allowEmptyValue": True,
            "description": "The upstream's own chat to go on in, where the provider keeps some.",
            "schema": {"anyOf": [{"type": "string", "format": "uuid"}, {"const": ""}]},
        }
    return parameters
