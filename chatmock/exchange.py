"""One request's life, from its body to the last byte of its answer. What it opens it closes here, exactly once.

``Received → admitted → routed → queued → asked (perhaps again) → answered``. A client that leaves cancels the
coroutine wherever it stands: in the queue, between tries, before the upstream's headers or in its body; the
``finally`` of each stage gives back what the stage took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from chatmock.account import Account, Accounts, Opening
from chatmock.admission.backoff import Backoff
from chatmock.admission.guard import Guard
from chatmock.admission.limits import Limits
from chatmock.admission.slots import Slots, Turn
from chatmock.admission.tries import tried
from chatmock.answer import Answer
from chatmock.conversation import ChatRequest
from chatmock.dialects import Dialect
from chatmock.dialects.interface import ChecksTranslated
from chatmock.discovery import Discovery
from chatmock.errors import Refusal, bad_request, fault_of_ours
from chatmock.events import Failed, Finished
from chatmock.heads import query_argument, refuse, session_of, set_whole
from chatmock.identities import new_identity
from chatmock.providers.client_fields import with_ignored
from chatmock.providers.interface import IGNORED, passes
from chatmock.relay import BodyRelay
from chatmock.routing import Router
from chatmock.settings.values import Uuid
from chatmock.stream_failure import failing
from chatmock.stream_reply import StreamReply
from chatmock.transcoding import Transcoder, transcoder
from chatmock.whole_body import written

_log = Logger()
_NOTHING_ASKED = ChatRequest("", ())


@attrs.frozen
class Timeouts:
    """Seconds."""

    idle: float
    """Without a record from the upstream."""
    total: float
    """From the upstream's headers to the end of its answer."""
    keepalive: float
    """Without a record for a client that wants a stream, before it is told in comments what it waits for."""


class Memory(Protocol):
    """What one request has to do with answers that are kept."""

    async def read(self, body: bytes) -> ChatRequest:
        """Read the request, with the conversation that it goes on from.

        :raises Refusal: bad request, or there is no such conversation of this client.
        """

    def keep(self, answer: bytes) -> object:
        """Keep the *answer* whole, for requests that go on from it."""


