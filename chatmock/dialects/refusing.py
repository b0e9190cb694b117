"""In which dialect a request is refused that no route has seen yet. Pure."""

from __future__ import annotations

from chatmock.dialects.anthropic import Anthropic
from chatmock.dialects.interface import Dialect
from chatmock.dialects.ollama_chat import OllamaChat
from chatmock.dialects.openai_chat import OpenAIChat

ANTHROPIC_HEADERS = (b"anthropic-version", b"anthropic-beta")
"""By which one knows a client of Anthropic's on a path that others ask as well."""
_OPENAI = OpenAIChat()
_ANTHROPIC = Anthropic()
_FAMILIES: tuple[tuple[str, Dialect], ...] = (
    ("/api/providers", _OPENAI),
    ("/api/queue", _OPENAI),
    ("/api/", OllamaChat()),
    ("/v1/messages", _ANTHROPIC),
)
"""How the paths of a dialect begin; the longer before the shorter."""


def dialect_of(path: str, versioned: bool = False) -> Dialect:
    """The dialect that clients of *path* (without a query) speak; OpenAI's where that is not known.

    :param versioned: whether the request has one of the :data:`ANTHROPIC_HEADERS`.
    """
    if versioned and path.startswith("/v1/models"):
        return _ANTHROPIC
    return next((dialect for prefix, dialect in _FAMILIES if path.startswith(prefix)), _OPENAI)
