"""The authority and the certificates it issues. Pure: no files, no clock, no network.

Keys are ECDSA P-256, which every client takes. What an authority may certify is in its own certificate (name
constraints, RFC 5280 4.2.1.10): names of the local network and those it was made for. Whoever steals its key cannot
pass for a bank with it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Name = str | Address
"""What a server is called by: a host name in lower case, or an address."""

DAYS: Final = 365
"""Of a server's certificate: within what Mozilla recommends."""
MOST_DAYS: Final = 397
"""The most that clients take: browsers from public authorities, some of them from any."""
_AUTHORITY_DAYS: Final = 3653
_SKEW: Final = dt.timedelta(hours=1)
"""Certificates begin a little in the past, for clients whose clock is behind."""
_MOST_COMMON_NAME: Final = 64
LOCAL_SUFFIXES: Final = ("localhost", "local", "lan", "home", "internal", "home.arpa")
_LOCAL_NETWORKS: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""This machine, private networks, and the shared range that overlay networks use."""


@attrs.frozen
class Authority:
    """An authority that can issue."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = attrs.field(repr=False)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """*key* as a PEM file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(*chain: x509.Certificate) -> bytes:
    """*chain* as a PEM file."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def is_local(address: Address) -> bool:
    """Whether an authority may certify *address* without having been made for it."""
    return any(address in network for network in _LOCAL_NETWORKS)


def make_authority(
    key: ec.EllipticCurvePrivateKey, host: str, names: Iterable[Name], now: dt.datetime
) -> Authority:
    """An authority for the local network and *names*, valid for ten years.

    :param host: what the machine is called, for people to tell authorities apart by.
    :param now: with a time zone.
    """
    title = f"chatmock on {host}"[: _MOST_COMMON_NAME - 12]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{title} {now:%Y-%m-%d}")])
    public = key.public_key()
    builder = (
        _builder(name, name, public, now, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_constraints(names), critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue(
    authority: Authority, key: ec.EllipticCurvePrivateKey, names: Sequence[Name], now: dt.datetime, days: int
) -> x509.Certificate:
    """A server's certificate for *names*, of which there is one at least; it ends before its authority does.

    :param now: with a time zone. *days*: at most :data:`MOST_DAYS`.
    """
    public, signer = key.public_key(), authority.certificate
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0])[:_MOST_COMMON_NAME])])
    builder = (
        _builder(title, signer.subject, public, now, min(days, MOST_DAYS), signer.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def names_of(certificate: x509.Certificate) -> Sequence[Name]:
    """What a server with *certificate* may be called by."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.DNSName),
        *(each for each in found.get_values_for_type(x509.IPAddress) if isinstance(each, Address)),
    )


def not_permitted(names: Iterable[Name], authority: x509.Certificate) -> Sequence[Name]:
    """Those of *names* that *authority* may not certify: with one of them clients refuse a certificate altogether."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    permitted = constraints.permitted_subtrees or ()
    return [name for name in names if not any(_within(name, tree.value) for tree in permitted)]


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 fingerprint, as systems show it: ``AB:CD:…``."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _within(name: Name, tree: object) -> bool:
    if isinstance(name, str):
        return isinstance(tree, str) and (name == tree or name.endswith(f".{tree}"))
    return isinstance(tree, ipaddress.IPv4Network | ipaddress.IPv6Network) and name in tree


def _constraints(names: Iterable[Name]) -> x509.NameConstraints:
    trees: dict[x509.GeneralName, None] = {x509.DNSName(suffix): None for suffix in LOCAL_SUFFIXES}
    trees.update({x509.IPAddress(network): None for network in _LOCAL_NETWORKS})
    for name in names:
        if isinstance(name, str):
            trees[x509.DNSName(name)] = None
        elif not is_local(name):
            trees[x509.IPAddress(ipaddress.ip_network(name))] = None
    return x509.NameConstraints(list(trees), None)


def _general(name: Name) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
    most: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    begins = now - _SKEW
    ends = begins + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends if most is None else min(ends, most))
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
