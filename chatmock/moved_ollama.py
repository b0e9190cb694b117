"""What a real Ollama does for its clients that was moved aside, besides answering: it shows its models, and pulls others.

A pull is no answer of a model: it waits for no permit, may last for hours, and is given to the client line by line as
Ollama tells how far it has come. A client that leaves ends it, unless others wait for the same model there. What it
fetches takes the disk and the line of the owner, and becomes a model that answers: others than the owner pull only what
is there already, and nobody has it fetch from a host of their choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest, IResponse

from chatmock import jsontext
from chatmock.account import Account
from chatmock.dialects import Dialect
from chatmock.errors import Kind, Refusal, bad_request
from chatmock.events import Failed, Finished
from chatmock.exchange import Desk
from chatmock.heads import request_id_of
from chatmock.jsontext import JSONError
from chatmock.providers.ollama import LINES, Ollama
from chatmock.providers.ollama_errors import TITLE
from chatmock.providers.ollama_progress import ProgressLines
from chatmock.relay import BodyRelay
from chatmock.routing import Destination
from chatmock.stream_reply import StreamReply
from chatmock.upstream import ERROR_BODY_LIMIT, ERROR_BODY_SECONDS, is_answer, read_start, response_headers

_MOST_SHOWN: Final = 16 * 1024 * 1024
_SHOW_SECONDS: Final = 10.0
_MOST_PROGRESS: Final = 256 * 1024 * 1024
"""Bytes of one pull's lines: some days of them."""
_MOST_PULLS: Final = 4
"""At the same time, of all clients; of each there is one."""
_OF_OLLAMAS_LIBRARY: Final = re.compile(r"(?:\w[\w-]*/)?\w[\w.-]*(?::\w[\w.-]*)?", re.ASCII)
"""``name``, ``name:tag``, ``namespace/name`` or ``namespace/name:tag``: what is not fetched from a host that it names."""
_PATIENCE: Final = 5
"""How many times as long as inside an answer it may be silent: it says nothing while it checks what it has fetched."""


def _nothing_to_say() -> None:
    """Nothing is kept for another try."""


