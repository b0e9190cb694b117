"""The pages that the browser shows at the end of a login: small, complete in themselves, everything in them escaped."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Final

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;"
    "color:#222;background:#fff}h1{font-size:1.4em}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every page: the address bar holds the code, so nothing may load, keep or pass it on."""


def page(heading: str, *paragraphs: str) -> bytes:
    """A page with *heading* and *paragraphs*, all of them plain text."""
    title = html.escape(heading)
    text = "".join(f"<p>{html.escape(paragraph)}</p>\n" for paragraph in paragraphs)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title} - chatmock</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{text}</body>\n</html>\n"
    ).encode()


def success_page() -> bytes:
    """The login has succeeded and is kept."""
    return page(
        "You are logged in",
        "chatmock has your ChatGPT login. You may close this window.",
        "Start the daemon with: chatmock serve",
    )


def waiting_page() -> bytes:
    """Nobody has logged in yet."""
    return page(
        "Not logged in yet", "chatmock waits for you to log in: go to the address that its console shows."
    )


def failure_page(why: str) -> bytes:
    """The login has failed, and *why*."""
    return page("The login failed", why, "chatmock's console says the same. You may close this window.")


def stray_page(why: str) -> bytes:
    """The request is no answer to the login that is waiting; *why* is half a sentence."""
    return page(
        "This does not belong to the login that is waiting",
        f"chatmock ignored this page: {why}. It goes on waiting: use the address that its console shows.",
    )


def refused_page(why: str) -> bytes:
    """A request that this server does not answer, and *why*."""
    return page("There is nothing here", why)
