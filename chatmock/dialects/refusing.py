"""In which dialect a request is refused that no route has seen yet. Pure."""

from __future__ import annotations

from chatmock.dialects.anthropic import Anthropic
from chatmock.dialects.interface import Dialect
from chatmock.dialects.ollama_chat import OllamaChat
from chatmock.dialects.openai_chat import OpenAIChat

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

    :param versioned: whether the request names a version of Anthropic's API.
    """
    if versioned and path.startswith("/v1/models"):
        return _ANTHROPIC
    return next((dialect for prefix, dialect in _FAMILIES if path.startswith(prefix)), _OPENAI)
