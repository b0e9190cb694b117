"""What stands at ``/`` where clients look for an Ollama (spec upstreams.md, E1); everything else there is as elsewhere."""

from __future__ import annotations

from typing import Final

from klein import Klein
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from chatmock.surface import Surface

BANNER: Final = b"Ollama is running"


class OllamaRoot:
    """The one route that Ollama's own server has other than chatmock."""

    app = Klein()

    @app.route("/", methods=["GET"])
    def banner(self, request: IRequest) -> bytes:
        """That it runs: clients look here before they ask anything."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"content-length", b"%d" % len(BANNER))
        return BANNER


def with_ollama_root(surface: IResource) -> Surface:
    """All of *surface*, but for what tells an Ollama from other servers."""

    def is_banner(request: IRequest) -> bool:
        return bool(request.path == b"/" and request.method in (b"GET", b"HEAD"))

    return Surface([(is_banner, OllamaRoot().app.resource())], surface)
