"""All of the daemon's paths: which table of routes answers which of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource

Owns = Callable[[IRequest], bool]
"""Whether a table answers a request, by its path and headers."""


class Surface(Resource):
    """The root of a site: hands each request to the first of *tables* that owns it, the others to the *rest*, and all
    preflights of browsers, which are the same for every path."""

    isLeaf = True

    def __init__(self, tables: Sequence[tuple[Owns, IResource]], rest: IResource) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tables = tuple(tables)
        self._rest = rest

    def render(self, request: IRequest) -> Any:
        """Have *request* answered."""
        for owns, table in self._tables:
            if request.method != b"OPTIONS" and owns(request):
                return table.render(request)
        return self._rest.render(request)


def under(*prefixes: bytes, but: Sequence[bytes] = ()) -> Owns:
    """Owns the paths that are one of *prefixes* or lie under it, *but* for those others."""
    below = tuple(prefix.rstrip(b"/") + b"/" for prefix in prefixes)
    not_below = tuple(prefix.rstrip(b"/") + b"/" for prefix in but)

    def owns(request: IRequest) -> bool:
        path = request.path.rstrip(b"/") + b"/"
        return path.startswith(below) and not path.startswith(not_below)

    return owns
