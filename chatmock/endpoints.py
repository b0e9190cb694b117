"""What the daemon listens on, out of the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString, wrapServerTLS
from twisted.internet.interfaces import IStreamServerEndpoint

from chatmock.certificates import ServerCertificate
from chatmock.settings import SettingError, Settings

_TLS: Final = "tls:"
_INNER_TLS: Final = re.compile(r"(?:ssl|tls):", re.IGNORECASE)


def make_endpoints(
    settings: Settings, reactor: Any, certificate: ServerCertificate | None
) -> Sequence[tuple[str, IStreamServerEndpoint]]:
    """What to listen on: ``(scheme, endpoint)`` for each.

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

    endpoints = []
    if certificate is not None and settings.tls_port is not None:
        endpoints.append(("http", tcp(settings.port)))
        endpoints.append(("https", wrapServerTLS(certificate, tcp(settings.tls_port))))
    elif certificate is not None and not any(each.startswith(_TLS) for each in settings.endpoints):
        endpoints.append(("https", wrapServerTLS(certificate, tcp(settings.port))))
    elif not settings.endpoints:
        endpoints.append(("http", tcp(settings.port)))
    return [*endpoints, *(_endpoint(each, reactor, certificate) for each in settings.endpoints)]


def _endpoint(
    description: str, reactor: Any, certificate: ServerCertificate | None
) -> tuple[str, IStreamServerEndpoint]:
    """Twisted's endpoint of that *description*; after ``tls:`` one that speaks TLS with our *certificate*.

    Twisted's own ``ssl:`` and ``tls:`` have other ciphers, send no chain or never see a renewal.
    """
    kind, _, inner = description.partition(":")
    if kind not in ("ssl", "tls"):
        return "http", serverFromString(reactor, description)
    if kind == "ssl" or certificate is None or _INNER_TLS.match(inner.replace("\\", "")):
        raise SettingError(
            f"--endpoint {description}: for TLS give --tls-cert and --tls-key, and tls: before an endpoint, such as"
            f" {_TLS}tcp:8443:interface=0.0.0.0"
        )
    return "https", wrapServerTLS(certificate, serverFromString(reactor, inner))
