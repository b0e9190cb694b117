"""What can be reached from other machines, and whether the daemon may start so."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString

from chatmock.admission.exposure import check_exposure, exposed, is_local_endpoint, is_local_host
from chatmock.settings import Secret, SettingError, Settings

LOCAL = [
    "tcp:8000:interface=127.0.0.1", "tcp:port=8000:interface=127.0.0.1", "tcp:interface=127.9.9.9:port=8000",
    r"tcp6:8000:interface=\:\:1", r"tcp:8000:interface=\:\:1", "tcp:8000:interface=localhost",
    r"tcp6:8000:interface=\:\:ffff\:127.0.0.1", "ssl:8443:privateKey=k.pem:interface=127.0.0.1", "unix:/run/chatmock.sock",
    r"unix:/run/a\:b:mode=600", "unix:address=/run/x", "systemd:domain=UNIX:index=0", "systemd:UNIX:0",
    "tls:tcp:8443:interface=127.0.0.1", "tls:unix:/run/x",
]  # fmt: skip
REACHABLE = [
    "tcp:8000", "tcp:port=8000", "tcp:8000:interface=0.0.0.0", "tcp:8000:interface=", "tcp:8000:interface=192.168.1.5",
    "tcp:8000:127.0.0.1", "tcp:8000:interface=127.0.0.1:interface=0.0.0.0", r"tcp:8000:interface=127.0.0.1:inter\face=0.0.0.0",
    r"tcp:8000\:interface=127.0.0.1", "tcp6:8000", r"tcp6:8000:interface=\:\:", "tcp:8000:interface=box.lan",
    r"tcp6:8000:interface=fe80\:\:1%eth0", "ssl:8443", "systemd:domain=INET:index=0", "systemd:domain=INET6:name=http",
    "systemd:INET:0", "systemd:index=0", "haproxy:tcp:8000:interface=127.0.0.1", "haproxy:", "onion:80", "tls:8000:interface=127.0.0.1", "tls:tcp:8443", "fd:3", "x",
]  # fmt: skip


@pytest.mark.parametrize("description", LOCAL)
def test_local_endpoints(description: str) -> None:
    assert is_local_endpoint(description)


@pytest.mark.parametrize("description", REACHABLE)
def test_reachable_endpoints(description: str) -> None:
    assert not is_local_endpoint(description)


PIECES = st.sampled_from(["8000", "interface=127.0.0.1", "interface=0.0.0.0", r"interface=\:\:1", "backlog=5", "interface=",
                          r"int\erface=0.0.0.0", r"interface\=127.0.0.1", "127.0.0.1", r"a\:interface=127.0.0.1"])  # fmt: skip


@given(st.sampled_from(["tcp", "tcp6", "TCP"]), st.lists(PIECES, min_size=1, max_size=4))
@examples(max_examples=100, deadline=None)
def test_twisted_reads_them_alike(kind: str, pieces: list[str]) -> None:
    """What is taken for this machine's own is what Twisted would listen on at the loopback only."""
    description = ":".join([kind, *pieces])
    if is_local_endpoint(description):
        try:
            endpoint = serverFromString(reactor, description)
        except (TypeError, ValueError):
            return  # no endpoint at all
        assert isinstance(endpoint, TCP4ServerEndpoint | TCP6ServerEndpoint)
        assert is_local_host(endpoint._interface)


NET = (ip_network("127.0.0.0/8"),)
LONG = Secret("k" * 20)
TLS = {"tls_cert": Path("c"), "tls_key": Path("k")}


@pytest.mark.parametrize(
    ("settings", "listeners"),
    [
        ({}, []),
        ({"host": "::1"}, []),
        ({"host": "localhost"}, []),
        ({"host": "0.0.0.0"}, ["host 0.0.0.0"]),
        ({"host": "::"}, ["host ::"]),
        ({"host": "192.168.1.5"}, ["host 192.168.1.5"]),
        ({"host": "box.lan"}, ["host box.lan"]),
        ({"host": "0.0.0.0", "endpoints": ("unix:/run/x",)}, []),
        ({"endpoints": ("unix:/run/x", "tcp:1")}, ["endpoint tcp:1"]),
        ({"trusted_proxies": NET}, ["a proxy of CHATMOCK_TRUSTED_PROXIES"]),
        ({"trusted_proxies": NET, "endpoints": ("unix:/run/x",)}, ["a proxy of CHATMOCK_TRUSTED_PROXIES"]),
        ({"host": "0.0.0.0", "trusted_proxies": NET}, ["host 0.0.0.0", "a proxy of CHATMOCK_TRUSTED_PROXIES"]),
        ({"host": "0.0.0.0", "endpoints": ("unix:/run/x",), **TLS}, ["host 0.0.0.0"]),
        ({"host": "0.0.0.0", "endpoints": ("tls:unix:/run/x",), **TLS}, []),
        ({"host": "0.0.0.0", "endpoints": ("tls:unix:/run/x",), "tls_port": 1, **TLS}, ["host 0.0.0.0"]),
    ],
)  # fmt: skip
def test_what_other_machines_may_reach(settings: Any, listeners: list[str]) -> None:
    assert exposed(Settings(**settings)) == listeners


