"""Every setting of the daemon, each declared once: its default, names, kind, unit and meaning.

From a field of `Settings` follow the flag of `chatmock serve` and `twistd chatmock`, the environment
variables, the key in the TOML file, and the row of the README's table. Pure: nothing here reads the
environment or a file by itself, and a `Settings` that exists holds allowed values only.
"""

# ruff: noqa: RUF009  (what `setting` returns is a field)

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

from chatmock.settings.accounts import MODEL, PROVIDERS, AccountSettings
from chatmock.settings.addresses import Host, Network, NetworkKind, Origin
from chatmock.settings.secrets import Secret, SecretText
from chatmock.settings.sources import DECLARATION, Declaration, SettingError, Source, collect, named, setting
from chatmock.settings.values import Boolean, Choice, FileName, Items, Number, Whole, Word

__all__ = [
    "PROVIDERS",
    "Declaration",
    "Secret",
    "SettingError",
    "Settings",
    "Source",
    "declarations",
    "load",
    "markdown_table",
]

_PROVIDER: Final = Choice(PROVIDERS)
_ENDPOINT: Final = Word(
    r"[A-Za-z][A-Za-z0-9_-]*:[^\s\x00-\x1f\x7f]+", "an endpoint such as tcp:8000, without spaces"
)
_SWITCH: Final = Boolean()
_FILE: Final = FileName()
_COUNT: Final = Whole(1)
_SECONDS: Final = Number(0.001, 86400)


def _frozen(given: Mapping[str, Source]) -> Mapping[str, Source]:
    return MappingProxyType(dict(given))


