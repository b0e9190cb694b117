"""Who may ask: TLS, host, origin and key, in this order, by a request's head (spec security.md, P2, P3, P10 to P13).

The channel asks here before it reads a body, for every route, so that a new one is protected without saying so.
The order matters: what a page in somebody's browser sends must not count as that person's wrong key, and no key is
looked at that came in the clear. Rate, limits and the queue follow in :mod:`chatmock.exchange`.
"""

from __future__ import annotations

import hmac
import math
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers

from chatmock.admission.client import Client, Key, Keys
from chatmock.admission.exposure import exposed
from chatmock.admission.head import CA, HEALTH, Head
from chatmock.admission.hops import check_hop
from chatmock.admission.hosts import check_host
from chatmock.admission.lockout import Lockout
from chatmock.admission.origins import Origins
from chatmock.admission.owner import OWNER, check_owner
from chatmock.admission.proxies import LOOPBACK, Proxies, network_of, parsed
from chatmock.admission.rates import Rates
from chatmock.admission.tokens import token_of
from chatmock.errors import Kind, Refusal
from chatmock.settings import Secret, Settings


class Arrived(Protocol):
    """A request whose head has been read."""

    method: bytes
    uri: bytes
    """The target as received, with its authority where it has one."""
    path: bytes
    requestHeaders: Headers
    client: Any
    """Set here: the :class:`~chatmock.admission.client.Client`."""

    def isSecure(self) -> bool:
        """Whether the connection is TLS."""

    def getClientAddress(self) -> Any:
        """The address of the peer."""

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Set a header of the answer, whichever that will be."""


@attrs.frozen
class Access:
    """Who needs a key, and which ones there are."""

    keys: Keys
    token: Secret | None = None
    """The owner's own key, which has no name."""
    required: bool = False
    """Whether everybody needs one."""
    exposed: bool = False
    """Whether other machines may reach the daemon."""
    allow_open: bool = False
    """Whether it may be exposed although there are no keys."""
    run_token: Secret | None = None
    """The key of this run, for the owner's commands (:mod:`chatmock.owner_key`)."""

    @property
    def needed(self) -> bool:
        """Whether a client needs a key now.

        When an exposed daemon's last key is revoked while it runs, it is shut and not open.
        """
        if self.required:
            return True
        return self.exposed and not (self.allow_open and self.token is None and not self.keys.any)

    def is_owners(self, token: bytes) -> bool:
        """Whether *token* is the owner's; takes as long whatever it is."""
        return self.token is not None and hmac.compare_digest(token, self.token.reveal().encode())

    def find(self, token: bytes) -> Key | None:
        """The key with a name whose secret is *token*, that of this run too; None for any other."""
        found = self.keys.find(token)
        own = self.run_token is not None and hmac.compare_digest(token, self.run_token.reveal().encode())
        return OWNER if own else found


@attrs.frozen
class Guard:
    """Admits or refuses a request by its head."""

    clock: IReactorTime
    rates: Rates
    lockout: Lockout
    access: Access
    origins: Origins
    proxies: Proxies
    allowed_hosts: frozenset[str]
    require_tls: bool

    @classmethod
    def of(
        cls, settings: Settings, clock: IReactorTime, keys: Keys, run_token: Secret | None = None
    ) -> Guard:
        """The guard that *settings* ask for, over the client *keys* that have been given out and the run's own."""
        return cls(
            clock,
            Rates(settings.rate_limit_rps, settings.rate_limit_burst),
            Lockout(),
            Access(
                keys,
                settings.access_token,
                settings.require_auth,
                bool(exposed(settings)),
                settings.allow_open,
                run_token,
            ),
            Origins(frozenset(settings.cors_origins)),
            Proxies(settings.trusted_proxies),
            frozenset(settings.allowed_hosts),
            settings.require_tls,
        )

    def admit(self, request: Arrived) -> Refusal | None:
        """Why *request* is not answered, by its head alone; None when it is.

        Sets ``request.client``, and the headers that tell a browser which page may read the answer, whichever it is.
        """
        head = head_of(request)
        request.client = Client(self.proxies.client_of(head))
        for name, value in self.origins.headers(head).items():
            request.setHeader(name, value)
        try:
            secure = self._check_tls(head)
            called = check_host(head, self.allowed_hosts)
            self.origins.check(head, b"%b://%b" % (b"https" if secure else b"http", called))
            if not head.is_open:
                request.client = self._holder(head, request.client)
                check_hop(head)
        except Refusal as refusal:
            if refusal.kind is Kind.UNAUTHENTICATED:
                request.setHeader(b"www-authenticate", b"Bearer")
            return refusal
        return None

    def preflight(self, request: Arrived) -> None:
        """Set what a preflight's answer tells an allowed page besides: the methods and headers it may send."""
        for name, value in self.origins.preflight(head_of(request)).items():
            request.setHeader(name, value)

    def check_owner(self, request: Any) -> None:
        """See that *request*, which was admitted, may change the daemon.

        :raises Refusal: forbidden.
        """
        check_owner(request, self.proxies)

    def spend(self, client: Client) -> None:
        """Count one request of *client* against its rate.

        :raises Refusal: rate limited.
        """
        self.rates.spend(client, self.clock.seconds())

    def _check_tls(self, head: Head) -> bool:
        """Whether *head* came over TLS, as far as that counts."""
        secure = self.proxies.secure(head)
        if self.require_tls and not secure and not (head.is_open and head.path in HEALTH | CA):
            raise Refusal(
                Kind.FORBIDDEN,
                "This server answers over TLS only (REQUIRE_TLS): use https.",
                code="tls_required",
            )
        return secure

    def _holder(self, head: Head, client: Client) -> Client:
        """The *client*, with the key it shows.

        :raises Refusal: unauthenticated, the same for no key and a wrong one; rate limited after too many wrong ones.
        """
        access = self.access
        token = token_of(head)
        if token is not None:
            key = access.find(token)
            if key is not None:
                return attrs.evolve(client, key=key)
            if access.is_owners(token):
                return client
        if not access.needed:
            return client
        wait = None if token is None else self.lockout.count(_network(client), self.clock.seconds())
        if wait is not None:
            raise _locked_out(wait)
        raise Refusal(
            Kind.UNAUTHENTICATED,
            "Send a key of this server: Authorization: Bearer … or x-api-key. Its owner has one for you:"
            " CHATMOCK_ACCESS_TOKEN, or chatmock keys add NAME.",
            code="invalid_api_key",
        )


def head_of(request: Arrived) -> Head:
    """The head of *request*, as the checks read it."""
    fields = request.requestHeaders
    return Head(
        request.method,
        request.uri,
        request.path,
        lambda name: fields.getRawHeaders(name, ()),
        getattr(request.getClientAddress(), "host", None) or LOOPBACK,
        bool(request.isSecure()),
    )


def _network(client: Client) -> str:
    """Whose wrong keys are counted together: nobody gets more guesses by changing about in a /64 of IPv6."""
    address = parsed(client.address)
    return client.address if address is None else network_of(address)


def _locked_out(wait: float) -> Refusal:
    seconds = max(math.ceil(wait), 1)
    return Refusal(
        Kind.RATE_LIMITED,
        f"Too many wrong keys from this address. Try again in {seconds} s, with the right one.",
        code="too_many_wrong_keys",
        retry_after=seconds,
    )
