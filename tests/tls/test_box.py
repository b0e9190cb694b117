"""What this machine is called: names that URLs may hold, and addresses that stay."""

from __future__ import annotations

import ipaddress

import pytest

from chatmock.tls import box
from chatmock.tls.authority import is_local

TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
fd00000000000000000000000000000a 02 40 00 80     eth0
fd00000000000000123456789abcdef0 02 40 00 01     eth0
fd00000000000000aaaaaaaaaaaaaaaa 02 40 00 21     eth0
fe8000000000000000fc00fffe000001 02 40 20 80     eth0
20010db8000000000000000000000005 02 40 00 00     eth0
"""
LASTING = ["::1", "fd00::a", "fe80::fc:ff:fe00:1", "2001:db8::5"]
PASSING = ["fd00::1234:5678:9abc:def0", "fd00::aaaa:aaaa:aaaa:aaaa"]


def test_temporary_addresses_are_told_from_others() -> None:
    assert [[str(each) for each in kind] for kind in box.six(TABLE)] == [LASTING, PASSING]
    assert box.six("") == ([], [])


def test_addresses_that_pass_are_not_among_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor when one of them is what the system would ask from."""
    monkeypatch.setattr(box, "_six_table", lambda: TABLE)
    asked_from = [ipaddress.ip_address(PASSING[0]), ipaddress.ip_address("192.168.1.5")]
    monkeypatch.setattr(box, "_addresses", lambda: iter(asked_from))
    addresses = [str(each) for each in box.own_names() if not isinstance(each, str)]
    assert addresses == ["127.0.0.1", "::1", "192.168.1.5", "fd00::a"]


def test_the_names_of_this_machine() -> None:
    names = box.own_names()
    assert {"localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")} <= set(names)
    assert len(names) == len(set(names))
    assert all(isinstance(each, str) or is_local(each) for each in names)
