"""The page that anybody may read: the authority's certificate and nothing else of it, and nobody else's content."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re

import pytest
from cryptography import x509

from chatmock.tls.authority import fingerprint, make_authority, new_key
from chatmock.tls.page import trust_file, trust_page
from chatmock.tls.trust import DEVICES, as_text

AUTHORITY = make_authority(new_key(), "<b>box", [], dt.datetime.now(dt.UTC)).certificate


def test_the_file_is_the_certificate_alone() -> None:
    document = trust_file(AUTHORITY)
    assert document.headers["Content-Type"] == "application/x-x509-ca-cert"
    assert x509.load_pem_x509_certificates(document.body) == [AUTHORITY]
    assert document.body.count(b"-----BEGIN") == 1
    assert b"PRIVATE" not in document.body


def test_the_page_asks_nobody_and_runs_nothing() -> None:
    document = trust_page(AUTHORITY)
    text = document.body.decode()
    policy = document.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    for word in ("unsafe", "http:", "https:", "*"):
        assert word not in policy
    assert not re.search(r"<script|\bon\w+=|\bsrc=|url\(|@import|<form|<iframe|style=", text)
    assert re.findall(r'href="([^"]*)"', text) == ["/ca.pem"]


def test_the_page_tells_all() -> None:
    text = trust_page(AUTHORITY).body.decode()
    assert fingerprint(AUTHORITY) in text
    assert f"{AUTHORITY.not_valid_after_utc:%Y-%m-%d}" in text
    for device in DEVICES:
        assert f"<h2>{device.name}</h2>".replace("&", "&amp;") in text
    assert "General, VPN &amp; Device Management" in text
    assert "<b>box" not in text


@pytest.mark.parametrize(
    "word", ["Debian", "Fedora", "macOS", "Windows", "iPhone", "Android", "Firefox", "NODE_EXTRA"]
)
def test_the_console_tells_all(word: str) -> None:
    assert word in as_text()
