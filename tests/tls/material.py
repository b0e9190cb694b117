"""Certificates in files, and TLS handshakes without sockets."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import attrs
import trustme
from OpenSSL import SSL

from chatmock.certificates import ServerCertificate


@attrs.frozen
class Pem:
    """A server's certificate with its chain, and its key, in files of its owner alone."""

    certificate: Path
    key: Path

    def __iter__(self) -> Any:
        return iter((self.certificate, self.key))


def write_pem(folder: Path, issued: trustme.LeafCert, name: str = "server") -> Pem:
    pem = Pem(folder / f"{name}.pem", folder / f"{name}-key.pem")
    pem.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    pem.key.touch(0o600)
    pem.key.write_bytes(issued.private_key_pem.bytes())
    return pem


def issue(ca: trustme.CA, **more: Any) -> trustme.LeafCert:
    return ca.issue_cert("localhost", "127.0.0.1", **more)


def client(**options: Any) -> SSL.Context:
    """A client that takes everything, but for what *options* say: ``ciphers``, ``groups``, ``newest``, ``alpn``."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(options.get("oldest", 0))
    context.set_max_proto_version(options.get("newest", 0))
    context.set_cipher_list(options.get("ciphers", b"ALL:COMPLEMENTOFALL") + b":@SECLEVEL=0")
    if "suites" in options:
        context.set_tls13_ciphersuites(options["suites"])
    if "groups" in options:
        whole: Any = context
        lib: Any = SSL
        assert lib._lib.SSL_CTX_set1_curves_list(whole._context, options["groups"]) == 1
    if "alpn" in options:
        context.set_alpn_protos(options["alpn"])
    return context


def pump(one: SSL.Connection, other: SSL.Connection) -> None:
    """Carry what each has sent to the other, until neither sends anything."""
    moved = True
    while moved:
        moved = False
        for source, target in ((one, other), (other, one)):
            try:
                target.bio_write(source.bio_read(65536))
            except SSL.WantReadError:
                continue
            moved = True


def handshake(server: ServerCertificate, context: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """The client's and the server's side after it; raises ``SSL.Error`` when they do not agree."""
    here, there = SSL.Connection(context, None), server.serverConnectionForTLS(None)
    here.set_connect_state()
    there.set_accept_state()
    done: set[SSL.Connection] = set()
    for _ in range(20):
        for each in (here, there):
            try:
                each.do_handshake()
                done.add(each)
            except SSL.WantReadError:
                pass
            pump(here, there)
        if len(done) == 2:
            return here, there
    raise AssertionError("the handshake does not end")


def ago(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
