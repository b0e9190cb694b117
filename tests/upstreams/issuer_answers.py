"""What ChatGPT's issuer answers, in short (spec chatgpt.md, 1.2 to 1.9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from tests.upstreams.playing_site import Reply


@attrs.frozen
class Answer:
    """What is answered: an object as JSON, or bytes as a page."""

    status: int
    body: Mapping[str, Any] | bytes
    location: str | None = None

    def reply(self, before: float) -> Reply:
        """The whole answer, *before* seconds later."""
        is_page = isinstance(self.body, bytes)
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {b"content-length": str(len(content)).encode()}
        if self.location is not None:
            headers[b"location"] = self.location.encode()
        kind = b"text/html" if is_page else b"application/json"
        return Reply([content], self.status, kind, headers, before=before)


def error(status: int, code: str, message: str) -> Answer:
    """An error in OpenAI's own shape."""
    fault = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Answer(status, {"error": fault})


def oauth_error(code: str, message: str) -> Answer:
    """An error in the shape of OAuth (RFC 6749, 5.2)."""
    return Answer(400, {"error": code, "error_description": message})


def page(why: str) -> Answer:
    """What the person in front of the browser sees when it cannot be sent back."""
    return Answer(400, f"<html><body>{why}</body></html>".encode())
