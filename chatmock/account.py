"""A provider ready for use: with the owner's credential and the way to its upstream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from chatmock.catalogue import Catalogue
from chatmock.conversation import ChatRequest
from chatmock.events import Failed, Finished
from chatmock.model import Model
from chatmock.providers.interface import (
    AsksOnce,
    Credential,
    Headers,
    Provider,
    StreamDecoder,
    UpstreamRequest,
)
from chatmock.upstream import (
    ERROR_BODY_LIMIT,
    ERROR_BODY_SECONDS,
    Upstream,
    discard,
    is_answer,
    read_start,
    response_headers,
)
from chatmock.watch import Watch

T = TypeVar("T")
Close = Callable[[Finished | Failed | None], object]
"""To be called once, with the outcome, or None for an answer that was left."""


def _nothing_to_close(outcome: Finished | Failed | None) -> None:
    """An answer of one call ends with its response."""


class Credentials(Protocol):
    """Where the credential of a provider comes from."""

    @property
    def ready(self) -> bool:
        """Whether there is one, as far as can be told without asking anybody."""

    @property
    def account_id(self) -> str:
        """Whose credential it is, where an owner may have several accounts there; else empty."""

    async def current(self) -> Credential:
        """The credential to use now, renewed before if it is about to end.

        :raises Refusal: unauthenticated, when the owner has to log in.
        """

    async def renewed(self, refused: Credential) -> Credential | None:
        """Another credential after the upstream has not accepted *refused*; None when there is none to be had.

        :raises Refusal: unauthenticated, when the owner has to log in.
        """


class CatalogueMemory(Protocol):
    """Keeps a provider's list of models over restarts."""

    def recall(self) -> tuple[bytes, str] | None:
        """The list as the upstream sent it, and its entity tag; None where none is kept for the present login."""

    def keep(self, body: bytes, etag: str) -> object:
        """Remember the list *body*, whose entity tag is *etag* (empty for none)."""


@attrs.frozen
class Opening:
    """An answer that has begun: its response is at the headers, and the body is the answer."""

    asking: UpstreamRequest
    response: IResponse
    decoder: StreamDecoder | None = None
    """Reads the answer, where more than its text has to be known; None for a fresh one of the provider."""
    close: Close = _nothing_to_close


class Calls(Protocol):
    """The calls that one answer takes."""

    async def open(self, account: Account, chat: ChatRequest) -> Opening:
        """Make them, up to the response that holds the answer.

        Cancelling leaves nothing open, here or at the upstream.

        :raises Refusal: when one of them fails.
        """


@attrs.frozen
class OneCall:
    """The :class:`Calls` of an upstream that answers the first."""

    provider: AsksOnce
    clock: IReactorTime

    async def open(self, account: Account, chat: ChatRequest) -> Opening:
        """Ask, and let only an answer through that is what was asked for."""
        provider = self.provider
        asking, response = await account.ask(lambda credential: provider.request(chat, credential))
        if is_answer(response, asking.stream, asking.stream_type):
            return Opening(asking, response)
        body = await read_start(response, self.clock, ERROR_BODY_LIMIT, ERROR_BODY_SECONDS)
        raise provider.refusal(response.code, response_headers(response), body)


@attrs.frozen
class FixedCredential:
    """A key out of the settings: it is what it is."""

    credential: Credential
    ready: bool = attrs.field(default=True, init=False)
    account_id: str = attrs.field(default="", init=False)

    async def current(self) -> Credential:
        """The one there is."""
        return self.credential

    async def renewed(self, refused: Credential) -> Credential | None:
        """None: there is no other."""
        return None


