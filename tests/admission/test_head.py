"""What is read out of a request's head."""

from __future__ import annotations

import pytest

from tests.admission.heads import head


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        ("/health", None),
        ("//box.lan/health", None),
        ("/http://box.lan/", None),
        ("http://box.lan:8000/health?x", b"box.lan:8000"),
        ("HTTPS://Box.lan/v1", b"Box.lan"),
        ("http://box.lan", b"box.lan"),
        ("http://box.lan?http://localhost/", b"box.lan"),
        ("http://box.lan#@localhost/", b"box.lan"),
        ("http:///health", b""),
        ("http://a@b/health", b"a@b"),
        ("ftp://box.lan/health", None),
        ("*", None),
    ],
)
def test_a_target_may_have_an_authority(target: str, authority: bytes | None) -> None:
    assert head(target=target).authority == authority


@pytest.mark.parametrize(
    ("method", "target", "is_open"),
    [
        ("GET", "/health", True),
        ("HEAD", "/healthz", True),
        ("GET", "/", True),
        ("OPTIONS", "/v1/chat/completions", True),
        ("POST", "/health", False),
        ("GET", "/health/", False),
        ("GET", "/%68ealth", False),
        ("GET", "//health", False),
        ("GET", "/v1/models?/health", False),
        ("get", "/health", False),
        ("GET", "/readyz", False),
        ("GET", "/metrics", False),
    ],
)
def test_little_is_open(method: str, target: str, is_open: bool) -> None:
    assert head(method=method, target=target).is_open is is_open
