"""The official SDK of each dialect, as its users write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tests.matrix.anthropic_client import AnthropicClient
from tests.matrix.ollama_clients import OllamaChatClient, OllamaGenerateClient
from tests.matrix.openai_clients import ChatClient, CompletionsClient, ResponsesClient
from tests.matrix.scenario import Seen, Wish


class Client(Protocol):
    """One client of a daemon. Its methods block."""

    @property
    def raises(self) -> Mapping[int, type[BaseException]]:
        """The exception for an answer with a status."""

    @property
    def breaks(self) -> type[BaseException]:
        """The exception for a stream that tells an error."""

    @property
    def loses(self) -> type[BaseException]:
        """The exception for a connection that is closed."""

    @property
    def finishes(self) -> Mapping[str, str]:
        """The dialect's words for ``stop``, ``tool_calls`` and ``refusal``."""

    @property
    def shows_refusals(self) -> bool:
        """Whether a refusal is told apart from text."""

    @property
    def shows_headers(self) -> bool:
        """Whether an exception shows the headers of the answer."""

    @property
    def shows_details(self) -> bool:
        """Whether tokens from a cache and those of thinking are counted apart."""

    def ask(self, wish: Wish) -> Seen:
        """Ask, and read the answer to its end, or to its fault."""

    def begin(self, wish: Wish) -> str:
        """Ask for a stream, read its first text, and leave."""

    def shut(self) -> None:
        """Close its connections under it; from any thread."""

    def close(self) -> None:
        """Give back what it holds."""


CLIENTS: Mapping[str, Callable[[str], Client]] = {
    "openai-chat": ChatClient,
    "openai-completions": CompletionsClient,
    "openai-responses": ResponsesClient,
    "ollama-chat": OllamaChatClient,
    "ollama-generate": OllamaGenerateClient,
    "anthropic": AnthropicClient,
}
"""The client of each dialect; each is made with the daemon's address, without a path."""
