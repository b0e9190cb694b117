"""The description as a judge: whether an answer is one that it tells of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from chatmock.openapi import Facts, document
from tests.conftest import Daemon
from tests.test_admitting import Answer, http

FACTS = Facts(
    key_needed=True,
    providers=("demo",),
    accounts=("chatgpt", "demo"),
    has_chats=True,
    max_messages=64,
    max_message_chars=16384,
)


def described(facts: Facts = FACTS) -> Any:
    """The document for *facts*."""
    return json.loads(document(facts))


def validator(doc: Any, schema: Any) -> Draft202012Validator:
    """A judge of *schema* in *doc*."""
    return Draft202012Validator({**schema, "components": doc["components"]}, format_checker=FormatChecker())


def resolved(doc: Any, value: Any) -> Any:
    """*value*, or what it refers to."""
    while "$ref" in value:
        name = value["$ref"]
        value = doc
        for key in name.removeprefix("#/").split("/"):
            value = value[key]
    return value


def operations(doc: Any) -> Iterator[tuple[str, str, Any]]:
    """Path, method in upper case, and operation."""
    for path, methods in doc["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def check(doc: Any, method: str, path: str, answer: Answer) -> None:
    """Fail unless *answer* is one that the operation may give."""
    operation = doc["paths"][path][method.lower()]
    response = resolved(doc, operation["responses"][str(answer.status)])
    for name, shared in response["headers"].items():
        header = resolved(doc, shared)
        told = answer.headers.get(name.lower())
        assert told is not None or not header.get("required"), name
        if told is not None:
            value = int(told) if header["schema"].get("type") == "integer" else told
            validator(doc, header["schema"]).validate(value)
    for name in answer.headers:
        assert not name.startswith("x-chatmock-") or name in {each.lower() for each in response["headers"]}
    type = answer.headers["content-type"].partition(";")[0]
    content = response["content"][type]
    if type == "application/json":
        validator(doc, content["schema"]).validate(json.loads(answer.body))


async def checked(
    daemon: Daemon,
    method: str,
    path: str,
    status: int = 200,
    body: Any = None,
    query: str = "",
    name: str = "",
    **headers: str,
) -> Answer:
    """The answer to a request, which must have this *status* and be one that the daemon itself describes."""
    told = await http(daemon, "GET", "/openapi.json", authorization="Bearer s3cret")
    assert told.status == 200, told.body
    answer = await http(daemon, method, path.replace("{name}", name) + query, body, **headers)
    assert answer.status == status, answer.body
    check(json.loads(told.body), method, path, answer)
    return answer
