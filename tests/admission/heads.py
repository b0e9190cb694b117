"""Heads of requests, written briefly."""

from __future__ import annotations

from twisted.web.http_headers import Headers

from chatmock.admission.head import Head


def head(
    *fields: tuple[str, str],
    method: str = "GET",
    target: str = "/v1/models",
    path: str | None = None,
    peer: str = "192.168.1.7",
    encrypted: bool = False,
) -> Head:
    """A head with the header *fields*, in that order; the *path* is that of the target."""
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name.encode(), value.encode("latin-1"))
    return Head(
        method.encode(),
        target.encode("latin-1"),
        (target.partition("?")[0] if path is None else path).encode("latin-1"),
        lambda name: headers.getRawHeaders(name, ()),
        peer,
        encrypted,
    )
