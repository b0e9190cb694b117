"""A fake upstream that speaks OpenAI chat over real HTTP, and refuses what the real ones refuse.

What it answers is set by the test: recorded bytes cut as told, or a function of the request.
"""

from __future__ import annotations

import json
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
        self.models: Sequence[dict[str, Any]] | None = None

    def chats(self) -> list[Asked]:
        """The chat requests so far."""
        return [asked for asked in self.asked if asked.path.endswith("/chat/completions")]

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