@pytest.mark.parametrize("more", [{}, {"cors_origins": ("https://app.lan",)}, {"allow_open": True}])
def test_the_loopback_is_safe(more: Any) -> None:
    assert check_exposure(Settings(**more), keys_exist=False) == []


@pytest.mark.parametrize(
    "where", [{"host": "0.0.0.0"}, {"endpoints": ("tcp:8000",)}, {"trusted_proxies": NET}]
)
def test_nobody_starts_an_open_daemon_by_mistake(where: Any) -> None:
    with pytest.raises(SettingError, match="CHATMOCK_ALLOW_OPEN=1") as caught:
        check_exposure(Settings(**where), keys_exist=False)
    assert exposed(Settings(**where))[0] in str(caught.value)
    assert check_exposure(Settings(**where), keys_exist=True) == []
    assert check_exposure(Settings(**where, access_token=LONG), keys_exist=False) == []
    (warning,) = check_exposure(Settings(**where, allow_open=True), keys_exist=False)
    assert "CHATMOCK_ALLOW_OPEN" in warning


def test_a_key_that_nobody_has_cannot_be_required() -> None:
    with pytest.raises(SettingError, match="CHATMOCK_REQUIRE_AUTH needs CHATMOCK_ACCESS_TOKEN"):
        check_exposure(Settings(require_auth=True), keys_exist=False)
    assert check_exposure(Settings(require_auth=True), keys_exist=True) == []
    assert check_exposure(Settings(require_auth=True, access_token=Secret("k")), keys_exist=False) == []


@pytest.mark.parametrize("keys_exist", [False, True])
def test_a_token_that_can_be_guessed_is_warned_of(keys_exist: bool) -> None:
    short = Secret("k" * 19)
    (warning,) = check_exposure(Settings(host="0.0.0.0", access_token=short), keys_exist)
    assert "CHATMOCK_ACCESS_TOKEN has fewer than 20 characters" in warning
    assert short.reveal() not in warning
    assert check_exposure(Settings(host="0.0.0.0", access_token=LONG), keys_exist) == []
    assert check_exposure(Settings(access_token=short), keys_exist) == []


@pytest.mark.parametrize(
    "description",
    [
        "haproxy:tcp:0:interface=127.0.0.1", "haproxy:ssl:0:privateKey=x", "HAProxy:tcp:0", "tls:haproxy:tcp:0",
        r"tls:h\aproxy:tcp:0", r"around:haproxy\:tcp\:0", "haproxy:unix:/run/x", "tls:tls:haproxy:tcp:0",
    ],
)  # fmt: skip
def test_who_believes_a_proxy_header_is_refused(description: str) -> None:
    settings = Settings(endpoints=("tcp:0", description), tls_cert=Path("c"), tls_key=Path("k"))
    with pytest.raises(SettingError, match="CHATMOCK_TRUSTED_PROXIES") as caught:
        check_exposure(settings, keys_exist=True)
    assert str(caught.value).startswith(f"--endpoint {description}: haproxy: believes")
    assert "\n" not in str(caught.value)


def test_haproxy_may_be_in_a_path_or_name() -> None:
    endpoints = ("unix:/run/haproxy", "unix:/run/haproxy/x", "systemd:domain=UNIX:name=haproxy")
    assert check_exposure(Settings(endpoints=endpoints), keys_exist=False) == []


def test_pages_of_everybody_are_warned_of() -> None:
    (warning,) = check_exposure(Settings(cors_origins=("*",)), keys_exist=False)
    assert "CHATMOCK_CORS_ORIGINS=*" in warning
