"""TLS as clients meet it: what is spoken, with which certificate, and that certificate exchanged (P2, P4)."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.settings import Secret, SettingError
from chatmock.tls.files import TLSFiles, make
from tests.chunks import DONE, chunk
from tests.conftest import KEY, Daemon, Start, until
from tests.security.saying import ask, reach
from tests.test_lifetimes import HELLO, post
from tests.tls.material import Pem, ago, issue, write_pem
from tests.upstreams.openai_server import OpenAIServer

SECONDS = 20.0


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(ca: trustme.CA, tmp_path: Path) -> Pem:
    return write_pem(tmp_path, issue(ca.create_child_ca()))


def settings(pem: Pem, **more: Any) -> dict[str, Any]:
    return {"tls_cert": pem.certificate, "tls_key": pem.key, **more}


def trusting(ca: trustme.CA | None = None, path: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=path)
    if ca is not None:
        ca.configure_trust(context)
    return context


def shown(url: str, context: ssl.SSLContext, name: str = "localhost") -> tuple[str | None, x509.Certificate]:
    """The protocol that a new connection to *url* speaks, and the certificate that the server showed there."""
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        told = wrapped.getpeercert(binary_form=True)
        assert told is not None
        wrapped.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert wrapped.recv(12) == b"HTTP/1.1 200"
        return wrapped.selected_alpn_protocol(), x509.load_der_x509_certificate(told)


async def serial(daemon: Daemon, ca: trustme.CA) -> int:
    """Of the certificate that a new connection gets, which must lead to *ca*."""
    _, certificate = await deferToThread(shown, daemon.url, trusting(ca))
    return certificate.serial_number


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the keeper of the certificate logs."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "chatmock.tls.keeper.CertificateKeeper":
            assert event["log_level"] <= LogLevel.warn, event
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


async def test_a_client_that_trusts_the_root_alone(start: Start, ca: trustme.CA, pem: Pem) -> None:
    daemon = start(**settings(pem))
    assert await serial(daemon, ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        await serial(daemon, trustme.CA())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_an_old_client_is_refused(start: Start, ca: trustme.CA, pem: Pem) -> None:
    daemon, context = start(**settings(pem)), trusting(ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await deferToThread(shown, daemon.url, context)
    assert await serial(daemon, ca)


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-CCM", "DHE-RSA-AES128-GCM-SHA256"]
)
async def test_a_client_with_other_ciphers_is_refused(
    start: Start, ca: trustme.CA, pem: Pem, cipher: str
) -> None:
    daemon, context = start(**settings(pem)), trusting(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        await deferToThread(shown, daemon.url, context)


@pytest.mark.parametrize(("offered", "spoken"), [(["h2", "http/1.1"], "http/1.1"), (["h2"], None)])
async def test_no_http_2(
    start: Start, ca: trustme.CA, pem: Pem, offered: list[str], spoken: str | None
) -> None:
    daemon, context = start(**settings(pem)), trusting(ca)
    context.set_alpn_protocols(offered)
    spoke, _ = await deferToThread(shown, daemon.url, context)
    assert spoke == spoken


async def test_plain_http_at_a_tls_port_is_not_answered(start: Start, pem: Pem) -> None:
    daemon = start(**settings(pem))
    client = await post(daemon)
    await until(lambda: client.lost.called)
    assert b"HTTP/" not in client.received


# --- the certificate is exchanged ----------------------------------------------------------------------------------


async def test_new_connections_get_the_new_one_and_streams_go_on(
    start: Start, upstream: OpenAIServer, ca: trustme.CA, pem: Pem, tmp_path: Path, said: list[str]
) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        **settings(pem),
    )
    before = await serial(daemon, ca)
    upstream.reply([chunk({"content": "x"})] * 40 + [DONE], pause=0.02)
    stream = await reach(daemon)
    stream.transport.write(_asking())
    await until(lambda: b'"x"' in stream.received)
    write_pem(tmp_path, issue(ca))
    hang_up()
    await until(lambda: bool(said))
    assert await serial(daemon, ca) != before
    assert not stream.lost.called
    assert b"[DONE]" not in stream.received, "the stream was too short for this test"
    await until(lambda: b"[DONE]" in stream.received)
    assert stream.received.count(b'"x"') == 40
    stream.leave()
    await stream.lost


def _asking() -> bytes:
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def test_a_bad_new_one_keeps_the_old_and_says_so_in_one_line(
    start: Start, ca: trustme.CA, pem: Pem, tmp_path: Path, said: list[str]
) -> None:
    daemon = start(**settings(pem))
    before = await serial(daemon, ca)
    pem.certificate.write_bytes(write_pem(tmp_path, issue(ca), "other").certificate.read_bytes())
    hang_up()
    await until(lambda: bool(said))
    assert len(said) == 1
    assert "the one before stays in use" in said[0]
    assert await serial(daemon, ca) == before


# --- the start -----------------------------------------------------------------------------------------------------


async def test_a_key_that_others_can_read_stops_the_start(start: Start, pem: Pem) -> None:
    pem.key.chmod(0o644)
    with pytest.raises(SettingError, match="others may read"):
        start(**settings(pem))


async def test_an_ended_certificate_is_told_at_the_start(
    start: Start, ca: trustme.CA, tmp_path: Path
) -> None:
    ended = write_pem(tmp_path, issue(ca, not_before=ago(30), not_after=ago(2)))
    daemon = start(**settings(ended))
    assert f"note:         the certificate {ended.certificate} has ended on" in daemon.said[0]


async def test_any_endpoint_can_speak_tls(start: Start, ca: trustme.CA, pem: Pem) -> None:
    daemon = start(
        **settings(pem), endpoints=("tls:tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"), port=1
    )
    assert [url.partition(":")[0] for url in daemon.service.urls] == ["https", "http"]
    assert await serial(daemon, ca)


@pytest.mark.parametrize("certified", [False, True])
@pytest.mark.parametrize(
    "description",
    ["ssl:0:privateKey=x", "tls:tcp:0", "tls:folder:443", "tls:ssl:0", r"tls:S\sl:0", "tls:tls:tcp:0"],
)
def test_tls_that_is_not_ours_is_refused(start: Start, pem: Pem, description: str, certified: bool) -> None:
    if certified and description in ("tls:tcp:0", "tls:folder:443"):
        return
    more = settings(pem) if certified else {}
    with pytest.raises(SettingError, match=r"for TLS give --tls-cert and --tls-key, and tls: before"):
        start(**more, endpoints=(description,), allow_open=True)


# --- the authority of `chatmock tls init` --------------------------------------------------------------------------


@pytest.fixture
def own(home: Path) -> TLSFiles:
    files = TLSFiles(home / ".chatgpt-local")
    with files.locked():
        make(files, ["box", "box.lan", "localhost"], ["chat.example.org"], dt.datetime.now(dt.UTC), 90)
    return files


async def test_its_names_are_verified(start: Start, own: TLSFiles) -> None:
    daemon = start(tls_cert=own.server, tls_key=own.server_key)
    for name in ("box", "box.lan", "localhost", "chat.example.org"):
        await deferToThread(shown, daemon.url, trusting(path=own.authority), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        await deferToThread(shown, daemon.url, trusting(path=own.authority), "other.lan")


@pytest.mark.parametrize("guarded", [{}, {"require_auth": True, "access_token": Secret("s3cret")}])
async def test_everybody_may_read_how_to_trust_it(
    start: Start, own: TLSFiles, guarded: dict[str, Any]
) -> None:
    daemon = start(**guarded)
    page, file = await ask(daemon, target="/ca"), await ask(daemon, target="/ca.pem")
    assert page.status == file.status == 200
    assert "default-src 'none'" in page.fields["content-security-policy"]
    assert file.fields["content-type"] == "application/x-x509-ca-cert"
    assert file.body == own.authority.read_bytes()
    head = await ask(daemon, ("Connection", "close"), target="/ca.pem", method="HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("target", ["/ca", "/ca.pem"])
async def test_over_plain_http_too_where_tls_is_required(start: Start, own: TLSFiles, target: str) -> None:
    daemon = start(require_tls=True)
    assert (await ask(daemon, target=target)).status == 200
    assert (await ask(daemon)).status == 403
    assert (await ask(daemon, target=target, host="evil.example.com")).status == 421
    assert (await ask(daemon, target=target, method="POST")).status in (403, 405)


@pytest.mark.parametrize("target", ["/ca", "/ca.pem"])
async def test_where_there_is_none_there_is_no_page(start: Start, target: str) -> None:
    assert (await ask(start(), target=target)).status == 404


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_openssl_agrees(start: Start, own: TLSFiles) -> None:
    daemon = start(tls_cert=own.server, tls_key=own.server_key)
    address = daemon.url.partition("//")[2]

    def run(*options: str) -> str:
        command = ["openssl", "s_client", "-connect", address, "-CAfile", str(own.authority), *options]
        ran = subprocess.run(command, input="", capture_output=True, text=True, timeout=SECONDS, check=False)
        return ran.stdout + ran.stderr

    good = await deferToThread(run, "-verify_hostname", "box.lan", "-x509_strict", "-alpn", "h2,http/1.1")
    assert "Verify return code: 0 (ok)" in good
    assert "ALPN protocol: http/1.1" in good
    assert "Compression: NONE" in good
    assert "Secure Renegotiation IS NOT supported" in good or "Secure Renegotiation IS supported" in good
    old = await deferToThread(run, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "Verify return code: 0 (ok)" not in old or "Cipher is (NONE)" in old
