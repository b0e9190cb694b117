"""Which web pages may ask (spec security.md, P11). Pure.

CORS keeps a page from reading an answer, not from causing one: a form or a plain ``fetch`` reaches the server
all the same. So requests of foreign pages are refused by what browsers say of them, before anything is spent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from chatmock.admission.head import Head
from chatmock.errors import Kind, Refusal

EXPOSED = (
    b"x-request-id, retry-after, x-chatmock-ignored, x-chatmock-clamped, x-chatmock-truncated,"
    b" x-chatmock-max-tokens, x-chatmock-effort, x-chatmock-fast-mode, x-chatmock-web-search,"
    b" x-chatmock-thinking, x-chatmock-estimate"
)
"""Headers of answers that an allowed page may read."""

_ALLOWED_HEADERS = (
    b"authorization, content-type, x-api-key,"
    b" anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access,"
    b" openai-organization, openai-project, openai-beta, idempotency-key,"
    b" x-session-id, session_id, x-requested-with, user-agent,"
    # what the OpenAI and Anthropic SDKs tell about themselves
    b" x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, x-stainless-helper,"
    b" x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version,"
    b" x-stainless-poll-helper, x-stainless-read-timeout, x-stainless-retry-count, x-stainless-runtime,"
    b" x-stainless-runtime-version, x-stainless-timeout"
)
_PREFLIGHT: Mapping[bytes, bytes] = {
    b"access-control-allow-methods": b"GET, POST, DELETE, OPTIONS",
    b"access-control-allow-headers": _ALLOWED_HEADERS,
    b"access-control-max-age": b"600",
}
_BROWSER = (b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"sec-fetch-user")
_OWN_SITES = frozenset({b"same-origin", b"none"})


@attrs.frozen
class Origins:
    """The origins of pages that may ask, besides pages of this server."""

    allowed: Collection[str] = ()
    """As browsers write them; ``*`` for all that have one."""

    def grant(self, head: Head) -> bytes | None:
        """The origin that may read the answer, ``*`` where all may; None when the asking page may not."""
        origins = head.fields(b"origin")
        # A sandboxed frame, a file and some redirects say `null`: it is nobody's, and so nobody can allow it.
        if len(origins) != 1 or origins[0].lower() in (b"null", b"", b"*"):
            return None
        if "*" in self.allowed:
            return b"*"
        return origins[0] if origins[0].decode("latin-1") in self.allowed else None

    def headers(self, head: Head) -> Mapping[bytes, bytes]:
        """The headers for any answer to *head*, a refusal too: who may read it."""
        headers = {b"vary": b"Origin"}
        granted = self.grant(head)
        if granted is not None:
            headers[b"access-control-allow-origin"] = granted
            headers[b"access-control-expose-headers"] = EXPOSED
        return headers

    def preflight(self, head: Head) -> Mapping[bytes, bytes]:
        """The further headers for a preflight: what an allowed page may send. Never a grant of the private network."""
        return {} if self.grant(head) is None else _PREFLIGHT

    def check(self, head: Head, own: bytes) -> None:
        """Refuse what a foreign page causes, and what a page sends in a form that needs no preflight.

        :param own: this server's origin as *head* calls it, ``http://host:port``.
        :raises Refusal: forbidden, or unsupported media.
        """
        if head.method == b"OPTIONS" or not any(map(head.fields, _BROWSER)):
            return
        if self._is_foreign(head, own):
            raise Refusal(
                Kind.FORBIDDEN,
                "Web pages of other origins may not ask here. The owner can allow one: CHATMOCK_CORS_ORIGINS.",
                code="origin_not_allowed",
            )
        if head.method == b"POST" and not _is_json(head):
            raise Refusal(
                Kind.UNSUPPORTED_MEDIA,
                "Browsers must send JSON as such: Content-Type: application/json.",
                code="unsupported_media_type",
            )

    def _is_foreign(self, head: Head, own: bytes) -> bool:
        if self.grant(head) is not None:
            return False
        origins = head.fields(b"origin")
        if origins:
            return len(origins) != 1 or origins[0] != own
        sites = {site.lower() for site in head.fields(b"sec-fetch-site")}
        return not sites <= _OWN_SITES and not _is_followed_link(head)


def _is_followed_link(head: Head) -> bool:
    """Whether somebody follows a link of another page to one of the open pages, as to this server's first one."""
    kind = tuple(head.fields(b"sec-fetch-mode")), tuple(head.fields(b"sec-fetch-dest"))
    return head.is_open and head.reads and kind == ((b"navigate",), (b"document",))


def _is_json(head: Head) -> bool:
    types = head.fields(b"content-type")
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == b"application/json"
