"""Where objects meet: settings in, a running daemon out."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS

from chatmock.account import Account, Accounts, FixedCredential, OneCall
from chatmock.admission.backoff import Backoff
from chatmock.admission.exposure import check_exposure
from chatmock.admission.fair_queue import FairQueue
from chatmock.admission.guard import Guard
from chatmock.admission.limits import Limits
from chatmock.admission.slots import Slots
from chatmock.anthropic_routes import AnthropicRoutes, is_anthropic
from chatmock.banner import banner
from chatmock.chatgpt_account import ChatGPTAccount
from chatmock.connection_counts import ConnectionCounts
from chatmock.conversation import Thinking
from chatmock.discovery import Discovery
from chatmock.endpoints import Listener, make_endpoints
from chatmock.exchange import Desk, Timeouts
from chatmock.http_terms import Bounds
from chatmock.kept_answers.live import KeptAnswers
from chatmock.keys.live import LiveKeys
from chatmock.listening import BoundedSite
from chatmock.ollama_root import with_ollama_root
from chatmock.ollama_routes import OllamaRoutes
from chatmock.owner_key import OwnerKey
from chatmock.playback import DemoUpstream
from chatmock.providers import PROVIDERS
from chatmock.qwen_account import QwenAccount
from chatmock.responses_routes import ResponsesRoutes
from chatmock.routes import Routes
from chatmock.routing import Router
from chatmock.settings import PROVIDERS as NAMES
from chatmock.settings import Settings
from chatmock.signals import on_hangup
from chatmock.state_files import state_folder
from chatmock.surface import Surface, under
from chatmock.threads import Threads
from chatmock.tls.keeper import CertificateKeeper
from chatmock.upstream import Upstream, UpstreamClient
from chatmock.watch import Watch

Announce = Callable[[str], object]
_THREADS = 3


def keyed_accounts(
    settings: Settings, upstream: Upstream, demo_upstream: Upstream, clock: IReactorTime
) -> Mapping[str, Account]:
    """An account for each provider that the settings give the key or address it needs, by name."""
    accounts = {}
    for name, entry in PROVIDERS.items():
        provider = entry.build(settings)
        if provider is not None:
            accounts[name] = Account(
                provider,
                OneCall(provider, clock),
                FixedCredential(entry.credential(settings)),
                demo_upstream if name == "demo" else upstream,
                getattr(settings, f"{name}_models", ()),
                getattr(settings, f"{name}_aliases", {}),
                takes_unlisted=entry.takes_unlisted,
                watch=_watch(name, provider.title, settings, clock),
            )
    return accounts


def _watch(name: str, title: str, settings: Settings, clock: IReactorTime) -> Watch | None:
    """The watch over a provider; none over the demo, which fails where it is told to, and has no account to spare."""
    return None if name == "demo" else Watch(name, title, settings.max_cooldown, clock, time.time)


class ChatmockService(Service):
    """The running daemon: listens, asks upstreams, and closes both when it stops.

    :param announce: is given the start message once the ports are open.
    """

    log = Logger()

    def __init__(
        self, settings: Settings, reactor: Any, announce: Announce, policy: IPolicyForHTTPS | None
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._threads = Threads(reactor, _THREADS)
        self._keys = LiveKeys.of(settings, reactor, self._threads)
        self._keys.load()
        self._kept = KeptAnswers.of(settings, reactor, self._threads)
        self._responses: ResponsesRoutes | None = None
        self._owner_key = OwnerKey(state_folder(settings.home))
        self._guard = Guard.of(settings, reactor, self._keys, self._owner_key.secret)
        self._warnings = check_exposure(settings, self._keys.any)
        self._announce = announce
        self._client = UpstreamClient(
            reactor,
            settings.connect_timeout,
            settings.first_byte_timeout,
            settings.max_concurrency,
            policy,
        )
        self._chatgpt = ChatGPTAccount.of(settings, self._client, reactor, self._threads)
        keyed = keyed_accounts(settings, self._client, DemoUpstream(reactor), reactor)
        self.qwen = QwenAccount.of(settings, self._client, reactor, self._threads)
        known = {"chatgpt": self._chatgpt.account, **keyed}
        if self.qwen is not None:
            known["qwen"] = self.qwen.account
        self.accounts = Accounts({name: known[name] for name in NAMES if name in known}, settings.provider)
        self.slots = Slots(
            settings.max_concurrency,
            FairQueue(settings.queue_limit, settings.client_queue_limit),
            settings.queue_timeout,
            reactor,
        )
        self._discovery = Discovery(self.accounts.by_name, reactor)
        self._certificates = CertificateKeeper.of(settings, reactor, time.time, self._threads)
        self._listeners = make_endpoints(settings, reactor, self._certificates.certificate)
        self._forget_hangup: Callable[[], None] = lambda: None
        self._ports: list[IListeningPort] = []
        self.urls: list[str] = []
        """Where it listens, once it does, without a path."""
        self.ollama_url: str | None = None
        """Where it listens for Ollama's clients besides."""
        self.setName("chatmock")

    def privilegedStartService(self) -> None:
        """Open the ports.

        :raises SystemExit: with one line, when one cannot be opened.
        """
        site, ollama_site = self._sites()
        for listener in self._listeners:
            opened: Deferred[IListeningPort] = listener.endpoint.listen(
                ollama_site if listener.for_ollama else site
            )
            failures: list[Failure] = []
            opened.addCallbacks(self._opened, failures.append, callbackArgs=(listener,))
            if failures:
                raise SystemExit(f"chatmock: {listener.why_not(failures[0])}")

    def startService(self) -> None:
        """Say so, and ask the upstreams for their models."""
        super().startService()
        if not self._ports:
            self.privilegedStartService()
        for warning in self._warnings:
            self.log.warn("{warning}", warning=warning)
        self._forget_hangup = on_hangup(self._reactor, self._certificates.reload)
        self._write_owner_key()
        self._announce(self._banner())
        self._keys.start()
        self._kept.start()
        self._certificates.start()
        self._chatgpt.start()
        self._discovery.current()

    def stopService(self) -> Deferred[Any]:
        """Close the ports and the idle connections; fires when that is done."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._discovery.stop()
        ports, self._ports = self._ports, []
        await gatherResults([maybeDeferred(port.stopListening) for port in ports])
        if self._responses is not None:
            await self._responses.stop()
        self._owner_key.remove()
        stopping = [self._chatgpt.stop()] if self.qwen is None else [self._chatgpt.stop(), self.qwen.stop()]
        await gatherResults([Deferred.fromCoroutine(each) for each in stopping])
        await self._keys.stop()
        await self._kept.stop()
        await self._certificates.stop()
        self._threads.stop()
        self._client.close()
        self._forget_hangup()  # last: without it SIGHUP kills, and a login's refresh may still be awaited

    def _sites(self) -> tuple[BoundedSite, BoundedSite]:
        """What is served, and the same as an Ollama: the tables, the guard and the counts are the same ones."""
        settings, clock = self._settings, self._reactor
        limits = Limits.of(settings)
        desk = Desk(
            clock=clock,
            guard=self._guard,
            limits=limits,
            slots=self.slots,
            backoff=Backoff(random.random),
            timeouts=Timeouts(
                idle=settings.idle_timeout,
                total=settings.total_timeout,
                keepalive=settings.keepalive_after,
            ),
            router=Router(self.accounts, self._discovery, settings.model),
            limits_left=self._chatgpt.limits_left,
            threads=self._threads,
        )
        bounds, connections = Bounds(stall_seconds=settings.stall_timeout), ConnectionCounts.of(settings)

        def site(surface: Surface) -> BoundedSite:
            return BoundedSite(surface, clock, limits.max_body_bytes, self._guard, bounds, connections)

        surface = self._surface(desk)
        return site(surface), site(with_ollama_root(surface))

    def _surface(self, desk: Desk) -> Surface:
        thinking = cast("Thinking", self._settings.reasoning_compat)
        self._responses = ResponsesRoutes(desk, self._kept)
        tables = [
            (is_anthropic, AnthropicRoutes(desk, self._settings.anthropic_models).app.resource()),
            (under(b"/v1/responses"), self._responses.app.resource()),
            (under(b"/api", but=(b"/api/queue", b"/api/providers")), OllamaRoutes(desk).app.resource()),
        ]
        return Surface(tables, Routes(desk, thinking, self._certificates.document).app.resource())

    def _opened(self, port: IListeningPort, listener: Listener) -> None:
        self._ports.append(port)
        url = listener.url(port.getHost())
        if listener.for_ollama:
            self.ollama_url = url
        else:
            self.urls.append(url)

    def _write_owner_key(self) -> None:
        hosts = [port.getHost() for port in self._ports]
        try:
            self._owner_key.write(host.port for host in hosts if hasattr(host, "port"))
        except OSError as error:
            self.log.warn(
                "chatmock heal and info are not known as the owner's, for their key cannot be written: {why}."
                " Make CHATGPT_LOCAL_HOME writable, or give them CHATMOCK_ACCESS_TOKEN",
                why=error.strerror or type(error).__name__,
            )

    def _banner(self) -> str:
        settings = self._settings
        accounts, default = self.accounts, self.accounts.default
        needs = {
            "chatgpt": "run: chatmock login",
            "qwen": "set QWEN_AUTH_TOKEN",
            **{entry.name: f"set {entry.needs}" for entry in PROVIDERS.values()},
        }
        ready = accounts.ready
        return banner(
            self.urls,
            default,
            accounts.offered,
            [(name, needs[name]) for name in NAMES if name not in ready],
            settings.model or accounts.by_name[default].provider.default_model,
            self._guard.access.needed,
            self._notices(),
            self.ollama_url,
        )

    def _notices(self) -> Sequence[str]:
        notices = [self._chatgpt.notice, "" if self.qwen is None else self.qwen.notice]
        return [notice for notice in (*notices, *self._certificates.notices) if notice]


def make_service(
    settings: Settings, reactor: Any, announce: Announce, policy: IPolicyForHTTPS | None = None
) -> ChatmockService:
    """The daemon for *settings*, not started yet.

    :param policy: how upstreams' certificates are checked; by the system's authorities unless given.
    :raises SettingError: when a setting cannot be put into practice, or would open the daemon to whoever reaches it.
    """
    raise_descriptor_limit()
    return ChatmockService(settings, reactor, announce, policy)


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system lets this process have: a stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
