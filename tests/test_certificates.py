"""What TLS the daemon speaks, with which certificate, and which ones it does not take."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from OpenSSL.crypto import X509

from chatmock.certificates import ServerCertificate, issued_by, read_key
from chatmock.settings import SettingError
from tests.tls.material import Pem, ago, client, handshake, issue, pump, write_pem

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(ca: trustme.CA, tmp_path: Path) -> Pem:
    return write_pem(tmp_path, issue(ca))


@pytest.fixture
def server(pem: Pem) -> ServerCertificate:
    return ServerCertificate(*pem)


def serial(server: ServerCertificate) -> int:
    """Of the certificate that a new connection gets."""
    certificate = handshake(server, client())[0].get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return certificate.serial_number


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
def test_old_versions_are_refused(server: ServerCertificate, version: int) -> None:
    with pytest.raises(SSL.Error):
        handshake(server, client(newest=version))


@pytest.mark.parametrize(
    ("version", "name"), [(SSL.TLS1_2_VERSION, "TLSv1.2"), (SSL.TLS1_3_VERSION, "TLSv1.3")]
)
def test_new_versions_are_spoken(server: ServerCertificate, version: int, name: str) -> None:
    here, _ = handshake(server, client(oldest=version, newest=version))
    assert here.get_protocol_version_name() == name


@pytest.mark.parametrize("key_type", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_only_aead_with_forward_secrecy(ca: trustme.CA, tmp_path: Path, key_type: trustme.KeyType) -> None:
    server = ServerCertificate(*write_pem(tmp_path, issue(ca, key_type=key_type)))
    taken = set()
    offered = SSL.Connection(client(ciphers=b"ALL:!PSK:!SRP"), None).get_cipher_list()
    offered = [name for name in offered if not name.startswith("TLS_")]
    for cipher in offered:
        try:
            handshake(server, client(newest=SSL.TLS1_2_VERSION, ciphers=cipher.encode()))
        except SSL.Error:
            continue
        taken.add(cipher)
    kind = key_type.name
    assert len(offered) > 20
    assert taken == {
        f"ECDHE-{kind}-{rest}" for rest in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }


@pytest.mark.parametrize(
    ("suite", "taken"),
    [
        (b"TLS_AES_128_GCM_SHA256", True),
        (b"TLS_AES_256_GCM_SHA384", True),
        (b"TLS_CHACHA20_POLY1305_SHA256", True),
        (b"TLS_AES_128_CCM_SHA256", False),
        (b"TLS_AES_128_CCM_8_SHA256", False),
    ],
)
def test_ciphers_of_tls_1_3(server: ServerCertificate, suite: bytes, taken: bool) -> None:
    context = client(oldest=SSL.TLS1_3_VERSION, suites=suite)
    if taken:
        assert handshake(server, context)[0].get_cipher_name() == suite.decode()
    else:
        with pytest.raises(SSL.Error):
            handshake(server, context)


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize(
    ("group", "taken"),
    [(b"X25519", True), (b"P-256", True), (b"P-384", True), (b"P-521", False), (b"X448", False)],
)
def test_groups(ca: trustme.CA, tmp_path: Path, version: int, group: bytes, taken: bool) -> None:
    # An RSA key: with ECDSA the group of the key would have to be among them too.
    server = ServerCertificate(*write_pem(tmp_path, issue(ca, key_type=trustme.KeyType.RSA)))
    context = client(newest=version, groups=group)
    if taken:
        handshake(server, context)
    else:
        with pytest.raises(SSL.Error):
            handshake(server, context)


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        ([b"h2", b"http/1.1"], b"http/1.1"),
        ([b"http/1.1", b"h2"], b"http/1.1"),
        ([b"h2"], b""),
        ([b"h3"], b""),
    ],
)
def test_http_1_1_only(server: ServerCertificate, offered: list[bytes], spoken: bytes) -> None:
    assert handshake(server, client(alpn=offered))[0].get_alpn_proto_negotiated() == spoken


def test_no_renegotiation(server: ServerCertificate) -> None:
    here, there = handshake(server, client(newest=SSL.TLS1_2_VERSION))
    here.renegotiate()
    with pytest.raises(SSL.Error):
        for _ in range(4):
            for each in (here, there):
                with suppress(SSL.WantReadError):
                    each.do_handshake() if each is here else each.recv(1)
                pump(here, there)


def test_it_asks_for_no_renegotiation_either(server: ServerCertificate) -> None:
    """What keeps clients from it is OpenSSL's default since 3.0, and this option, which tells in the server too."""
    _, there = handshake(server, client(newest=SSL.TLS1_2_VERSION))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        there.renegotiate()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(server: ServerCertificate, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    first = _connected(server, context, None)
    assert first.session is not None
    if version == ssl.TLSVersion.TLSv1_2:
        assert not first.session.has_ticket
    assert not _connected(server, context, first.session).session_reused


def _connected(
    server: ServerCertificate, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> ssl.SSLObject:
    """The side of a client that would resume *session*."""
    to_here, to_there = ssl.MemoryBIO(), ssl.MemoryBIO()
    here, there = context.wrap_bio(to_here, to_there, session=session), server.serverConnectionForTLS(None)
    there.set_accept_state()
    for _ in range(5):
        with suppress(ssl.SSLWantReadError):
            here.do_handshake()
        if to_there.pending:
            there.bio_write(to_there.read())
        with suppress(SSL.WantReadError):
            there.do_handshake()
        with suppress(SSL.WantReadError):
            to_here.write(there.bio_read(65536))
    with suppress(ssl.SSLWantReadError):
        here.read(1)  # the tickets of TLS 1.3 come after the handshake
    assert here.version() is not None
    return here


def test_the_chain_is_sent_whole(tmp_path: Path, ca: trustme.CA) -> None:
    child = ca.create_child_ca()
    pem = write_pem(tmp_path, issue(child))
    context = client()
    context.get_cert_store().add_cert(X509.from_cryptography(_loaded(ca)))
    context.set_verify(SSL.VERIFY_PEER)
    here, _ = handshake(ServerCertificate(*pem), context)
    sent = here.get_peer_cert_chain(as_cryptography=True)
    assert sent == x509.load_pem_x509_certificates(pem.certificate.read_bytes())
    assert len(sent) == 2


def _loaded(ca: trustme.CA) -> x509.Certificate:
    return x509.load_pem_x509_certificate(ca.cert_pem.bytes())


def test_one_file_may_hold_both(pem: Pem) -> None:
    pem.key.write_bytes(pem.certificate.read_bytes() + pem.key.read_bytes())
    assert serial(ServerCertificate(pem.key, pem.key))


def test_the_home_folder_may_be_named(pem: Pem, home: Path) -> None:
    for each in pem:
        shutil.copy2(each, home)
    assert serial(ServerCertificate(*(Path("~") / each.name for each in pem)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o602, 0o777])
def test_a_key_that_others_may_read_is_not_taken(pem: Pem, mode: int) -> None:
    pem.key.chmod(mode)
    with pytest.raises(SettingError, match=rf"--tls-key .*others may read or write it .*chmod 600 {pem.key}"):
        ServerCertificate(*pem)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_key_is_taken(pem: Pem, mode: int) -> None:
    pem.key.chmod(mode)
    assert ServerCertificate(*pem)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_another_user_is_not_taken(pem: Pem) -> None:
    os.chown(pem.key, 12345, -1)
    with pytest.raises(SettingError, match="it belongs to another user"):
        ServerCertificate(*pem)


def test_a_group_may_read_the_systems_key_only(pem: Pem, monkeypatch: pytest.MonkeyPatch) -> None:
    pem.key.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if pem.key.stat().st_uid == 0:
        assert read_key(pem.key)
        pem.key.chmod(0o660)
    with pytest.raises(PermissionError):
        read_key(pem.key)


def test_a_pipe_is_no_key(pem: Pem) -> None:
    pem.key.unlink()
    os.mkfifo(pem.key, 0o600)
    with pytest.raises(SettingError, match="it is no regular file"):
        ServerCertificate(*pem)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
@pytest.mark.parametrize("which", ["certificate", "key"])
def test_what_is_damaged_is_told_in_one_line(pem: Pem, which: str, content: bytes) -> None:
    getattr(pem, which).write_bytes(content)
    with pytest.raises(SettingError) as raised:
        ServerCertificate(*pem)
    assert str(getattr(pem, which)) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_what_is_missing_is_told(pem: Pem, which: str) -> None:
    getattr(pem, which).unlink()
    with pytest.raises(SettingError, match=rf"{getattr(pem, which)} is not usable: No such file"):
        ServerCertificate(*pem)


def test_a_key_with_a_password_is_not_taken(pem: Pem) -> None:
    key = load_pem_private_key(pem.key.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    pem.key.write_bytes(locked)
    with pytest.raises(SettingError, match="the key is encrypted"):
        ServerCertificate(*pem)


def test_the_key_of_another_certificate_is_not_taken(ca: trustme.CA, pem: Pem, tmp_path: Path) -> None:
    other = write_pem(tmp_path, issue(ca), "other")
    with pytest.raises(SettingError, match="it is not the key of the first certificate"):
        ServerCertificate(pem.certificate, other.key)


def test_a_weak_key_is_not_taken(ca: trustme.CA, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import NoEncryption

    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([])
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, ago(1), ago(-1)).sign(
        key, hashes.SHA256()
    )
    both = tmp_path / "both.pem"
    both.touch(0o600)
    both.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    with pytest.raises(SettingError, match=r"not usable for TLS .*too small"):
        ServerCertificate(both, both)


def test_notices(ca: trustme.CA, tmp_path: Path) -> None:
    def said(begins: float, ends: float) -> str:
        issued = issue(ca, not_before=ago(begins), not_after=ago(ends))
        return " ".join(ServerCertificate(*write_pem(tmp_path, issued)).notices(NOW))

    assert "has ended on" in said(30, 1)
    assert "renew it soon" in said(30, -13)
    assert said(30, -15) == ""
    assert "is the clock of this machine right?" in said(-1, -30)


def test_a_chain_out_of_order_is_noticed(ca: trustme.CA, tmp_path: Path) -> None:
    pem = write_pem(tmp_path, issue(ca.create_child_ca()))
    assert list(ServerCertificate(*pem).notices(NOW)) == []
    stranger = trustme.CA().cert_pem.bytes()
    pem.certificate.write_bytes(pem.certificate.read_bytes() + stranger)
    (notice,) = ServerCertificate(*pem).notices(NOW)
    assert "is not followed by that of its authority" in notice


def test_issued_by(ca: trustme.CA) -> None:
    leaf = x509.load_pem_x509_certificate(issue(ca).cert_chain_pems[0].bytes())
    assert issued_by(leaf, _loaded(ca))
    assert not issued_by(leaf, _loaded(trustme.CA()))
    assert not issued_by(_loaded(ca), leaf)


# --- another certificate while it runs -----------------------------------------------------------------------------


def test_what_is_replaced_is_used_for_new_connections(ca: trustme.CA, pem: Pem, tmp_path: Path) -> None:
    server = ServerCertificate(*pem)
    open_one = handshake(server, client())
    before = serial(server)
    assert not server.reload()
    write_pem(tmp_path, issue(ca))
    assert serial(server) == before
    assert server.reload()
    assert serial(server) != before
    assert not server.reload()
    assert server.reload(always=True)
    here, there = open_one
    here.send(b"still here")
    pump(here, there)
    assert there.recv(100) == b"still here"


def test_links_are_followed(ca: trustme.CA, tmp_path: Path) -> None:
    live = Pem(tmp_path / "cert.pem", tmp_path / "key.pem")

    def lead(to: Pem) -> None:
        for link, target in zip(live, to, strict=True):
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    lead(write_pem(tmp_path, issue(ca), "one"))
    server = ServerCertificate(*live)
    before = serial(server)
    lead(write_pem(tmp_path, issue(ca), "two"))
    assert server.reload()
    assert serial(server) != before


def test_a_bad_new_one_keeps_the_old(ca: trustme.CA, pem: Pem, tmp_path: Path) -> None:
    server = ServerCertificate(*pem)
    before = serial(server)
    other = write_pem(tmp_path, issue(ca), "other")
    pem.certificate.write_bytes(other.certificate.read_bytes())
    with pytest.raises(SettingError, match="is not the key of"):
        server.reload()
    assert serial(server) == before
    for always in (False, True):
        with pytest.raises(SettingError):
            server.reload(always)
    pem.key.write_bytes(other.key.read_bytes())
    assert server.reload()
    assert serial(server) != before


def test_files_that_are_gone_keep_the_old(pem: Pem) -> None:
    server = ServerCertificate(*pem)
    before = serial(server)
    key = pem.key.read_bytes()
    pem.key.unlink()
    for _ in range(2):
        with pytest.raises(SettingError, match="No such file"):
            server.reload()
    assert serial(server) == before
    pem.key.touch(0o600)
    pem.key.write_bytes(key)
    assert not server.reload()  # it is in use


def test_a_key_made_wide_is_not_reloaded(ca: trustme.CA, pem: Pem, tmp_path: Path) -> None:
    server = ServerCertificate(*pem)
    before = serial(server)
    write_pem(tmp_path, issue(ca))
    pem.key.chmod(0o644)
    with pytest.raises(SettingError, match="others may read"):
        server.reload()
    assert serial(server) == before
    pem.key.chmod(0o600)
    assert server.reload(), "the content has not changed meanwhile, but what it was not taken for has"
    assert serial(server) != before
