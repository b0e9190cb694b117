"""The client APIs chatmock answers. To add one: a module here, a line below, a route."""

from __future__ import annotations

from chatmock.dialects.interface import Dialect, StreamEncoder
from chatmock.dialects.openai_chat import OpenAIChat
from chatmock.dialects.openai_completions import OpenAICompletions

__all__ = ["DIALECTS", "Dialect", "OpenAIChat", "OpenAICompletions", "StreamEncoder"]

DIALECTS: tuple[Dialect, ...] = (OpenAIChat(), OpenAICompletions())
