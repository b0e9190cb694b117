"""OpenRouter (spec upstreams.md, C): conversations are cut to the model's window, truncated calls own up to it."""

from __future__ import annotations

import re

from chatmock.conversation import ChatRequest
from chatmock.errors import Refusal
from chatmock.providers.interface import Amendment
from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_request import with_messages
from chatmock.providers.truncation import estimate_tokens, truncate

NOTE = "X-Chatmock-Truncated"
_CUT_SHORT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_OVERFLOW = re.compile(r"maximum context length is (\d+) tokens.*?requested about (\d+) tokens", re.DOTALL)
_SAFETY = 0.95
_RETIRED = (
    "It was a free preview and cost nothing; its successors do. Map the name if you want one: "
    "CHATMOCK_OPENROUTER_ALIASES={name}=x-ai/grok-4.3."
)


def finish_reason(reason: str, native: str | None) -> str:
    """A call cut short by the token limit says ``tool_calls``, its maker's own reason says so (§0.5)."""
    return "length" if reason == "tool_calls" and native and native.lower() in _CUT_SHORT else reason


def prepare(chat: ChatRequest) -> Amendment:
    """Cut the conversation to the model's window, by estimate, leaving room for the answer."""
    window = None if chat.details is None else chat.details.context_length
    if window is None:
        return Amendment(chat, {})
    cut = truncate(chat.messages, window - (chat.max_tokens or 0))
    if cut is None:
        return Amendment(chat, {})
    return Amendment(with_messages(chat, cut.kept), {NOTE: cut.note})


def amend(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """Cut further when the upstream has counted more tokens than its model takes, by as much as it says."""
    counted = _OVERFLOW.search(refusal.message)
    if counted is None:
        return None
    most, asked = int(counted[1]), int(counted[2])
    sent = sum(estimate_tokens(message) for message in prepare(chat).chat.messages)
    cut = truncate(chat.messages, sent * most / max(asked, 1) * _SAFETY)
    return None if cut is None else Amendment(with_messages(chat, cut.kept), {NOTE: cut.note})


DIFFERENCES = Differences(
    title="OpenRouter",
    key_setting="OPENROUTER_API_KEY",
    headers={"X-Title": "chatmock"},
    models_path="/models?output_modalities=text,embeddings",
    embedding_formats=("float", "base64"),
    retired={name: _RETIRED.format(name=name) for name in ("sonoma/sky", "sonoma/dusk")},
    finish_reason=finish_reason,
    prepare=prepare,
    amend=amend,
)
