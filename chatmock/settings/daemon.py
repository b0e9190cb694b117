"""What the daemon listens on, answers with by default, and logs."""

# ruff: noqa: RUF009  (what `setting` returns is a field)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from chatmock.settings.accounts import MODEL, PROVIDERS, AccountSettings
from chatmock.settings.addresses import Host
from chatmock.settings.sources import setting
from chatmock.settings.values import Aliases, Boolean, Choice, FileName, Items, Whole, Word

_PROVIDER: Final = Choice(PROVIDERS)
_ENDPOINT: Final = Word(
    r"[A-Za-z][A-Za-z0-9_-]*:[^\s\x00-\x1f\x7f]+", "an endpoint such as tcp:8000, without spaces"
)
_FILE: Final = FileName()
_PATTERNS: Final = Aliases(
    Word(r"[!-+\--<>-~]+", "a model name without = and commas, with * for any characters")
)


@attrs.frozen(kw_only=True)
class DaemonSettings(AccountSettings):
    """The part of the settings that says what runs where."""

    provider: str | None = setting(
        _PROVIDER,
        None,
        "CHATMOCK_PROVIDER",
        doc="provider for requests that name none (by default the first of chatgpt, grok, openrouter, qwen, "
        "dashscope, compatible, ollama that has a login, credentials or an address, else demo)",
    )
    model: str | None = setting(
        MODEL,
        None,
        "CHATMOCK_MODEL",
        doc="model for requests that name none (by default the provider's own choice)",
    )
    anthropic_models: Mapping[str, str] = setting(
        _PATTERNS,
        {},
        "CHATMOCK_ANTHROPIC_MODELS",
        doc="models that answer to the names Anthropic's clients ask for, pattern=model, the first that fits counting"
        " (by default a claude name that no provider knows means the default model)",
    )
    config: Path | None = setting(_FILE, None, "CHATMOCK_CONFIG", in_file=False, doc="TOML file of settings")

    host: str = setting(Host(), "127.0.0.1", "CHATMOCK_HOST", doc="address to listen on")
    port: int = setting(
        Whole(0, 65535),
        8000,
        "CHATMOCK_PORT",
        "PORT",
        unit="TCP port",
        doc="port to listen on, 0 for any free one",
    )
    endpoints: tuple[str, ...] = setting(
        Items(_ENDPOINT, commas=False),
        (),
        "CHATMOCK_ENDPOINTS",
        flag="endpoint",
        repeatable=True,
        doc="Twisted endpoints to listen on instead of host and port",
    )
    tls_cert: Path | None = setting(_FILE, None, "CHATMOCK_TLS_CERT", doc="PEM file of the certificate chain")
    tls_key: Path | None = setting(_FILE, None, "CHATMOCK_TLS_KEY", doc="PEM file of the certificate's key")
    tls_port: int | None = setting(
        Whole(0, 65535),
        None,
        "CHATMOCK_TLS_PORT",
        unit="TCP port",
        doc="port for TLS beside the plain one, 0 for any free one (by default the one port speaks TLS)",
    )
    ollama_port: int | None = setting(
        Whole(0, 65535),
        None,
        "CHATMOCK_OLLAMA_PORT",
        unit="TCP port",
        doc="port besides, without TLS, on which clients find an Ollama; 11434 is its own, 0 is any free one",
    )

    responses_days: int = setting(
        Whole(0, 3650),
        30,
        "CHATMOCK_RESPONSES_DAYS",
        unit="days",
        doc="how long answers of /v1/responses are kept for clients that go on from them, prompts included, 0 for not at all",
    )
    responses_max_mb: int = setting(
        Whole(1, 1024 * 1024),
        256,
        "CHATMOCK_RESPONSES_MAX_MB",
        unit="MiB",
        doc="most that the kept answers may take, the oldest of which make room",
    )

    log_level: str = setting(
        Choice(("debug", "info", "warn", "error", "critical")),
        "info",
        "CHATMOCK_LOG_LEVEL",
        doc="least level logged",
    )
    verbose: bool = setting(Boolean(), False, "VERBOSE", doc="log more about each request")
