"""How a client of each dialect asks, and what it may be told: an independent reader of every byte of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from tests.security.anthropic_verdicts import OVERLOADED, check_message, check_refusal, is_clean_stream
from tests.security.responses_verdicts import check_response, is_clean

CLEAN = "clean"
"""A complete answer, as if nothing had happened."""
IN_BAND = "in band"
"""A stream that has begun, and ends with an error."""

Verdict = int | str
"""The status of a refusal, or `CLEAN`, or `IN_BAND`."""


@attrs.frozen
class Asking:
    """How a client of one dialect asks."""

    path: str
    prompt: dict[str, Any]

    def request(self, model: str, stream: bool, key: str = "client-key", **more: Any) -> bytes:
        """A whole request."""
        body = json.dumps({"model": model, "stream": stream, **self.prompt, **more}).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


_MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
ASKING = {
    "openai-chat": Asking("/v1/chat/completions", _MESSAGES),
    "openai-completions": Asking("/v1/completions", {"prompt": "Hello"}),
    "openai-responses": Asking("/v1/responses", {"input": "Hello"}),
    "ollama-chat": Asking("/api/chat", _MESSAGES),
    "ollama-generate": Asking("/api/generate", {"prompt": "Hello"}),
    "anthropic": Asking("/v1/messages", {"max_tokens": 1000, **_MESSAGES}),
}
"""By the name of the dialect."""


class Listener(Protocol):
    """A client that gathers one answer.

    :param spoken: is called once when *word* has come.
    """

    transport: Any

    def __init__(self, word: bytes = b"", spoken: Callable[[], object] = lambda: None) -> None:
        self.received = bytearray()
        self.answered: Deferred[None] = Deferred()
        """Fires when there may be a whole answer, or when the connection is closed."""
        self.lost: Deferred[None] = Deferred()
        self._word = word
        self._spoken = spoken

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._word and self._word in self.received:
            self._word = b""
            self._spoken()
        if not self.answered.called and self._may_be_whole():
            self.answered.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.answered.called:
            self.answered.callback(None)
        self.lost.callback(None)

    def _may_be_whole(self) -> bool:
        chunked = b"\r\ntransfer-encoding: chunked\r\n" in self.received[:2000].lower()
        return self.received.endswith(b"0\r\n\r\n") if chunked else told(bytes(self.received)) is not None


@attrs.frozen
class Told:
    """An answer, once all of it has come."""

    status: int
    fields: dict[str, str]
    body: bytes
    chunked: bool


def told(received: bytes) -> Told | None:
    """The answer in *received*; None while it is not complete.

    Fails for what is no HTTP, and for bytes behind the answer.
    """
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("ascii").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) [ -~]+", first)
    assert match is not None, first
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon
        assert name.lower() not in fields, f"{name} twice"
        fields[name.lower()] = value
    if fields.get("transfer-encoding") == "chunked":
        body = _dechunked(rest)
        return None if body is None else Told(int(match[1]), fields, body, chunked=True)
    length = int(fields["content-length"])
    assert len(rest) <= length, "bytes behind the answer"
    return Told(int(match[1]), fields, rest, chunked=False) if len(rest) == length else None


def _dechunked(data: bytes) -> bytes | None:
    pieces: list[bytes] = []
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            return None
        size = int(line, 16)
        if len(data) < size + 2:
            return None
        assert data[size : size + 2] == b"\r\n", "a chunk's end"
        if size == 0:
            assert data == b"\r\n", "bytes behind the answer"
            return b"".join(pieces)
        pieces.append(data[:size])
        data = data[size + 2 :]


def verdict(answer: Told, dialect: str, stream: bool) -> Verdict:
    """What *answer* is to a client of *dialect*. Fails unless every byte of it is right."""
    ollama = dialect.startswith("ollama")
    if answer.status != 200:
        assert 400 <= answer.status < 600
        assert answer.fields["content-type"] == "application/json"
        assert len(answer.body) <= 4096
        if dialect == "anthropic":
            check_refusal(_json(answer.body), answer.status, answer.fields["request-id"])
        else:
            _check_error(_json(answer.body), ollama)
        if answer.status == 429:
            assert re.fullmatch("[1-9][0-9]{0,6}", answer.fields["retry-after"]), answer.fields
        return 503 if answer.status == OVERLOADED else answer.status
    if not stream:
        assert answer.fields["content-type"].startswith("application/json")
        body = _json(answer.body)
        if dialect == "openai-responses":
            check_response(body)
            return CLEAN
        if dialect == "anthropic":
            check_message(body)
            return CLEAN
        assert "error" not in body
        _check_whole(body, ollama)
        return CLEAN
    if dialect == "openai-responses":
        return CLEAN if is_clean(_named_records(answer)) else IN_BAND
    if dialect == "anthropic":
        return CLEAN if is_clean_stream(_named_records(answer)) else IN_BAND
    return _ndjson_verdict(answer) if ollama else _sse_verdict(answer)


def _check_error(body: Any, ollama: bool) -> None:
    if ollama:
        assert isinstance(body["error"], str)
        return
    error = body["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)


def _check_whole(body: Any, ollama: bool) -> None:
    if ollama:
        assert body["done"] is True
        return
    assert isinstance(body["id"], str)
    assert isinstance(body["created"], int)
    assert isinstance(body["model"], str)
    assert isinstance(body.get("usage") or {}, dict)
    assert body["choices"]
    for place, choice in enumerate(body["choices"]):
        assert choice["index"] == place
        assert isinstance(choice["finish_reason"], str)
        if "message" in choice:
            assert choice["message"]["role"] == "assistant"
            assert isinstance(choice["message"]["content"], str | None)
            for call in choice["message"].get("tool_calls") or ():
                assert isinstance(call["id"], str)
        else:
            assert isinstance(choice["text"], str)


def _sse_verdict(answer: Told) -> Verdict:
    assert answer.chunked
    assert answer.fields["content-type"].startswith("text/event-stream")
    *blocks, rest = answer.body.split(b"\n\n")
    assert rest == b"", "half a record at the end"
    data = []
    for block in blocks:
        assert b"\n" not in block, "a record of several lines"
        assert b"\r" not in block
        if not block.startswith(b":"):
            assert block.startswith(b"data: "), block[:80]
            data.append(block[6:])
    assert data[-1] == b"[DONE]"
    records = [_json(each) for each in data[:-1]]
    reasons = [choice["finish_reason"] for record in records for choice in record.get("choices", ())]
    if "error" in records[-1]:
        _check_error(records[-1], ollama=False)
        assert not any(reasons), "an answer that failed has no reason to have finished"
        records.pop()
        verdict = IN_BAND
    else:
        assert sum(reason is not None for reason in reasons) == 1
        verdict = CLEAN
    assert not any("error" in record for record in records)
    for record in records:
        _check_chunk(record)
    assert len({record["id"] for record in records}) == 1
    return verdict


def _named_records(answer: Told) -> list[Any]:
    """The records of a stream in which each is named by its type."""
    assert answer.chunked
    assert answer.fields["content-type"].startswith("text/event-stream")
    *blocks, rest = answer.body.split(b"\n\n")
    assert rest == b"", "half a record at the end"
    records = []
    for block in blocks:
        if not block.startswith(b":"):
            name, data = block.split(b"\n")
            assert data.startswith(b"data: "), block[:80]
            records.append(_json(data[6:]))
            assert name == b"event: " + records[-1]["type"].encode()
    return records


def _check_chunk(record: Any) -> None:
    assert isinstance(record["id"], str)
    assert isinstance(record["created"], int)
    assert isinstance(record["model"], str)
    for choice in record["choices"]:
        assert choice["index"] == 0
        text = choice["delta"].get("content") if "delta" in choice else choice["text"]
        assert isinstance(text, str | None)


def _ndjson_verdict(answer: Told) -> Verdict:
    assert answer.chunked
    *lines, rest = answer.body.split(b"\n")
    assert rest == b"", "half a record at the end"
    records = [_json(line) for line in lines]
    last = records.pop()
    assert not any("error" in record or record["done"] for record in records)
    if "error" in last:
        _check_error(last, ollama=True)
        assert not last.get("done")
        return IN_BAND
    assert last["done"] is True
    return CLEAN


def _json(data: bytes) -> Any:
    """Strictly: UTF-8, no NaN, no half of a surrogate pair, nothing that is too deep for Python's own reader."""
    text = data.decode()
    value = json.loads(text, parse_constant=_refuse)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(constant)


def check_silence(received: bytes, words: Iterable[str]) -> None:
    """Fails when one of *words* is told to the client in any form a client would read."""
    for word in words:
        assert word.encode() not in received, word
        assert json.dumps(word).encode()[1:-1] not in received, word
