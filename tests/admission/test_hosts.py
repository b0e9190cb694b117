"""By which names clients may call."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.hosts import check_host, is_own
from chatmock.errors import Kind, Refusal
from tests.admission.heads import head

ALLOWED = frozenset({"box.lan", "media_box"})
OWN = [
    "127.0.0.1", "127.0.0.1:8000", "192.168.1.5:65535", "10.0.0.1:1", "[::1]", "[::1]:8000", "[FE80::1]:8000",
    "[::ffff:192.168.1.5]", "localhost", "LocalHost:8000", "box.lan", "BOX.lan:8443", "media_box:1",
]  # fmt: skip
FOREIGN = [
    "", ":8000", "evil.example", "evil.example:8000", "localhost.evil.example", "box.lan.evil.example", "box", "lan",
    "notbox.lan", "localhost.", "box.lan.", "127.1", "0x7f.0.0.1", "127.0.0.1.nip.io", "2130706433", "127.0.0.01",
    "::1", "[::1", "::1]", "[box.lan]", "[1.2.3.4]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "localhost:", "localhost:0",
    "localhost:65536", "localhost:80a", "localhost:-1", "localhost:+80", "localhost:8 0", "localhost,evil.example",
    "localhost evil.example", "user@localhost", "localhost/", "localhost#x", "localhost?x", "http://localhost",
    "localh\xf6st", "localhost\x00", "ⅼocalhost".encode().decode("latin-1"),
]  # fmt: skip


@pytest.mark.parametrize("host", OWN)
def test_own_names(host: str) -> None:
    assert check_host(head(("Host", host)), ALLOWED) == host.lower().encode()


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_names(host: str) -> None:
    with pytest.raises(Refusal, match="CHATMOCK_ALLOWED_HOSTS") as caught:
        check_host(head(("Host", host)), ALLOWED)
    assert (caught.value.kind, caught.value.status) == (Kind.MISDIRECTED, 421)


def test_a_line_end_is_part_of_no_name() -> None:
    assert not is_own(b"localhost\n", ())
    assert not is_own(b"127.0.0.1:80\n", ())


@pytest.mark.parametrize(
    "hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"], ["box.lan", ""]]
)
@pytest.mark.parametrize("target", ["/v1/models", "http://localhost/v1/models"])
def test_there_is_one_host(hosts: list[str], target: str) -> None:
    with pytest.raises(Refusal):
        check_host(head(*(("Host", host) for host in hosts), target=target), ALLOWED)


@pytest.mark.parametrize(
    ("target", "host", "called"),
    [
        ("http://localhost:8000/v1", "evil.example", b"localhost:8000"),
        ("http://evil.example/v1", "localhost", None),
        ("http://localhost@evil.example/v1", "localhost", None),
        ("http://evil.example", "localhost", None),
        ("http://evil.example?http://localhost/", "localhost", None),
        ("http:///v1", "localhost", None),
        ("/http://evil.example/", "localhost", b"localhost"),
    ],
)
def test_an_absolute_target_is_judged_by_its_own_authority(
    target: str, host: str, called: bytes | None
) -> None:
    asked = head(("Host", host), target=target)
    if called is None:
        with pytest.raises(Refusal):
            check_host(asked, ALLOWED)
    else:
        assert check_host(asked, ALLOWED) == called


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
@settings(max_examples=100, deadline=None)
def test_every_address_is_a_name(address: object, port: int | None) -> None:
    host = f"[{address}]" if ":" in str(address) else str(address)
    assert is_own(f"{host}:{port}".encode() if port else host.encode(), ())


@given(st.from_regex(r"[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){0,3}", fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_no_name_is_implied(name: str) -> None:
    labels = name.split(".")
    numeric = len(labels) == 4 and all(each.isdigit() for each in labels)
    assert is_own(name.encode(), ()) is False or numeric or name == "localhost"
