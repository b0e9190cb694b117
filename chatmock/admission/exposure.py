"""What the daemon listens on, as seen from outside, and whether that is safe (spec security.md, P1). Pure.

In doubt a listener is taken to be reachable from other machines: only what certainly is not counts as this
machine's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chatmock.admission.proxies import parsed
from chatmock.settings import Secret, SettingError, Settings

_FIELD = re.compile(r"(?:[^:\\]|\\.)*", re.DOTALL)
_TCP = frozenset({"tcp", "tcp6", "ssl"})
_FEWEST_CHARACTERS = 20
"""Of the access token, where strangers may guess at it: each address has five guesses a minute, but they may have many."""


def exposed(settings: Settings) -> Sequence[str]:
    """What other machines may reach: listeners as the owner wrote them, and a proxy, which brings them to the loopback."""
    found = [f"endpoint {each}" for each in settings.endpoints if not is_local_endpoint(each)]
    if _has_host(settings) and not is_local_host(settings.host):
        found.insert(0, f"host {settings.host}")
    if settings.trusted_proxies:
        found.append("a proxy of CHATMOCK_TRUSTED_PROXIES")
    return found


def _has_host(settings: Settings) -> bool:
    """Whether the address of the settings is listened on beside the endpoints, as :mod:`chatmock.endpoints` does."""
    if settings.ollama_port is not None:
        return True
    if settings.tls_cert is None:
        return not settings.endpoints
    return settings.tls_port is not None or not any(each.startswith("tls:") for each in settings.endpoints)


def check_exposure(settings: Settings, keys_exist: bool) -> Sequence[str]:
    """What the owner is to be warned of.

    :param keys_exist: whether client keys have been given out.
    :raises SettingError: when nobody could get in, or everybody could who was not meant to, or clients could say what
        address they have.
    """
    _refuse_proxy_headers(settings.endpoints)
    keyed = keys_exist or settings.access_token is not None
    if settings.require_auth and not keyed:
        raise SettingError(
            "CHATMOCK_REQUIRE_AUTH needs CHATMOCK_ACCESS_TOKEN or a client key (chatmock keys add NAME): without"
            " one nobody could get in"
        )
    listeners = exposed(settings)
    warnings = []
    if listeners and not keyed:
        where = f"{', '.join(listeners)} can be reached from other machines and nobody needs a key"
        if not settings.allow_open:
            raise SettingError(
                f"{where}. Give out client keys (chatmock keys add NAME) or set CHATMOCK_ACCESS_TOKEN; listen on"
                " 127.0.0.1 only, without a proxy; or set CHATMOCK_ALLOW_OPEN=1 if whoever reaches it may spend your accounts"
            )
        warnings.append(f"{where}: whoever reaches it spends your accounts (CHATMOCK_ALLOW_OPEN)")
    if listeners and settings.access_token is not None and _is_short(settings.access_token):
        warnings.append(
            f"CHATMOCK_ACCESS_TOKEN has fewer than {_FEWEST_CHARACTERS} characters, and whoever has many addresses may"
            " guess at it for long: take a longer one, or give out client keys (chatmock keys add NAME) instead"
        )
    if "*" in settings.cors_origins:
        warnings.append(
            "every web page may ask here, in any browser that reaches it (CHATMOCK_CORS_ORIGINS=*)"
        )
    return warnings


def _is_short(token: Secret) -> bool:
    return len(token.reveal()) < _FEWEST_CHARACTERS


def _refuse_proxy_headers(endpoints: Sequence[str]) -> None:
    """Refuse Twisted's ``haproxy:``, alone or inside another kind: it believes the PROXY header of anybody.

    Lock-out, caps and the owner's own requests go by the address of the peer, which would then be the peer's to choose.
    """
    for each in endpoints:
        # Twisted takes escapes out of the kind too, and does not mind capitals.
        if "haproxy" in each.replace("\\", "").lower().split(":"):
            raise SettingError(
                f"--endpoint {each}: haproxy: believes whatever address a client claims. Let the proxy send"
                " X-Forwarded-For and X-Forwarded-Proto, and name its address in CHATMOCK_TRUSTED_PROXIES"
            )


def is_local_host(host: str) -> bool:
    """Whether only this machine reaches what listens on *host*; no name but ``localhost`` is trusted to say so."""
    address = parsed(host)
    return host == "localhost" if address is None else address.is_loopback


def is_local_endpoint(description: str) -> bool:
    """Whether only this machine reaches what a Twisted endpoint *description* listens on.

    A UNIX socket is the machine's own, like the loopback. What systemd listens on stands in its socket unit, out
    of sight; only a UNIX socket has to be named as such here.
    """
    kind, *fields = _fields(description)
    kind = kind.lower()
    if kind == "tls":
        return is_local_endpoint(description.partition(":")[2])
    pairs = (field.split("=", 1) for field in fields if "=" in field)
    named = {_plain(name): _plain(value) for name, value in pairs}
    if kind in _TCP:
        # An interface given by its position counts as none: the position is another one for each kind.
        return is_local_host(named.get("interface", ""))
    return kind == "unix" or (kind == "systemd" and _domain(fields, named) == "UNIX")


def _domain(fields: Sequence[str], named: dict[str, str]) -> str:
    return named.get("domain") or (fields[0] if fields and "=" not in fields[0] else "")


def _fields(description: str) -> list[str]:
    """The fields between the colons that no backslash escapes, as written."""
    fields: list[str] = []
    at = 0
    while at <= len(description):
        match = _FIELD.match(description, at)
        end = match.end() if match else at
        fields.append(description[at:end])
        at = end + 1
    return fields


def _plain(field: str) -> str:
    """*field* without the backslashes that escape."""
    return re.sub(r"\\(.)", r"\1", field)
