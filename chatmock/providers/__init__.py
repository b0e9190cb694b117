"""The upstreams chatmock answers from. To add one: a module here, a line below, a fake upstream in the tests.

ChatGPT has a login in place of a key: :mod:`chatmock.chatgpt_account` puts it together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from chatmock.providers import compatible, dashscope, grok, openrouter
from chatmock.providers.demo import Demo
from chatmock.providers.interface import AsksOnce, Credential
from chatmock.providers.ollama import Ollama
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.openai_differences import Differences
from chatmock.settings import Secret, Settings

__all__ = ["PROVIDERS", "Entry"]


@attrs.frozen
class Entry:
    """How one provider comes out of the settings."""

    name: str
    needs: str
    """The variable without which it is not usable; empty for none."""
    build: Callable[[Settings], AsksOnce | None]
    """The provider, None where the settings do not give what it needs."""
    token: Callable[[Settings], Secret | None]
    takes_unlisted: bool = False
    """Whether it is asked for models that nobody lists, too."""

    def credential(self, settings: Settings) -> Credential:
        """What the settings say of the owner's account there."""
        return Credential(self.token(settings))


def _adapter(name: str, differences: Differences, base_url: str, token: Secret | None) -> AsksOnce | None:
    return OpenAICompatible(name, base_url, differences) if token is not None else None


def _compatible(settings: Settings) -> AsksOnce | None:
    base_url, key = settings.compatible_base_url, settings.compatible_api_key
    differences = compatible.DIFFERENCES
    if key is not None:
        differences = attrs.evolve(differences, facts=compatible.without(key))
    return None if base_url is None else OpenAICompatible("compatible", base_url, differences)


def _ollama(settings: Settings) -> AsksOnce | None:
    url = settings.ollama_upstream
    return None if url is None else Ollama(url.removesuffix("/v1"))


_ENTRIES = (
    Entry(
        "grok",
        "XAI_API_KEY",
        lambda s: _adapter("grok", grok.DIFFERENCES, s.grok_base_url, s.xai_api_key),
        lambda s: s.xai_api_key,
    ),
    Entry(
        "openrouter",
        "OPENROUTER_API_KEY",
        lambda s: _adapter("openrouter", openrouter.DIFFERENCES, s.openrouter_base_url, s.openrouter_api_key),
        lambda s: s.openrouter_api_key,
    ),
    Entry(
        "dashscope",
        "DASHSCOPE_API_KEY",
        lambda s: _adapter("dashscope", dashscope.DIFFERENCES, s.dashscope_base_url, s.dashscope_api_key),
        lambda s: s.dashscope_api_key,
    ),
    Entry("compatible", "CHATMOCK_COMPATIBLE_BASE_URL", _compatible, lambda s: s.compatible_api_key),
    Entry("ollama", "CHATMOCK_OLLAMA_UPSTREAM", _ollama, lambda _: None, takes_unlisted=True),
    Entry("demo", "", lambda _: Demo(), lambda _: None),
)

PROVIDERS: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Those that a key or an address makes usable, by name, in the order in which the default one is chosen."""