@attrs.frozen
class Desk:
    """What every exchange needs; made once by :mod:`chatmock.service`."""

    clock: IReactorTime
    guard: Guard
    limits: Limits
    slots: Slots
    backoff: Backoff
    timeouts: Timeouts
    router: Router
    limits_left: Callable[[], bytes]
    """What is left of the owner's plans, as JSON."""
    threads: Callable[..., Deferred[Any]]
    """Runs a function that blocks: :class:`chatmock.threads.Threads`."""

    @property
    def accounts(self) -> Accounts:
        """The providers."""
        return self.router.accounts

    @property
    def discovery(self) -> Discovery:
        """Their models."""
        return self.router.discovery

    def answer(
        self, request: IRequest, dialect: Dialect, memory: Memory | None = None
    ) -> Deferred[bytes | None]:
        """Answer *request*; fires with what is still to be written when the answer is complete or refused.

        Cancelling it (the client has left) closes the upstream and gives the permit back.

        :param memory: knows of earlier answers that the request may go on from; None where nothing is kept.
        """
        return Deferred.fromCoroutine(Exchange(self, request, dialect, memory).run())


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_chat",
        "_desk",
        "_dialect",
        "_identity",
        "_memory",
        "_notes",
        "_reply",
        "_request",
        "_way",
    )

    def __init__(self, desk: Desk, request: IRequest, dialect: Dialect, memory: Memory | None = None) -> None:
        self._desk = desk
        self._request: Any = request  # IRequest names neither producers nor the transport
        self._dialect = dialect
        self._memory = memory
        self._identity = new_identity()
        self._chat = _NOTHING_ASKED
        self._notes: dict[str, str] = {}
        self._reply = StreamReply(request, dialect, desk.clock, self._notes, self._forget_what_was_asked)
        self._way: Transcoder | None = None

    async def run(self) -> bytes | None:
        """The whole life; see :meth:`Desk.answer`."""
        desk, request = self._desk, self._request
        try:
            assert request.content is not None, "a route is asked after the body has come"
            desk.guard.spend(request.client)  # before the work, so that a body that is refused counts as well
            self._chat, notes = desk.limits.apply(await self._read(request.content.read()))
            request.content.close()
            self._take_from_around(request)
            self._notes.update(notes)
            if self._chat.stream:
                self._reply.keep_alive(desk.timeouts.keepalive)
            account = await self._route()
            if self._chat.load is not None and not passes(self._chat, account.provider.wires):
                whole: bytes | None = self._dialect.complete(self._chat, self._identity, Answer())
            else:
                whole = await self._in_turn(account)
            return None if whole is None else await self._write_whole(whole)
        except Refusal as refusal:
            return self._refuse(refusal)
        except CancelledError:
            raise
        except Exception:
            if not self._reply.begun:
                raise
            # Twisted would end the stream as if it were complete.
            _log.failure("a stream failed for a fault of chatmock")
            return self._refuse(fault_of_ours())
        finally:
            self._reply.stop()

    async def _read(self, body: bytes) -> ChatRequest:
        return self._dialect.parse(body) if self._memory is None else await self._memory.read(body)

    def _refuse(self, refusal: Refusal) -> bytes | None:
        """Tell *refusal*: with a status of its own, or in the stream that has begun."""
        refusal.model = self._chat.asked_model or self._chat.model
        if not self._reply.begun:
            return refuse(self._request, self._dialect, refusal, self._notes)
        self._reply.finish(self._told(Failed(refusal)))
        return None

    def _take_from_around(self, request: IRequest) -> None:
        """Take what stands beside the body: the conversation's name in a header, the upstream's chat in the URL.

        :raises Refusal: bad request, for a chat that is no UUID.
        """
        session, chat_id = session_of(request), query_argument(request, b"chat_id")
        if session is None and chat_id is None:
            return
        if chat_id is not None:
            try:
                chat_id = Uuid().read(chat_id)
            except ValueError:
                message = "'chat_id' is a UUID, as it stands in the address of a chat."
                raise bad_request(message, param="chat_id", code="invalid_chat_id") from None
        self._chat = attrs.evolve(self._chat, session=session, upstream_chat=chat_id)

    async def _route(self) -> Account:
        """The account that answers; the chat then names the model as its upstream knows it."""
        chat = self._chat
        wanted = query_argument(self._request, b"provider")
        to = await self._desk.router.route(chat.model, chat.otherwise, wanted, self._request.client.key)
        self._chat = attrs.evolve(
            chat,
            model=to.model,
            asked_model=chat.asked_model or to.asked,
            model_effort=to.effort,
            details=to.details,
        )
        if chat.upstream_chat is not None and not to.account.has_chats:
            message = f"'chat_id' names a chat of an upstream that keeps some; {to.account.provider.title} does not."
            raise bad_request(message, param="chat_id")
        if not passes(self._chat, to.account.provider.wires) and isinstance(self._dialect, ChecksTranslated):
            self._dialect.check_translated(self._chat)
        return to.account

    async def _in_turn(self, account: Account) -> bytes | None:
        """Wait for a permit, and ask; not where nothing is asked now anyway. The permit is free when the upstream is,
        however long a client then takes to read a whole answer."""
        account.check(self._chat.model)
        turn = self._desk.slots.join(self._request.client)
        if turn.queued:
            self._reply.waits(lambda _: f"waiting in the queue{_in_place(turn)}")
        return await turn.run(lambda: self._ask(account))

    async def _ask(self, account: Account) -> bytes | None:
        """Ask the upstream, again where that makes sense: after a passing fault, or with a changed request, once
        for each kind of refusal."""
        title = account.provider.title
        self._reply.waits(lambda seconds: f"waiting for {title}, {seconds:.0f} s")
        amended: set[str | None] = set()

        def amend(refusal: Refusal) -> bool:
            self._chat = attrs.evolve(self._chat, resume=refusal.resume)
            amendment = None if refusal.code in amended else account.provider.amend(self._chat, refusal)
            if amendment is None:
                return False
            amended.add(refusal.code)
            self._chat = amendment.chat
            self._notes.update(amendment.notes)
            return True

        return await tried(lambda: self._try(account), self._desk.backoff, self._desk.clock, amend)

    async def _try(self, account: Account) -> bytes | None:
        """Send once and carry the answer; returns one that is still to be written, whole.

        :raises Refusal: while the client has not been answered anything.
        """
        opening = await account.open(self._chat)
        close = opening.close
        outcome: Finished | Failed | None = None
        whole: list[bytes] = []
        try:
            self._notes.update(opening.asking.notes)
            if self._chat.ignored and not passes(self._chat, account.provider.wires):
                self._notes[IGNORED] = with_ignored(self._notes.get(IGNORED, ""), self._chat.ignored)
            done = self._relay(account, opening, whole)
            del opening  # a stream may last, and what was asked is not needed any more
            outcome = await done
        finally:
            self._reply.attach(None)
            close(outcome)
        if isinstance(outcome, Failed):
            if not self._reply.answered:
                raise outcome.refusal
            self._reply.finish(self._told(outcome))
        elif not self._chat.stream:
            return b"".join(whole)
        else:
            self._reply.finish()
        return None

    def _relay(self, account: Account, opening: Opening, whole: list[bytes]) -> Deferred[Finished | Failed]:
        """Carry the answer to the client, or into *whole* for one that wants no stream."""
        desk = self._desk
        way = transcoder(account.provider, self._dialect, self._chat, self._identity, opening.decoder)
        self._way = way
        relay = BodyRelay(
            way,
            self._reply.write if self._chat.stream else whole.append,
            desk.clock,
            desk.timeouts.idle,
            desk.timeouts.total,
        )
        self._reply.attach(relay)
        opening.response.deliverBody(relay)
        if self._memory is not None and self._chat.keep:
            relay.done.addCallback(self._keep, way, self._memory)
        return relay.done

    def _keep(self, outcome: Finished | Failed, way: Transcoder, memory: Memory) -> Finished | Failed:
        if way.answer is not None:
            memory.keep(way.answer)
        return outcome

    def _forget_what_was_asked(self) -> None:
        """It will not be asked again, and can go while the answer lasts."""
        self._chat = attrs.evolve(self._chat, messages=(), tools=(), source=None, extras={})

    def _told(self, outcome: Failed) -> bytes:
        """The end of a stream that says that it has failed."""
        told = None if self._way is None else failing(self._way, self._dialect, outcome)
        return self._dialect.encoder(self._chat, self._identity).encode([outcome]) if told is None else told

    async def _write_whole(self, body: bytes) -> bytes | None:
        """A complete answer; a large one at the client's pace, while nothing else of it is held."""
        self._way = None
        self._forget_what_was_asked()
        set_whole(self._request, self._dialect, len(body), self._notes)
        return await written(body, self._request)


def _in_place(turn: Turn) -> str:
    """Where it stands in the queue; nothing in the moment between the grant and its being told."""
    place = turn.place
    return "" if place is None else f", {place.words}"
