"""One request for embeddings, from its body to the last byte of its answer: as an exchange, but for one whole answer.

``Received → routed → queued → asked (perhaps again) → answered``. A client that leaves cancels the coroutine wherever
it stands; what it holds then, a place in the queue, a permit, an upstream's answer, is given back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest, IResponse

from chatmock.account import Account, Accounts
from chatmock.admission.tries import tried
from chatmock.dialects.interface import EmbeddingForm
from chatmock.errors import Kind, Refusal
from chatmock.events import Failed, Finished, Usage
from chatmock.exchange import Desk
from chatmock.heads import query_argument, refuse, set_whole
from chatmock.providers.client_fields import with_ignored
from chatmock.providers.interface import IGNORED, Embedder
from chatmock.relay import BodyRelay
from chatmock.upstream import ERROR_BODY_LIMIT, ERROR_BODY_SECONDS, is_answer, read_start, response_headers
from chatmock.vectors import EmbeddingRequest, Embeddings
from chatmock.whole_body import written

_MOST_AT_ONCE: Final = 1024 * 1024
"""Bytes of an answer that are read or written while everybody else waits."""


def embed(desk: Desk, request: IRequest, form: EmbeddingForm) -> Deferred[bytes | None]:
    """Answer *request*; fires with what is still to be written when the answer is complete or refused.

    Cancelling it (the client has left) closes the upstream and gives the permit back.
    """
    return Deferred.fromCoroutine(_run(desk, request, form))


async def _run(desk: Desk, request: Any, form: EmbeddingForm) -> bytes | None:
    began = desk.clock.seconds()
    notes: dict[str, str] = {}
    name = ""
    try:
        assert request.content is not None, "a route is asked after the body has come"
        desk.guard.spend(request.client)  # before the work, so that a body that is refused counts as well
        asked = form.parse(request.content.read())
        request.content.close()
        name = asked.model
        desk.limits.check_embedding(asked)
        account, asked = await _route(desk, request, asked)
        if asked.ignored and not _in_its_own_form(account, asked):
            notes[IGNORED] = with_ignored("", asked.ignored)
        found = await _in_turn(desk, request, account, asked)
    except Refusal as refusal:
        refusal.model = name
        return refuse(request, form.dialect, refusal, notes)
    took = int((desk.clock.seconds() - began) * 1e9)
    body: bytes = await _worked_out(desk, found.size, form.complete, asked, found, took)
    set_whole(request, form.dialect, len(body), notes)
    return await written(body, request)


async def _route(desk: Desk, request: Any, asked: EmbeddingRequest) -> tuple[Account, EmbeddingRequest]:
    """The account that answers, and *asked* with the model as its upstream knows it.

    :raises Refusal: as :meth:`chatmock.routing.Router.route`; not implemented, when the account has no embeddings.
    """
    accounts, wanted = desk.accounts, query_argument(request, b"provider")
    try:
        to = await desk.router.route(asked.model, asked.otherwise, wanted, request.client.key)
    except Refusal as refusal:
        default = accounts.by_name.get(wanted or accounts.default)
        if refusal.kind is Kind.NOT_FOUND and default is not None and default.provider.embedder is None:
            raise _no_embeddings(default, accounts) from None
        raise
    if to.account.provider.embedder is None:
        raise _no_embeddings(to.account, accounts)
    return to.account, attrs.evolve(asked, model=to.model, asked_model=to.asked)


def _in_its_own_form(account: Account, asked: EmbeddingRequest) -> bool:
    """Whether the upstream is asked in the form its client asks in."""
    embedder = account.provider.embedder
    return embedder is not None and asked.form in embedder.forms


def _no_embeddings(account: Account, accounts: Accounts) -> Refusal:
    """Why *account* is of no use for embeddings, and which are."""
    able = [name for name in accounts.ready if accounts.by_name[name].provider.embedder is not None]
    if able:
        advice = (
            f"Usable providers that have: {', '.join(able)}. Name one before the model, as in"
            f" '{able[0]}/MODEL', or with ?provider={able[0]}."
        )
    else:
        advice = "No usable provider has: the owner can set up OpenRouter, DashScope, Ollama or a compatible server."
    return Refusal(
        Kind.NOT_IMPLEMENTED,
        f"{account.provider.title} has no embeddings. {advice}",
        code="embeddings_unsupported",
        param="model",
    )


async def _in_turn(desk: Desk, request: Any, account: Account, asked: EmbeddingRequest) -> Embeddings:
    """Wait for a permit, and ask. Where nothing is to be embedded there is nothing to ask, but of who may be asked that way to
    have its model in memory."""
    embedder = account.provider.embedder
    assert embedder is not None, "routed to one that has embeddings"
    if not asked.inputs and not _in_its_own_form(account, asked):
        return Embeddings(())
    account.check(asked.model)
    turn = desk.slots.join(request.client)
    return await turn.run(
        lambda: tried(lambda: _ask(desk, account, embedder, asked), desk.backoff, desk.clock)
    )


async def _ask(desk: Desk, account: Account, embedder: Embedder, asked: EmbeddingRequest) -> Embeddings:
    """Send once and read the answer.

    :raises Refusal: when it is none, or does not come in time.
    """

    async def call() -> IResponse:
        _, response = await account.ask(lambda credential: embedder.request(asked, credential))
        if is_answer(response, stream=False):
            return response
        body = await read_start(response, desk.clock, ERROR_BODY_LIMIT, ERROR_BODY_SECONDS)
        raise embedder.refusal(response.code, response_headers(response), body)

    response, close = await account.begin(asked.model, asked, call)
    outcome: Finished | Failed | None = None
    gathered = _Gathered()
    try:
        relay = BodyRelay(
            gathered, lambda _: None, desk.clock, desk.timeouts.idle, total_timeout=desk.timeouts.total
        )
        response.deliverBody(relay)
        outcome = await relay.done
        if isinstance(outcome, Failed):
            raise outcome.refusal
        whole = bytes(gathered.body)
        found: Embeddings = await _worked_out(desk, len(whole), embedder.read, asked, whole)
    except Refusal as refusal:
        outcome = Failed(refusal)
        raise
    finally:
        close(outcome)
    return found


async def _worked_out(desk: Desk, size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """What *work* makes of *arguments*, of *size* bytes; of many in a thread, since that takes up to a second.

    Who leaves meanwhile leaves it at once: a thread cannot be ended, but nobody waits for what it finds.
    """
    return work(*arguments) if size <= _MOST_AT_ONCE else await desk.threads(work, *arguments)


class _Gathered:
    """The :class:`~chatmock.transcoding.Transcoder` of vectors, which nobody can read before they are whole; what there
    is too much of its relay refuses."""

    usage: Usage | None = None
    answer: bytes | None = None

    def __init__(self) -> None:
        self.body = bytearray()
        self.records = 0
        self.outcome: Finished | Failed | None = None

    def feed(self, data: bytes) -> bytes:
        """Gather."""
        self.records += 1
        self.body += data
        return b""

    def close(self) -> bytes:
        """All is there, whatever it is."""
        self.outcome = Finished(())
        return b""
