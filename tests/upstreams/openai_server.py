"""A fake upstream that speaks OpenAI chat over real HTTP, and refuses what the real ones refuse.

What it answers is set by the test: recorded bytes cut as told, or a function of the request.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.upstreams.playing_site import Asked, PlayingSite, Reply


class OpenAIServer(PlayingSite):
    """The fake.

    :param key: the API key it takes; None for any, or none.
    """

    def __init__(self, reactor: Any, key: str | None = "upstream-key", prefix: str = "/v1") -> None:
        super().__init__(reactor, prefix)
        self.key = key
        self.answer: Callable[[Asked], Reply] = lambda asked: Reply()
        self.embed: Callable[[Asked], Reply] = embedded
        """What to answer to a request for embeddings."""
        self.models: Sequence[dict[str, Any]] | None = None

    def chats(self) -> list[Asked]:
        """The chat requests so far."""
        return [asked for asked in self.asked if asked.path.endswith("/chat/completions")]

    def embeddings(self) -> list[Asked]:
        """The requests for embeddings so far."""
        return [asked for asked in self.asked if asked.path.endswith("/embeddings")]

    def reply(self, pieces: Iterable[bytes], **more: Any) -> None:
        """Answer every chat request alike."""
        fixed = Reply(list(pieces), **more)
        self.answer = lambda asked: fixed

    def reply_json(self, value: Any, status: int = 200, **more: Any) -> None:
        """Answer every chat request with a JSON body."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.reply([data], status=status, content_type=b"application/json", **more)

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*: a refusal where the real one would refuse it."""
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided: wrong.", "invalid_api_key")
        if asked.path == f"{self.prefix}/models":
            if self.models is None:
                return _error(404, "no such path", None)
            listing = json.dumps({"object": "list", "data": list(self.models)}).encode()
            return Reply([listing], content_type=b"application/json")
        if asked.path == f"{self.prefix}/embeddings":
            fault = _embedding_fault(asked)
            return self.embed(asked) if fault is None else _error(400, fault, None)
        if asked.path != f"{self.prefix}/chat/completions":
            return _error(404, f"no such path: {asked.path}", None)
        if not isinstance(asked.body, dict) or not asked.body.get("model") or not asked.body.get("messages"):
            return _error(400, "model and messages are required", None)
        if "gzip" in asked.headers.get("accept-encoding", ""):
            return _error(400, "this server would compress its answer", None)
        if asked.body.get("stream_options") and not asked.body.get("stream"):
            return _error(400, "stream_options needs stream", None)
        return self.answer(asked)


def _error(status: int, message: str, code: str | None) -> Reply:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Reply([json.dumps(body).encode()], status=status, content_type=b"application/json")


def numbers(text: Any, dimensions: int = 3) -> list[float]:
    """The vector of *text*: of its own, and exact in 32 bits."""
    return [len(str(text)) / 2**place for place in range(dimensions)]


def embedded(asked: Asked) -> Reply:
    """The vectors for *asked*, in the form it wants."""
    body = asked.body
    vectors = [numbers(text, body.get("dimensions") or 3) for text in _inputs(body["input"])]
    in_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": place, "embedding": _packed(vector) if in_base64 else vector}
        for place, vector in enumerate(vectors)
    ]
    told = {
        "object": "list",
        "data": data,
        "model": "the-embedder",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    return Reply([json.dumps(told).encode()], content_type=b"application/json")


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _inputs(given: Any) -> list[Any]:
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    return list(given)


def _embedding_fault(asked: Asked) -> str | None:
    body = asked.body
    if asked.headers.get("content-type") != "application/json" or not isinstance(body, dict):
        return "a JSON object is wanted"
    if not body.get("model") or not body.get("input"):
        return "model and input are required"
    if any(not each for each in _inputs(body["input"])) or len(_inputs(body["input"])) > 2048:
        return "input must be 1 to 2048 texts that are not empty"
    if body.get("encoding_format") not in (None, "float", "base64"):
        return "encoding_format is float or base64"
    if "gzip" in asked.headers.get("accept-encoding", ""):
        return "this server would compress its answer"
    return None