@attrs.frozen
class Account:
    """One usable provider."""

    provider: Provider
    calls: Calls
    credentials: Credentials
    upstream: Upstream
    allowed: Sequence[str] = ()
    """Model names the owner allows besides the catalogue."""
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    stand_ins: Mapping[str, str] = attrs.field(factory=dict)
    """Names that clients were told once, to the models that answer to them where the upstream has none of that name."""
    has_chats: bool = False
    """Whether the upstream keeps chats that a request may choose by their id."""
    list_efforts: bool = False
    """Whether each model is listed once more for each reasoning effort it has."""
    forced_model: str | None = None
    """The model that answers, whatever is asked for."""
    observe: Callable[[Headers], object] | None = None
    """Is given the headers of every answer."""
    memory: CatalogueMemory | None = None
    """Where its models are kept over restarts."""
    takes_unlisted: bool = False
    """Whether it is asked for models too that it does not list, and no other provider either."""
    watch: Watch | None = None
    """Leaves the provider alone while it refuses; None for one that is always asked."""

    def catalogue(self, models: Sequence[Model] | None) -> Catalogue:
        """The catalogue of *models*; None while they are not known."""
        provider = self.provider
        guessed = models is None and bool(provider.presumed)
        known = provider.presumed if guessed else models
        return Catalogue(
            provider.name,
            None if known is None else {model.id: model for model in known},
            () if provider.default_model is None else (provider.default_model,),
            self.allowed,
            {**_standing_in(self.stand_ins, known), **self.aliases},
            provider.retired,
            tentative=guessed,
            efforts=provider.efforts,
            list_efforts=self.list_efforts,
            forced=self.forced_model,
            takes_unlisted=self.takes_unlisted,
        )

    def check(self, model: str) -> None:
        """See that the provider is not left alone now, before a request for *model* waits for its turn.

        :raises Refusal: as :meth:`open`, at once.
        """
        if self.watch is not None and self.credentials.ready:
            self.watch.check(model)

    async def open(self, chat: ChatRequest) -> Opening:
        """Ask *chat*; the answer is still to be read, and to be closed.

        :raises Refusal: when the upstream cannot do what is asked, there is no credential, or no response; at once while
            the provider is left alone.
        """
        asker = next(iter(chat.messages), None)
        opening, tell = await self.begin(chat.model, asker, lambda: self.calls.open(self, chat))
        end = opening.close

        def close(outcome: Finished | Failed | None) -> None:
            tell(outcome)
            end(outcome)

        return attrs.evolve(opening, close=close)

    async def begin(self, model: str, asker: object, call: Callable[[], Awaitable[T]]) -> tuple[T, Close]:
        """What *call* brings, which is an answer's beginning, and a function that is to be called once with the answer's
        outcome, or None for one that was left: the provider is left alone or not by what becomes of it.

        :param asker: an object that all tries of the request have and no other does.
        :raises Refusal: what *call* raises; at once while the provider is left alone.
        """
        watch = self.watch
        if watch is None or not self.credentials.ready:
            return await call(), _nothing_to_close
        trial = watch.enter(model, asker)
        try:
            begun = await call()
        except BaseException as error:
            watch.failed(trial, error)
            raise
        watch.opened(trial)
        return begun, partial(watch.closed, trial)

    async def ask(self, build: Callable[[Credential], UpstreamRequest]) -> tuple[UpstreamRequest, IResponse]:
        """Send what *build* makes of the credential; once more with a new one where the first is not accepted.

        The response is at its headers, whatever its status. Cancelling closes the connection.

        :raises Refusal: when there is no credential, or no response.
        """
        credential = await self.credentials.current()
        asking, response = await self._send(build(credential))
        if response.code != 401:
            return asking, response
        try:
            renewed = await self.credentials.renewed(credential)
        except BaseException:
            discard(response)
            raise
        if renewed is None:
            return asking, response
        discard(response)
        return await self._send(build(renewed))

    async def _send(self, asking: UpstreamRequest) -> tuple[UpstreamRequest, IResponse]:
        response = await self.upstream.send(self.provider.title, asking)
        if self.observe is not None:
            self.observe(response_headers(response))
        return asking, response


def _standing_in(names: Mapping[str, str], known: Sequence[Model] | None) -> Mapping[str, str]:
    """Those of *names* that no *known* model has; a model that is gone is stood in for by the first there is."""
    if known is None:
        return names
    ids = [model.id for model in known]
    return {name: model if model in ids else ids[0] for name, model in names.items() if name not in ids}


@attrs.frozen
class Accounts:
    """Every provider there is an account for, and which of them answers whom."""

    by_name: Mapping[str, Account]
    """In the order in which a default one is looked for. The last needs no account at all."""
    chosen: str | None = None
    """The default provider, where the owner has named one."""

    @property
    def ready(self) -> Sequence[str]:
        """Those with a credential now: a login may come and go while the daemon runs."""
        return [name for name, account in self.by_name.items() if account.credentials.ready]

    @property
    def default(self) -> str:
        """The one for requests that name none."""
        return self.chosen or self.ready[0]

    @property
    def offered(self) -> Sequence[str]:
        """Those whose models are listed: the demo's only where it is all there is, or asked for."""
        default = self.default
        return [name for name in self.ready if name != "demo" or default == "demo"]

    def reachable(self, model: str, wanted: str | None) -> Sequence[str]:
        """Those that may answer a request for *model*: without a credential only who is named, to say what is missing.

        :param wanted: the ``provider`` query argument.
        """
        ready = self.ready
        named = {wanted, model.partition("/")[0] if "/" in model else None, self.default}
        return [name for name in self.by_name if name in ready or name in named]
