"""Any OpenAI-compatible server: llama.cpp, vLLM, LM Studio, a moved Ollama."""

from __future__ import annotations

from chatmock.providers.openai_differences import Differences

DIFFERENCES = Differences(
    title="The compatible server",
    key_setting="CHATMOCK_COMPATIBLE_API_KEY",
)
