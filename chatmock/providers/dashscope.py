"""DashScope, Qwen's official API (spec upstreams.md, A2): some models only stream. Empty ids and names in the
tool deltas are met by the rules that hold for every upstream."""

from __future__ import annotations

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import Kind, Refusal
from chatmock.providers.interface import Amendment
from chatmock.providers.openai_differences import Differences


def amend(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """Ask for a stream where the model gives no whole answer while it thinks."""
    if refusal.kind is Kind.BAD_REQUEST and "non-streaming" in refusal.message and not chat.force_stream:
        return Amendment(attrs.evolve(chat, force_stream=True), {})
    return None


DIFFERENCES = Differences(
    title="DashScope",
    key_setting="DASHSCOPE_API_KEY",
    default_model="qwen-plus",
    embedding_formats=("float",),
    thoughtless={"enable_thinking": False},
    amend=amend,
)
