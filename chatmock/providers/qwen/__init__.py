"""Qwen: the web chat of chat.qwen.ai, whose private API serves the owner's account (spec upstreams.md, A1)."""

from __future__ import annotations

from chatmock.providers.qwen.provider import Qwen

__all__ = ["Qwen"]
