"""Whose word counts on who asks, and over what."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.proxies import Proxies, as_client, network_of, parsed
from tests.admission.heads import head

TRUSTED = Proxies((ip_network("10.0.0.0/8"), ip_network("127.0.0.3/32"), ip_network("fd00::/8")))
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "values", "secure"),
    [
        (PROXY, ["https"], True),
        (PROXY, ["HTTPS"], True),
        (PROXY, ["http, https"], True),
        (PROXY, ["http", "https"], True),
        ("::ffff:10.0.0.1", ["https"], True),
        ("fd00::1%eth0", ["https"], True),
        ("127.0.0.3", ["https"], True),
        ("127.0.0.2", ["https"], False),
        ("192.168.1.7", ["https"], False),
        (PROXY, [], False),
        (PROXY, ["http"], False),
        (PROXY, ["https, http"], False),
        (PROXY, ["https", "http"], False),
        (PROXY, ["https,"], False),
        (PROXY, ["https", ""], False),
        (PROXY, ["https;"], False),
        (PROXY, ["https https"], False),
        (PROXY, ["httpsx"], False),
        (PROXY, ["wss"], False),
    ],
)
def test_the_last_hop_says_whether_it_was_tls(peer: str, values: list[str], secure: bool) -> None:
    asked = head(*(("X-Forwarded-Proto", value) for value in values), peer=peer)
    assert TRUSTED.secure(asked) is secure
    assert Proxies().secure(asked) is False


def test_tls_itself_needs_no_word() -> None:
    assert Proxies().secure(head(("X-Forwarded-Proto", "http"), encrypted=True))


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        ("192.168.1.7", [], "192.168.1.7"),
        ("192.168.1.7", ["1.1.1.1"], "192.168.1.7"),
        ("::ffff:192.168.1.7", [], "192.168.1.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("2a00:1:1:2:3:4:5:6", [], "2a00:1:1:2::/64"),
        ("2a00:1:1:2:ffff::", [], "2a00:1:1:2::/64"),
        (PROXY, [], PROXY),
        (PROXY, ["1.1.1.1"], "1.1.1.1"),
        (PROXY, ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (PROXY, ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        (PROXY, ["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        (PROXY, ["6.6.6.6, 1.1.1.1,10.0.0.2, fd00::7"], "1.1.1.1"),
        (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (PROXY, ["::ffff:1.1.1.1"], "1.1.1.1"),
        (PROXY, ["2a00:1:1:2::9"], "2a00:1:1:2::/64"),
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["1.1.1.1, unknown"], PROXY),
        (PROXY, ["unknown, 1.1.1.1"], "1.1.1.1"),
        (PROXY, ["1.1.1.1, unknown, 10.0.0.2"], PROXY),
        (PROXY, ["1.1.1.1:80"], PROXY),
        (PROXY, ["1.1.1.1,"], PROXY),
        (PROXY, ["1.1.1.1", ""], PROXY),
        (PROXY, ["01.1.1.1"], PROXY),
        (PROXY, ["\xb2"], PROXY),
    ],
)
def test_who_stands_behind_proxies(peer: str, values: list[str], client: str) -> None:
    assert TRUSTED.client_of(head(*(("X-Forwarded-For", value) for value in values), peer=peer)) == client


@given(st.lists(st.ip_addresses().map(str) | st.text("1., :x", max_size=9), max_size=5), st.ip_addresses(v=4))
@settings(max_examples=100, deadline=None)
def test_nobody_else_can_say_who_one_is(said: list[str], address: object) -> None:
    """Neither from outside, nor through a proxy by saying it first."""
    if not str(address).startswith("10.") and str(address) != "127.0.0.3":
        forged = ("X-Forwarded-For", ", ".join(said))
        assert TRUSTED.client_of(head(forged, peer=str(address))) == str(address)
        assert TRUSTED.client_of(head(forged, ("X-Forwarded-For", str(address)), peer=PROXY)) == str(address)


@pytest.mark.parametrize(
    ("address", "client", "network"),
    [
        ("192.168.1.2", "192.168.1.2", "192.168.1.2"),
        ("fd00::2", "fd00::2", "fd00::/64"),
        ("fe80::2%eth0", "fe80::2", "fe80::/64"),
        ("2a00:1:1:2::3", "2a00:1:1:2::/64", "2a00:1:1:2::/64"),
    ],
)
def test_devices_of_a_home_are_told_apart_but_not_for_guesses(
    address: str, client: str, network: str
) -> None:
    found = parsed(address)
    assert found is not None
    assert (as_client(found), network_of(found)) == (client, network)
