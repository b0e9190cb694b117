"""ChatGPT: a plan's Codex backend, which speaks OpenAI's Responses API (spec chatgpt.md)."""

from __future__ import annotations

from chatmock.providers.chatgpt.provider import ChatGPT
from chatmock.providers.chatgpt.request import Defaults

__all__ = ["ChatGPT", "Defaults"]
