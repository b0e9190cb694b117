"""The page that tells how to trust the authority: small, complete in itself, without a secret. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Final

import attrs
from cryptography import x509

from chatmock.tls.authority import certificate_pem, fingerprint
from chatmock.tls.trust import DEVICES, FILE, Device

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.1em;margin-top:1.6em}pre{overflow-x:auto;padding:.6em;background:#8882}"
    "code{overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}a{color:#9cf}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")


@attrs.frozen
class Document:
    """An answer: its headers and its body."""

    headers: Mapping[str, str]
    body: bytes


def trust_page(authority: x509.Certificate) -> Document:
    """How to trust *authority*, with a link to ``/ca.pem``."""
    ends = f"{authority.not_valid_after_utc:%Y-%m-%d}"
    body = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Trust this chatmock</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Trust this chatmock</h1>\n"
        "<p>This server has a certificate of its owner's own authority. A device that trusts the authority can use it"
        " over https without warnings.</p>\n"
        f'<p><a href="/ca.pem" download="{FILE}">Get the authority’s certificate</a> (valid until {ends}), then'
        " do what your device needs.</p>\n"
        "<p>Before you trust it, compare its SHA-256 fingerprint with what <code>chatmock tls show</code> prints on"
        f" the server itself:<br><code>{escape(fingerprint(authority))}</code></p>\n"
        f"{''.join(map(_section, DEVICES))}</body>\n</html>\n"
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    return Document(
        {**_headers("text/html; charset=utf-8"), "Content-Security-Policy": policy}, body.encode()
    )


def trust_file(authority: x509.Certificate) -> Document:
    """The certificate of *authority* alone, as a PEM file."""
    return Document(_headers("application/x-x509-ca-cert"), certificate_pem(authority))


def _headers(content_type: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _section(device: Device) -> str:
    steps = "".join(f"<li>{escape(step)}</li>\n" for step in device.steps)
    commands = escape("\n".join(device.commands))
    return (
        f"<h2>{escape(device.name)}</h2>\n"
        f"{f'<ol>{steps}</ol>{chr(10)}' if steps else ''}{f'<pre>{commands}</pre>{chr(10)}' if commands else ''}"
    )
