"""The order in which a request is admitted: TLS, origin, key, rate. The limits of its content and the queue follow
in :mod:`chatmock.exchange`, once the body is read."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest

from chatmock.admission.rates import Rates
from chatmock.errors import Kind, Refusal
from chatmock.settings import Secret, Settings

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Guard:
    """Admits or refuses a request by what stands before its body."""

    clock: IReactorTime
    rates: Rates
    access_token: Secret | None
    """The bearer token that clients must show; None when they need not."""
    require_tls: bool
    trusted_proxies: Collection[IPNetwork]
    cors_origins: Collection[str]

    @classmethod
    def of(cls, settings: Settings, clock: IReactorTime) -> Guard:
        """The guard that *settings* ask for."""
        return cls(
            clock,
            Rates(settings.rate_limit_rps, settings.rate_limit_burst),
            settings.access_token if settings.require_auth else None,
            settings.require_tls,
            settings.trusted_proxies,
            settings.cors_origins,
        )

    def admit(self, request: IRequest) -> None:
        """Check *request* and set the response headers that browsers need.

        :raises Refusal: forbidden (TLS, origin), unauthenticated (key) or rate limited.
        """
        self._check_tls(request)
        self._check_origin(request)
        self._check_key(request)
        self.rates.spend(_client(request), self.clock.seconds())

    def allow_origin(self, request: IRequest) -> bool:
        """Tell a browser that its page may read the answer, if it may; whether that is so."""
        origin = _header(request, b"origin")
        if self.cors_origins:
            request.responseHeaders.setRawHeaders(b"vary", [b"Origin"])
        if not origin or not (origin in self.cors_origins or "*" in self.cors_origins):
            return False
        request.setHeader(b"access-control-allow-origin", origin.encode("latin-1"))
        request.setHeader(
            b"access-control-expose-headers",
            b"x-request-id, retry-after, x-chatmock-ignored, x-chatmock-clamped, x-chatmock-truncated,"
            b" x-chatmock-max-tokens, x-chatmock-effort, x-chatmock-fast-mode, x-chatmock-web-search",
        )
        return True

    def _check_tls(self, request: IRequest) -> None:
        if not self.require_tls or request.isSecure():
            return
        forwarded = request.requestHeaders.getRawHeaders(b"x-forwarded-proto", [])
        if len(forwarded) == 1 and forwarded[0].strip().lower() == b"https" and self._from_proxy(request):
            return
        raise Refusal(
            Kind.FORBIDDEN, "This server answers over TLS only (REQUIRE_TLS): use https.", code="tls_required"
        )

    def _from_proxy(self, request: IRequest) -> bool:
        try:
            peer = ipaddress.ip_address(_peer(request))
        except ValueError:
            return False
        return any(peer in network for network in self.trusted_proxies)

    def _check_origin(self, request: IRequest) -> None:
        """A page of a foreign origin may not spend the account, whether or not it could read the answer."""
        if self.allow_origin(request):
            return
        site = _header(request, b"sec-fetch-site")
        if _header(request, b"origin") or site in ("cross-site", "same-site"):
            raise Refusal(
                Kind.FORBIDDEN,
                "Web pages of other origins may not ask here. The owner can allow one: CHATMOCK_CORS_ORIGINS.",
                code="origin_not_allowed",
            )

    def _check_key(self, request: IRequest) -> None:
        if self.access_token is None:
            return
        shown = request.requestHeaders.getRawHeaders(b"authorization", [])
        scheme, _, token = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
        wanted = self.access_token.reveal().encode()
        if not (hmac.compare_digest(token.strip(), wanted) and scheme.lower() == b"bearer"):
            request.setHeader(b"www-authenticate", b"Bearer")
            raise Refusal(
                Kind.UNAUTHENTICATED,
                "Send the access token of this server: Authorization: Bearer … (CHATMOCK_ACCESS_TOKEN).",
                code="invalid_api_key",
            )


def _header(request: IRequest, name: bytes) -> str:
    values = request.requestHeaders.getRawHeaders(name, [])
    return values[-1].decode("latin-1") if values else ""


def _peer(request: IRequest) -> str:
    address = request.getClientAddress()
    return str(getattr(address, "host", ""))


def _client(request: IRequest) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 one."""
    peer = _peer(request)
    if ":" not in peer:
        return peer
    address = ipaddress.IPv6Address(peer.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
