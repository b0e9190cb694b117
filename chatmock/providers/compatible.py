"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, a moved Ollama."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_errors import ErrorFacts
from chatmock.settings import Secret
from chatmock.settings.secrets import MASK

_LEAST_CHARS = 8
"""Of a key, to be known in a text: a shorter one may be a word like any other."""

DIFFERENCES = Differences(
    title="The compatible server",
    key_setting="CHATMOCK_COMPATIBLE_API_KEY",
    embedding_formats=("float", "base64"),
)


def without(key: Secret) -> Callable[[ErrorFacts], ErrorFacts]:
    """Takes *key* out of what an error says: such a key is made up by its owner, and looks like anything."""

    def facts(told: ErrorFacts) -> ErrorFacts:
        code, param = (word and _masked(word, key.reveal()) for word in (told.code, told.param))
        return attrs.evolve(told, message=_masked(told.message, key.reveal()), code=code, param=param)

    return facts


def _masked(text: str, key: str) -> str:
    """*text* without *key*, nor the first part of it where the text was cut short."""
    if len(key) < _LEAST_CHARS:
        return text
    text = text.replace(key, MASK)
    cut = next((n for n in range(len(key) - 1, _LEAST_CHARS - 1, -1) if text.endswith(f"{key[:n]}…")), 0)
    return f"{text[: -cut - 1]}{MASK}…" if cut else text
