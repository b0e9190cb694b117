"""The settings of the providers: credentials, addresses, model names, and ChatGPT's reasoning."""

# ruff: noqa: RUF009  (what `setting` returns is a field)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from chatmock.settings.addresses import BaseUrl, Host
from chatmock.settings.secrets import Secret, SecretHeaders, SecretText
from chatmock.settings.sources import setting
from chatmock.settings.values import Aliases, Boolean, Choice, FileName, Items, Uuid, Word

__all__ = ["MODEL", "PROVIDERS", "AccountSettings"]

PROVIDERS: Final = ("chatgpt", "grok", "openrouter", "qwen", "dashscope", "compatible", "ollama", "demo")
"""The providers, in the order in which a default is looked for; the last needs nothing."""

MODEL: Final = Word(r"[!-+\--~]+", "a model name: visible ASCII without spaces and commas")
"""The kind of a model name; it cannot hold a comma, which separates names, and fits into a header."""
_MODELS: Final = Items(MODEL)
_ALIASES: Final = Aliases(Word(r"[!-+\--<>-~]+", "a model name without = and commas"))
_URL: Final = BaseUrl()
_KEY: Final = SecretText()
_SWITCH: Final = Boolean()
_EFFORTS: Final = Choice(("minimal", "low", "medium", "high", "none", "xhigh", "max"))
_SUMMARIES: Final = Choice(("auto", "concise", "detailed", "none"))
_COMPAT: Final = Choice(("think-tags", "o3", "legacy", "current", "reasoning-content", "none"))


