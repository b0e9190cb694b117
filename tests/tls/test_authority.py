"""The authority: what it makes is what Python's, and so OpenSSL's, clients take."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.certificates import issued_by
from chatmock.tls.authority import (
    MOST_DAYS,
    Authority,
    Name,
    certificate_pem,
    fingerprint,
    is_local,
    issue,
    key_pem,
    make_authority,
    names_of,
    new_key,
    not_permitted,
)

NOW = dt.datetime.now(dt.UTC)
FOUR, SIX = ipaddress.ip_address("192.168.7.9"), ipaddress.ip_address("fd00::7")
PUBLIC = ipaddress.ip_address("203.0.113.5")
NAMES: list[Name] = ["box", "box.lan", "localhost", "chat.example.org", FOUR, SIX, PUBLIC]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority(new_key(), "box", NAMES, NOW)


def verify(
    authority: Authority, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey, name: str, tmp: Path
) -> None:
    """A handshake as Python clients make it; raises ``ssl.SSLError``."""
    tmp.write_bytes(key_pem(key) + certificate_pem(leaf))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp)
    client = ssl.create_default_context(cadata=certificate_pem(authority.certificate).decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname=name)
    there = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for each in (here, there):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert here.version() == "TLSv1.3"


@pytest.mark.parametrize("name", [str(name) for name in NAMES])
def test_each_name_is_verified(authority: Authority, name: str, tmp_path: Path) -> None:
    key = new_key()
    leaf = issue(authority, key, NAMES, NOW, 30)
    verify(authority, leaf, key, name, tmp_path / "server.pem")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|not valid for"):
        verify(authority, leaf, key, "other.lan", tmp_path / "server.pem")


@pytest.mark.parametrize(
    "name", ["bank.example.com", "www.example.org", ipaddress.ip_address("198.51.100.1")]
)
def test_the_authority_cannot_pass_for_others(authority: Authority, name: Name, tmp_path: Path) -> None:
    assert list(not_permitted([*NAMES, name], authority.certificate)) == [name]
    key = new_key()
    leaf = issue(authority, key, [name], NOW, 30)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        verify(authority, leaf, key, str(name), tmp_path / "server.pem")


def test_what_the_authority_says_of_itself(authority: Authority) -> None:
    certificate = authority.certificate
    assert issued_by(certificate, certificate)
    found = certificate.extensions
    basic = found.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert found.get_extension_for_class(x509.NameConstraints).critical
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert dt.timedelta(3650) < certificate.not_valid_after_utc - NOW < dt.timedelta(3660)
    (name,) = certificate.subject
    assert str(name.value).startswith("chatmock on box 20")
    assert "PRIVATE" not in repr(authority)


def test_what_a_servers_certificate_says_of_itself(authority: Authority) -> None:
    leaf = issue(authority, new_key(), NAMES, NOW, MOST_DAYS)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == dt.timedelta(MOST_DAYS)
    assert leaf.not_valid_before_utc < NOW
    assert set(names_of(leaf)) == set(NAMES)
    found = leaf.extensions
    assert list(found.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_nothing_is_valid_for_longer_than_it_may_be(authority: Authority) -> None:
    leaf = issue(authority, new_key(), ["box"], NOW, 4000)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == dt.timedelta(MOST_DAYS)
    late = authority.certificate.not_valid_after_utc - dt.timedelta(days=3)
    leaf = issue(authority, new_key(), ["box"], late, 90)
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_long_host_name_fits(tmp_path: Path) -> None:
    long = f"{'a' * 60}.{'b' * 60}.lan"
    authority = make_authority(new_key(), long, [long], NOW)
    key = new_key()
    verify(authority, issue(authority, key, [long], NOW, 9), key, long, tmp_path / "server.pem")


def test_fingerprint(authority: Authority) -> None:
    shown = fingerprint(authority.certificate)
    assert len(shown) == 95
    assert shown == shown.upper()


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses())
def test_local_addresses_are_not_public_ones(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not (is_local(address) and address.is_global)


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True))
def test_not_permitted_agrees_with_what_openssl_would_refuse(name: str) -> None:
    authority = _AUTHORITY.certificate
    trees = ("localhost", "local", "lan", "home", "internal", "home.arpa", "box")
    allowed = any(name == tree or name.endswith("." + tree) for tree in trees)
    assert bool(not_permitted([name], authority)) is not allowed


_AUTHORITY = make_authority(new_key(), "box", ["box"], NOW)
