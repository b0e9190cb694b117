"""What the daemon listens on, out of the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString, wrapServerTLS
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python.failure import Failure

from chatmock.certificates import ServerCertificate
from chatmock.settings import SettingError, Settings

_TLS: Final = "tls:"
_INNER_TLS: Final = re.compile(r"(?:ssl|tls):", re.IGNORECASE)


_SHOWN: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # only shown
_MOVE_IT: Final = (
    "If a real Ollama is there, move it (OLLAMA_HOST=127.0.0.1:11435) and give its new address as --ollama-upstream, or"
    " choose another --ollama-port."
)


@attrs.frozen
class Listener:
    """One address to listen on."""

    scheme: str
    endpoint: IStreamServerEndpoint
    for_ollama: bool = False
    """Whether clients look for an Ollama there."""

    def url(self, address: Any) -> str:
        """The URL, without a path, now that it listens at *address*."""
        host, number = getattr(address, "host", None), getattr(address, "port", None)
        if host is None or number is None:
            return f"{self.scheme}+{address}"
        shown = _SHOWN.get(host, f"[{host}]" if ":" in host else host)
        return f"{self.scheme}://{shown}:{number}"

    def why_not(self, failure: Failure) -> str:
        """Why it cannot be listened on, and what to do about it, in one line."""
        error = failure.value
        if not isinstance(error, CannotListenError):
            return f"cannot listen: {failure.getErrorMessage()}"
        advice = _MOVE_IT if self.for_ollama else "Choose another --port, or end what holds it."
        return f"cannot listen on {error.interface or '*'}:{error.port} ({error.socketError}). {advice}"


def make_endpoints(
    settings: Settings, reactor: Any, certificate: ServerCertificate | None
) -> Sequence[Listener]:
    """What to listen on, that for Ollama's clients last.

    :param certificate: for those that speak TLS. With it, the address of the settings is among them unless there is
        a ``tls:`` endpoint that takes its place.
    :raises SettingError: when an ``--endpoint`` is one that cannot be served safely. Those that believe a PROXY header
        are refused before (:func:`chatmock.admission.exposure.check_exposure`).
    :raises ValueError: when one is no endpoint description.
    """
    kind = TCP6ServerEndpoint if ":" in settings.host else TCP4ServerEndpoint

    def tcp(port: int) -> IStreamServerEndpoint:
        endpoint: IStreamServerEndpoint = kind(reactor, port, interface=settings.host)
        return endpoint

    found = []
    if certificate is not None and settings.tls_port is not None:
        found.append(Listener("http", tcp(settings.port)))
        found.append(Listener("https", wrapServerTLS(certificate, tcp(settings.tls_port))))
    elif certificate is not None and not any(each.startswith(_TLS) for each in settings.endpoints):
        found.append(Listener("https", wrapServerTLS(certificate, tcp(settings.port))))
    elif not settings.endpoints:
        found.append(Listener("http", tcp(settings.port)))
    found.extend(_endpoint(each, reactor, certificate) for each in settings.endpoints)
    if settings.ollama_port is not None:
        found.append(Listener("http", tcp(settings.ollama_port), for_ollama=True))
    return found


def _endpoint(description: str, reactor: Any, certificate: ServerCertificate | None) -> Listener:
    """Twisted's endpoint of that *description*; after ``tls:`` one that speaks TLS with our *certificate*.

    Twisted's own ``ssl:`` and ``tls:`` have other ciphers, send no chain or never see a renewal.
    """
    kind, _, inner = description.partition(":")
    if kind not in ("ssl", "tls"):
        return Listener("http", serverFromString(reactor, description))
    if kind == "ssl" or certificate is None or _INNER_TLS.match(inner.replace("\\", "")):
        raise SettingError(
            f"--endpoint {description}: for TLS give --tls-cert and --tls-key, and tls: before an endpoint, such as"
            f" {_TLS}tcp:8443:interface=0.0.0.0"
        )
    return Listener("https", wrapServerTLS(certificate, serverFromString(reactor, inner)))
