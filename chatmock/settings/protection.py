"""Who may ask, how much, and for how long: every limit of the daemon (spec mission.md, Protection; security.md)."""

# ruff: noqa: RUF009  (what `setting` returns is a field)

from __future__ import annotations

from typing import Final

import attrs

from chatmock.settings.addresses import Host, Network, NetworkKind, Origin
from chatmock.settings.daemon import DaemonSettings
from chatmock.settings.secrets import Secret, SecretText
from chatmock.settings.sources import setting
from chatmock.settings.values import Boolean, Items, Number, Whole

_SWITCH: Final = Boolean()
_COUNT: Final = Whole(1)
_SECONDS: Final = Number(0.001, 86400)


@attrs.frozen(kw_only=True)
class ProtectionSettings(DaemonSettings):
    """The part of the settings that bounds."""

    require_auth: bool = setting(
        _SWITCH, False, "CHATMOCK_REQUIRE_AUTH", doc="answer only who has the access token or a client key"
    )
    access_token: Secret | None = setting(
        SecretText(), None, "CHATMOCK_ACCESS_TOKEN", doc="token that clients send as their API key"
    )
    allow_open: bool = setting(
        _SWITCH,
        False,
        "CHATMOCK_ALLOW_OPEN",
        "ALLOW_OPEN",
        doc="listen beyond this machine although nobody needs a key: whoever reaches it spends the accounts",
    )
    allowed_hosts: tuple[str, ...] = setting(
        Items(Host()),
        (),
        "CHATMOCK_ALLOWED_HOSTS",
        doc="names by which clients may call this machine, besides its addresses and localhost",
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
        doc="networks of proxies whose X-Forwarded-Proto and X-Forwarded-For count",
    )

    max_messages: int = setting(
        _COUNT, 64, "CHATMOCK_MAX_MESSAGES", unit="messages", doc="most messages of a request"
    )
    max_message_chars: int = setting(
        _COUNT, 16384, "CHATMOCK_MAX_MESSAGE_CHARS", unit="characters", doc="most text of one message"
    )
    max_total_bytes: int = setting(
        _COUNT,
        262144,
        "CHATMOCK_MAX_TOTAL_BYTES",
        unit="bytes",
        doc="most text in the messages of a request, and as much in the rest of it",
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
    client_queue_limit: int = setting(
        Whole(0),
        32,
        "CHATMOCK_CLIENT_QUEUE_LIMIT",
        unit="requests",
        doc="requests of one client that may wait, 0 for none",
    )
    keepalive_after: float = setting(
        _SECONDS,
        5.0,
        "CHATMOCK_KEEPALIVE_AFTER",
        unit="seconds",
        doc="wait after which a stream is told in comments what it waits for; until then failures have their status",
    )
    max_connections: int = setting(
        _COUNT,
        512,
        "CHATMOCK_MAX_CONNECTIONS",
        unit="connections",
        doc="most connections of all clients, fewer where the process may open fewer files",
    )
    max_connections_per_address: int = setting(
        _COUNT,
        128,
        "CHATMOCK_MAX_CONNECTIONS_PER_ADDRESS",
        unit="connections",
        doc="most connections of one client address",
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
    total_timeout: float = setting(
        _SECONDS,
        1800.0,
        "CHATMOCK_TOTAL_TIMEOUT",
        unit="seconds",
        doc="longest time a provider's answer may take in all",
    )
    max_cooldown: float = setting(
        _SECONDS,
        900.0,
        "CHATMOCK_MAX_COOLDOWN",
        unit="seconds",
        doc="longest time a provider that refuses is left alone before it is tried again",
    )
    stall_timeout: float = setting(
        _SECONDS,
        30.0,
        "CHATMOCK_STALL_TIMEOUT",
        unit="seconds",
        doc="longest time a client may take no bytes of its answer before it is dropped",
    )