@attrs.frozen(kw_only=True)
class Settings(AccountSettings):
    """All settings, allowed each by itself and all together; raises `SettingError` where they are not."""

    provider: str | None = setting(
        _PROVIDER,
        None,
        "CHATMOCK_PROVIDER",
        doc="provider for requests that name none (by default the first of chatgpt, grok, openrouter, qwen, "
        "dashscope, compatible that has a login or credentials, else demo)",
    )
    model: str | None = setting(
        MODEL,
        None,
        "CHATMOCK_MODEL",
        doc="model for requests that name none (by default the provider's own choice)",
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

    require_auth: bool = setting(
        _SWITCH, False, "CHATMOCK_REQUIRE_AUTH", doc="answer only who has the access token"
    )
    access_token: Secret | None = setting(
        SecretText(), None, "CHATMOCK_ACCESS_TOKEN", doc="token that clients send as their API key"
    )
    cors_origins: tuple[str, ...] = setting(
        Items(Origin()),
        (),
        "CHATMOCK_CORS_ORIGINS",
        doc="origins of web pages that may call, exactly as browsers send them; * for all",
    )
    require_tls: bool = setting(_SWITCH, False, "REQUIRE_TLS", doc="refuse requests over plain HTTP")
    trusted_proxies: tuple[Network, ...] = setting(
        Items(NetworkKind()),
        (),
        "CHATMOCK_TRUSTED_PROXIES",
        doc="networks of proxies whose X-Forwarded-Proto counts",
    )

    max_messages: int = setting(
        _COUNT, 64, "CHATMOCK_MAX_MESSAGES", unit="messages", doc="most messages of a request"
    )
    max_message_chars: int = setting(
        _COUNT, 16384, "CHATMOCK_MAX_MESSAGE_CHARS", unit="characters", doc="most text of one message"
    )
    max_total_bytes: int = setting(
        _COUNT, 262144, "CHATMOCK_MAX_TOTAL_BYTES", unit="bytes", doc="most text of a request"
    )
    max_tokens: int = setting(
        _COUNT,
        2048,
        "CHATMOCK_MAX_TOKENS",
        unit="tokens",
        doc="most tokens of an answer, to which larger wishes are lowered",
    )
    max_image_bytes: int = setting(
        _COUNT,
        20 * 1024 * 1024,
        "CHATMOCK_MAX_IMAGE_BYTES",
        unit="bytes",
        doc="most of the images inside a request",
    )

    rate_limit_rps: float = setting(
        Number(0.001, 1_000_000),
        8.0,
        "CHATMOCK_RATE_LIMIT_RPS",
        unit="requests a second",
        doc="requests let in, in the long run",
    )
    rate_limit_burst: int = setting(
        _COUNT, 16, "CHATMOCK_RATE_LIMIT_BURST", unit="requests", doc="requests let in at once after a pause"
    )
    max_concurrency: int = setting(
        _COUNT, 1, "CHATMOCK_MAX_CONCURRENCY", unit="requests", doc="requests answered at the same time"
    )
    queue_limit: int = setting(
        Whole(0), 100, "CHATMOCK_QUEUE_LIMIT", unit="requests", doc="requests that may wait, 0 for none"
    )
    queue_timeout: float = setting(
        _SECONDS,
        120.0,
        "CHATMOCK_QUEUE_TIMEOUT",
        "CHATMOCK_QUEUE_TIMEOUT_S",
        unit="seconds",
        doc="longest wait of a request for its turn",
    )
    connect_timeout: float = setting(
        _SECONDS,
        10.0,
        "CHATMOCK_CONNECT_TIMEOUT",
        unit="seconds",
        doc="longest wait for a connection to a provider",
    )
    first_byte_timeout: float = setting(
        _SECONDS,
        120.0,
        "CHATMOCK_FIRST_BYTE_TIMEOUT",
        unit="seconds",
        doc="longest wait for a provider's answer",
    )
    idle_timeout: float = setting(
        _SECONDS,
        120.0,
        "CHATMOCK_IDLE_TIMEOUT",
        unit="seconds",
        doc="longest silence inside a provider's answer",
    )
    stall_timeout: float = setting(
        _SECONDS,
        30.0,
        "CHATMOCK_STALL_TIMEOUT",
        unit="seconds",
        doc="longest time a client may take no bytes of its answer before it is dropped",
    )

    log_level: str = setting(
        Choice(("debug", "info", "warn", "error", "critical")),
        "info",
        "CHATMOCK_LOG_LEVEL",
        doc="least level logged",
    )
    verbose: bool = setting(_SWITCH, False, "VERBOSE", doc="log more about each request")

    given: Mapping[str, Source] = attrs.field(default={}, converter=_frozen, eq=False, repr=False)
    """Where each setting was given, by name; what is not there has its default."""

    def __attrs_post_init__(self) -> None:
        _check_together(self)


@functools.cache
def declarations() -> Sequence[Declaration]:
    """All declarations, those of the daemon first, then by provider."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(Settings)
    found = [named(each.metadata[DECLARATION], each.name) for each in fields if DECLARATION in each.metadata]
    return tuple(sorted(found, key=lambda each: each.provider is not None))


def _missing(settings: Settings, provider: str) -> Sequence[str]:
    """The variables of what `provider` needs and has not."""
    return [
        each.environment[0]
        for each in declarations()
        if each.provider == provider and each.needed and getattr(settings, each.name) is None
    ]


def _check_together(settings: Settings) -> None:
    """Raises `SettingError` for settings that need another one, saying where they were given."""

    def told(name: str) -> Source:
        variable = next(each.environment[0] for each in declarations() if each.name == name)
        return settings.given.get(name, Source(variable))

    if settings.provider is not None and (missing := _missing(settings, settings.provider)):
        raise SettingError(f"{told('provider').stating(settings.provider)} needs {' and '.join(missing)}")
    if settings.require_auth and settings.access_token is None:
        raise SettingError(
            f"{told('require_auth')} needs CHATMOCK_ACCESS_TOKEN: without it nobody could get in"
        )
    if settings.tls_cert is not None and settings.tls_key is None:
        raise SettingError(f"{told('tls_cert')} needs CHATMOCK_TLS_KEY")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise SettingError(f"{told('tls_key')} needs CHATMOCK_TLS_CERT")
    if settings.tls_port is not None and settings.tls_cert is None:
        raise SettingError(f"{told('tls_port')} needs CHATMOCK_TLS_CERT and CHATMOCK_TLS_KEY")


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], read_file: Callable[[str], bytes]
) -> Settings:
    """The settings from flags, else the environment, else the TOML file, else the defaults.

    `flags` is named by setting, not by flag; None there means not given. `read_file` gets the path of
    `config` as written, and may raise `OSError`. Raises `SettingError`.
    """
    found = collect(declarations(), flags, environ, read_file)
    values: dict[str, Any] = {
        each.name: each.read(found[each.name].raw, found[each.name].source)
        for each in declarations()
        if each.name in found
    }
    return Settings(**values, given={name: each.source for name, each in found.items()})


def markdown_table() -> str:
    """The README's table of all settings, with a line end."""
    rows = ["| option | environment | file key | default | meaning |", "|---|---|---|---|---|"]
    for each in declarations():
        default = each.render(each.default)
        cells = [
            _option(each),
            ", ".join(f"`{name}`" for name in each.environment),
            f"`{each.name}`" if each.in_file else "-",
            f"`{default}`" if default else "-",
            each.meaning,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _option(declaration: Declaration) -> str:
    if declaration.flag is None:
        return "-"
    flag = f"`--{'[no-]' if declaration.negatable else ''}{declaration.flag}`"
    return f"{flag} (repeatable)" if declaration.repeatable else flag