@attrs.frozen(kw_only=True)
class AccountSettings:
    """What each provider needs to know."""

    xai_api_key: Secret | None = setting(
        _KEY, None, "XAI_API_KEY", provider="grok", needed=True, doc="xAI's API key"
    )
    grok_base_url: str = setting(
        _URL, "https://api.x.ai/v1", "CHATMOCK_GROK_BASE_URL", provider="grok", doc="where xAI's API is"
    )
    grok_models: tuple[str, ...] = setting(
        _MODELS, (), "CHATMOCK_GROK_MODELS", provider="grok", doc="models allowed besides xAI's own list"
    )
    grok_aliases: Mapping[str, str] = setting(
        _ALIASES, {}, "CHATMOCK_GROK_ALIASES", provider="grok", doc="names standing for xAI's models, old=new"
    )

    openrouter_api_key: Secret | None = setting(
        _KEY, None, "OPENROUTER_API_KEY", provider="openrouter", needed=True, doc="OpenRouter's API key"
    )
    openrouter_base_url: str = setting(
        _URL,
        "https://openrouter.ai/api/v1",
        "CHATMOCK_OPENROUTER_BASE_URL",
        provider="openrouter",
        doc="where OpenRouter's API is",
    )
    openrouter_models: tuple[str, ...] = setting(
        _MODELS,
        (),
        "CHATMOCK_OPENROUTER_MODELS",
        provider="openrouter",
        doc="models allowed besides OpenRouter's own list",
    )
    openrouter_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_OPENROUTER_ALIASES",
        provider="openrouter",
        doc="names standing for OpenRouter's models, old=new",
    )

    dashscope_api_key: Secret | None = setting(
        _KEY, None, "DASHSCOPE_API_KEY", provider="dashscope", needed=True, doc="DashScope's API key"
    )
    dashscope_base_url: str = setting(
        _URL,
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "CHATMOCK_DASHSCOPE_BASE_URL",
        provider="dashscope",
        doc="where DashScope's OpenAI-compatible API is",
    )
    dashscope_models: tuple[str, ...] = setting(
        _MODELS,
        (),
        "CHATMOCK_DASHSCOPE_MODELS",
        provider="dashscope",
        doc="models allowed besides DashScope's own list",
    )
    dashscope_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_DASHSCOPE_ALIASES",
        provider="dashscope",
        doc="names standing for DashScope's models, old=new",
    )

    compatible_base_url: str | None = setting(
        BaseUrl(lan=True),
        None,
        "CHATMOCK_COMPATIBLE_BASE_URL",
        provider="compatible",
        needed=True,
        doc="where an OpenAI-compatible server is, with its /v1; it may be in the local network",
    )
    compatible_api_key: Secret | None = setting(
        _KEY,
        None,
        "CHATMOCK_COMPATIBLE_API_KEY",
        provider="compatible",
        doc="that server's API key, if it has one",
    )
    compatible_models: tuple[str, ...] = setting(
        _MODELS,
        (),
        "CHATMOCK_COMPATIBLE_MODELS",
        provider="compatible",
        doc="models allowed besides that server's own list",
    )
    compatible_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_COMPATIBLE_ALIASES",
        provider="compatible",
        doc="names standing for that server's models, old=new",
    )

    ollama_upstream: str | None = setting(
        BaseUrl(lan=True),
        None,
        "CHATMOCK_OLLAMA_UPSTREAM",
        provider="ollama",
        needed=True,
        doc="where a real Ollama is that was moved aside, without /v1; it may be in the local network",
    )
    ollama_models: tuple[str, ...] = setting(
        _MODELS,
        (),
        "CHATMOCK_OLLAMA_MODELS",
        provider="ollama",
        doc="models allowed besides that Ollama's own list",
    )
    ollama_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_OLLAMA_ALIASES",
        provider="ollama",
        doc="names standing for that Ollama's models, old=new",
    )

    home: Path = setting(
        FileName(),
        Path("~/.chatgpt-local"),
        "CHATGPT_LOCAL_HOME",
        "CODEX_HOME",
        provider="chatgpt",
        doc="folder of the ChatGPT login",
    )
    reasoning_effort: str = setting(
        _EFFORTS,
        "medium",
        "CHATGPT_LOCAL_REASONING_EFFORT",
        provider="chatgpt",
        doc="how much a model thinks, with none, xhigh and max only where the model lists them",
    )
    reasoning_summary: str = setting(
        _SUMMARIES,
        "auto",
        "CHATGPT_LOCAL_REASONING_SUMMARY",
        provider="chatgpt",
        doc="how much of its thinking is summed up",
    )
    reasoning_compat: str = setting(
        _COMPAT,
        "think-tags",
        "CHATGPT_LOCAL_REASONING_COMPAT",
        provider="chatgpt",
        doc="form in which OpenAI chat clients get the thinking of a provider that speaks another dialect",
    )
    expose_reasoning_models: bool = setting(
        _SWITCH,
        False,
        "CHATGPT_LOCAL_EXPOSE_REASONING_MODELS",
        provider="chatgpt",
        doc="list each effort as a model of its own",
    )
    debug_model: str | None = setting(
        MODEL,
        None,
        "CHATGPT_LOCAL_DEBUG_MODEL",
        provider="chatgpt",
        doc="model used whatever the client names",
    )
    enable_web_search: bool = setting(
        _SWITCH,
        False,
        "CHATGPT_LOCAL_ENABLE_WEB_SEARCH",
        provider="chatgpt",
        doc="offer web search to the model where the client names no tools",
    )
    fast_mode: bool = setting(
        _SWITCH,
        False,
        "CHATGPT_LOCAL_FAST_MODE",
        provider="chatgpt",
        doc="ask for the priority tier where the model has it",
    )
    inject_base_prompt: bool = setting(
        _SWITCH,
        True,
        "INJECT_BASE_PROMPT",
        provider="chatgpt",
        doc="put the text of the base prompt file, if there is one, before each conversation",
    )
    base_prompt_path: Path | None = setting(
        FileName(), None, "CHATMOCK_BASE_PROMPT_PATH", provider="chatgpt", doc="file of the base prompt"
    )
    chatgpt_base_url: str = setting(
        _URL,
        "https://chatgpt.com/backend-api/codex",
        "CHATMOCK_CHATGPT_BASE_URL",
        provider="chatgpt",
        doc="where ChatGPT's backend is",
    )
    chatgpt_issuer: str = setting(
        _URL,
        "https://auth.openai.com",
        "CHATGPT_LOCAL_ISSUER",
        provider="chatgpt",
        doc="where ChatGPT's login is",
    )
    chatgpt_client_id: str = setting(
        Word("[A-Za-z0-9._-]+", "letters, digits, dots, dashes and underscores"),
        "app_EMoamEEZ73f0CkXaXp7hrann",
        "CHATGPT_LOCAL_CLIENT_ID",
        provider="chatgpt",
        doc="OAuth client that logs in",
    )
    login_bind: str = setting(
        Host(),
        "127.0.0.1",
        "CHATGPT_LOCAL_LOGIN_BIND",
        provider="chatgpt",
        doc="address on which chatmock login waits for the browser, on port 1455",
    )
    chatgpt_models: tuple[str, ...] = setting(
        _MODELS,
        (),
        "CHATMOCK_CHATGPT_MODELS",
        provider="chatgpt",
        doc="models allowed besides the account's own list",
    )
    chatgpt_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_CHATGPT_ALIASES",
        provider="chatgpt",
        doc="names standing for the account's models, old=new",
    )

    qwen_auth_token: Secret | None = setting(
        _KEY,
        None,
        "QWEN_AUTH_TOKEN",
        provider="qwen",
        needed=True,
        doc="token of a chat.qwen.ai login, from the browser",
    )
    qwen_cookies: Secret | None = setting(
        SecretText(spaces=True),
        None,
        "QWEN_COOKIES",
        provider="qwen",
        doc="cookies of that login, as the browser sends them",
    )
    qwen_headers: Mapping[str, Secret] = setting(
        SecretHeaders(),
        {},
        "QWEN_HEADERS",
        provider="qwen",
        doc="further headers that the browser sends to chat.qwen.ai",
    )
    qwen_chat_id: str | None = setting(
        Uuid(),
        None,
        "QWEN_CHAT_ID",
        provider="qwen",
        doc="chat to go on with (by default each conversation has its own)",
    )
    qwen_model: str | None = setting(
        MODEL, None, "QWEN_MODEL", provider="qwen", doc="model for requests that name none"
    )
    qwen_base_url: str = setting(
        _URL, "https://chat.qwen.ai", "CHATMOCK_QWEN_BASE_URL", provider="qwen", doc="where Qwen's web API is"
    )
    qwen_models: tuple[str, ...] = setting(
        _MODELS, (), "CHATMOCK_QWEN_MODELS", provider="qwen", doc="models allowed besides Qwen's own list"
    )
    qwen_aliases: Mapping[str, str] = setting(
        _ALIASES,
        {},
        "CHATMOCK_QWEN_ALIASES",
        provider="qwen",
        doc="names standing for Qwen's models, old=new (qwen and qwen3-max-preview have one)",
    )
