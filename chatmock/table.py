"""What the tables of routes have in common, whichever dialect's they are: answers out of the catalogue, errors, faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from chatmock.admission.client import Key, may_use
from chatmock.catalogue import Catalogue, Row, listing
from chatmock.dialects import Dialect
from chatmock.errors import Kind, Refusal, fault_of_ours
from chatmock.exchange import Desk
from chatmock.heads import refuse, set_id

_log = Logger(namespace="chatmock.routes")


class Table:
    """The routes of one dialect.

    :param dialect: in which requests are refused that are not for a model.
    """

    def __init__(self, desk: Desk, dialect: Dialect) -> None:
        self.desk = desk
        self.dialect = dialect

    def spend(self, request: Any) -> None:
        """Count *request* against its client's rate.

        :raises Refusal: rate limited.
        """
        self.desk.guard.spend(request.client)

    def refuse(self, request: IRequest, refusal: Refusal) -> bytes:
        """The body of a refused request."""
        return refuse(request, self.dialect, refusal)

    def json(self, request: IRequest, body: bytes) -> bytes:
        """*body* as the answer."""
        set_id(request, self.dialect)
        return json(request, body)

    def counted(self, request: Any, body: Callable[[], bytes]) -> bytes:
        """An answer that is there at once: counted against the rate like any other, never queued."""
        try:
            self.spend(request)
            return self.json(request, body())
        except Refusal as refusal:
            return self.refuse(request, refusal)

    async def read(self, request: Any, body: Callable[[Mapping[str, Catalogue]], bytes]) -> bytes:
        """An answer out of the catalogue: counted like any other, never queued."""
        try:
            self.spend(request)
            return self.json(request, body(await self.desk.discovery.catalogues()))
        except Refusal as refusal:
            return self.refuse(request, refusal)

    def rows(self, known: Mapping[str, Catalogue], key: Key | None) -> list[Row]:
        """The models to pick from, as far as *key* allows."""
        accounts = self.desk.accounts
        rows = listing(accounts.default, {name: known[name] for name in accounts.offered})
        return [row for row in rows if may_use(key, upstream_name(row))]


def upstream_name(row: Row) -> str:
    """The listed model's name at its upstream, by which keys allow it."""
    shown, provider, details = row
    return shown.removeprefix(f"{provider}/") if details is None else details.id


def json(request: IRequest, body: bytes) -> bytes:
    """*body* as an answer that nobody stores."""
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def handle_errors(app: Any, dialect: Dialect) -> None:
    """Have what goes wrong with the routes of the Klein *app* told in *dialect*, where Klein would answer in HTML."""

    @app.handle_errors(HTTPException)  # type: ignore[untyped-decorator]
    def no_route(table: object, request: IRequest, failure: Failure) -> bytes:
        return refuse(request, dialect, routing_refusal(failure.value, request))

    @app.handle_errors(Exception)  # type: ignore[untyped-decorator]
    def fault(table: object, request: IRequest, failure: Failure) -> bytes:
        """A fault of chatmock: logged whole, told in one sentence."""
        _log.failure("a request failed for a fault of chatmock", failure=failure)
        answering: Any = request
        if answering.startedWriting:
            # The client must not take what it has for a whole answer.
            if answering.producer is not None:
                answering.unregisterProducer()
            answering.transport.abortConnection()
            return b""
        return refuse(request, dialect, fault_of_ours())


def routing_refusal(error: object, request: IRequest) -> Refusal:
    """Why there is no route for *request*, and the methods there are in a header."""
    allowed = sorted(set(getattr(error, "valid_methods", None) or ()) - {"HEAD", "OPTIONS"})
    if isinstance(error, MethodNotAllowed) and allowed:
        request.setHeader(b"allow", ", ".join(allowed).encode())
        return Refusal(Kind.METHOD_NOT_ALLOWED, f"This path answers {' and '.join(allowed)} only.")
    if isinstance(error, MethodNotAllowed | NotFound):
        return Refusal(
            Kind.NOT_FOUND,
            "There is no such path here. The API begins at /v1, Ollama's at /api.",
            code="unknown_path",
        )
    return Refusal(Kind.BAD_REQUEST, "The request cannot be routed.")