class MovedOllama:
    """The Ollama behind an account, as far as the account is one.

    :param desk: what every request needs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pulling: set[str] = set()
        """The clients that have a model pulled."""

    def is_behind(self, account: Account) -> bool:
        """Whether *account* is that of an Ollama, which can be asked what is here."""
        return isinstance(account.provider, Ollama)

    async def show(self, request: IRequest, to: Destination, asked: Mapping[str, Any]) -> bytes:
        """What Ollama's ``POST /api/show`` answers of the model *to* leads to: JSON.

        Its ``modelfile`` tells paths of the owner's disk, and so is the owner's alone.

        :param request: whose client it is for.
        :param asked: the client's body.
        :raises Refusal: when it has no such model, or does not answer.
        """
        body: dict[str, Any] = {"model": to.model}
        if asked.get("verbose") is True:
            body["verbose"] = True
        response = await self._ask(to, "/api/show", body, stream=False)
        shown = await read_start(response, self._desk.clock, _MOST_SHOWN + 1, _SHOW_SECONDS)
        try:
            if len(shown) > _MOST_SHOWN:
                raise JSONError(f"it is longer than {_MOST_SHOWN} bytes")
            told = jsontext.loads_object(shown)
        except JSONError as error:
            raise Refusal(
                Kind.UPSTREAM_FAILED,
                f"{TITLE} tells of its model what cannot be read ({error}).",
                code="upstream_malformed",
            ) from None
        if "modelfile" not in told or self._is_owners(request):
            return shown
        return jsontext.dumps({key: value for key, value in told.items() if key != "modelfile"})

    async def pull(
        self, request: IRequest, dialect: Dialect, to: Destination, asked: Mapping[str, Any]
    ) -> bytes | None:
        """Have Ollama pull the model *to* leads to, and tell *request* how far it is, at the pace its client reads.

        Cancelling (the client has left) closes the upstream.

        :param dialect: whose stream it is, and in which it is told that the pull has failed.
        :param asked: the client's body.
        :returns: the last line, for a client that wants no stream; None where everything has been written.
        :raises Refusal: before anything has been written; bad request or forbidden for a model that this client may not
            have pulled.
        """
        self._check_pull(request, to)
        lines = ProgressLines()
        reply = StreamReply(request, dialect, self._desk.clock, {}, _nothing_to_say)
        streamed = asked.get("stream") is not False
        with self._counted(request):
            try:
                # Always a stream: a whole answer would come when all is done, long after the client has lost patience.
                body = {"model": to.model, "stream": True}
                response = await self._ask(to, "/api/pull", body, stream=True)
                outcome = await self._relayed(response, lines, reply if streamed else None)
            finally:
                reply.attach(None)
                reply.stop()
        if isinstance(outcome, Failed):
            if not reply.begun:
                raise outcome.refusal
            reply.finish(dialect.refuse(outcome.refusal, request_id_of(request)) + b"\n")
            return None
        self._desk.discovery.renew(to.account.provider.name)
        if not streamed:
            return lines.last
        reply.finish()
        return None

    def _relayed(
        self, response: IResponse, lines: ProgressLines, reply: StreamReply | None
    ) -> Deferred[Finished | Failed]:
        desk = self._desk
        write = _dropped if reply is None else reply.write
        idle = _PATIENCE * desk.timeouts.idle
        relay = BodyRelay(lines, write, desk.clock, idle, math.inf, _MOST_PROGRESS)
        if reply is not None:
            reply.attach(relay)
        response.deliverBody(relay)
        return relay.done

    async def _ask(self, to: Destination, path: str, body: Mapping[str, Any], *, stream: bool) -> IResponse:
        """The response at its headers, a success.

        :raises Refusal: when it is none, or the provider is left alone.
        """
        account = to.account
        provider = account.provider
        assert isinstance(provider, Ollama), "only asked of one"
        account.check(to.model)
        asking = provider.native_request("POST", path, body)
        asking = attrs.evolve(asking, stream=stream, stream_type=LINES)
        _, response = await account.ask(lambda _: asking)
        if is_answer(response, stream, LINES):
            return response
        start = await read_start(response, self._desk.clock, ERROR_BODY_LIMIT, ERROR_BODY_SECONDS)
        raise provider.refusal(response.code, response_headers(response), start)

    def _check_pull(self, request: IRequest, to: Destination) -> None:
        """See that the client of *request* may have the model pulled that *to* leads to.

        :raises Refusal: bad request, for the name of a model that is not fetched from Ollama's own library; forbidden.
        """
        if not _OF_OLLAMAS_LIBRARY.fullmatch(to.model):
            raise bad_request(
                f"Only models of Ollama's own library can be pulled through chatmock: name, name:tag or namespace/name, not"
                f" {to.model[:100]!r}. The owner can pull others with ollama pull on the machine of the real Ollama.",
                param="model",
            )
        known = self._desk.discovery.current()[to.account.provider.name]
        if not known.knows(to.model) and not self._is_owners(request):
            raise Refusal(
                Kind.FORBIDDEN,
                "Only the owner may have a model pulled that is not listed here yet: whoever asks on chatmock's own machine"
                " without a key, or with an admin key (chatmock keys add NAME --admin).",
                code="owner_only",
                param="model",
            )

    def _is_owners(self, request: Any) -> bool:
        """Whether *request* is the owner's. On the owner's machine too, who shows a key is whose key it is."""
        key = request.client.key
        if key is not None:
            return bool(key.admin)
        try:
            self._desk.guard.check_owner(request)
        except Refusal:
            return False
        return True

    @contextmanager
    def _counted(self, request: Any) -> Iterator[None]:
        """One of the pulls that there may be at the same time.

        :raises Refusal: rate limited, when this client has one already; overloaded, when there are as many.
        """
        client = request.client.name
        if client in self._pulling:
            raise Refusal(
                Kind.RATE_LIMITED,
                "You are having a model pulled already. Try again when it is there.",
                code="too_many_pulls",
                retry_after=60.0,
            )
        if len(self._pulling) >= _MOST_PULLS:
            raise Refusal(
                Kind.OVERLOADED,
                f"{_MOST_PULLS} models are being pulled already. Try again when one of them is there.",
                code="too_many_pulls",
                retry_after=60.0,
            )
        self._pulling.add(client)
        try:
            yield
        finally:
            self._pulling.discard(client)


def _dropped(line: bytes) -> None:
    """Of a pull that nobody follows only the last line counts."""
