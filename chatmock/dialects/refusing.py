"""In which dialect a request is refused that no route has seen yet. Pure."""

from __future__ import annotations

from chatmock.dialects.interface import Dialect
from chatmock.dialects.openai_chat import OpenAIChat

_OPENAI = OpenAIChat()


def dialect_of(path: str) -> Dialect:
    """The dialect that clients of *path* (without a query) speak; OpenAI's where that is not known."""
    return _OPENAI
