"""The client APIs chatmock answers. To add one: a module here, a line below, a route."""

from __future__ import annotations

from chatmock.dialects.anthropic import Anthropic
from chatmock.dialects.interface import Dialect, StreamEncoder
from chatmock.dialects.ollama_chat import OllamaChat
from chatmock.dialects.ollama_generate import OllamaGenerate
from chatmock.dialects.openai_chat import OpenAIChat
from chatmock.dialects.openai_completions import OpenAICompletions
from chatmock.dialects.openai_responses import OpenAIResponses

__all__ = [
    "DIALECTS",
    "Anthropic",
    "Dialect",
    "OllamaChat",
    "OllamaGenerate",
    "OpenAIChat",
    "OpenAICompletions",
    "OpenAIResponses",
    "StreamEncoder",
]

DIALECTS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAICompletions(),
    OpenAIResponses(),
    OllamaChat(),
    OllamaGenerate(),
    Anthropic(),
)
