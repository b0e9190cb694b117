"""An upstream whose certificate is not right gets nothing, and one that ends TLS badly leaves nothing behind
(spec security.md, P33; 4).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    trustRootFromCertificates,
)
from twisted.web.client import BrowserLikePolicyForHTTPS

from chatmock.admission.backoff import Backoff
from chatmock.dialects import DIALECTS
from tests.conftest import Start, until
from tests.security.fault_table import GONE, KEY, TABLE, answer, settings_of
from tests.security.verdicts import ASKING, check_silence, verdict
from tests.test_lifetimes import slots
from tests.upstreams.hostile import HostileServer

CA = trustme.CA()
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
DIALECT = pytest.mark.parametrize("dialect", [dialect.name for dialect in DIALECTS])


def issued(ca: trustme.CA, name: str) -> CertificateOptions:
    certificate = ca.issue_cert(name)
    pem = certificate.private_key_pem.bytes() + b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    options: CertificateOptions = PrivateCertificate.loadPEM(pem).options()
    return options


def trusting() -> BrowserLikePolicyForHTTPS:
    """Trust in the tests' own authority instead of the system's."""
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates([Certificate.loadPEM(CA.cert_pem.bytes())]))


@asynccontextmanager
async def serving(certificate: CertificateOptions | None) -> AsyncIterator[HostileServer]:
    server = HostileServer(reactor, certificate)
    server.listen()
    yield server
    await server.port.stopListening()


@STREAM
@DIALECT
@pytest.mark.parametrize("fault", ["wrong_name", "stranger", "no_tls"])
async def test_who_cannot_be_verified_is_sent_nothing(
    start: Start, fault: str, dialect: str, stream: bool
) -> None:
    certificates: dict[str, Callable[[], Any]] = {
        "wrong_name": lambda: issued(CA, "elsewhere.example"),
        "stranger": lambda: issued(trustme.CA(), "localhost"),
        "no_tls": lambda: None,
    }
    async with serving(certificates[fault]()) as server:
        url = server.url.replace("http:", "https:")
        # Who never answers in TLS is waited for as long as for a first byte.
        wait = {"first_byte_timeout": 0.3} if fault == "no_tls" else {}
        daemon = start(trusting(), **settings_of(url, compatible_models=("m",), **wait))
        answered, received = await answer(daemon.url, server, ASKING[dialect].request("m", stream), "m")
        assert verdict(answered, dialect, stream) == (504 if fault == "no_tls" else 502)
        check_silence(received, (KEY, "localhost:", "elsewhere", "127.0.0.1", "OpenSSL", "SSL."))
        if fault != "no_tls":
            assert b"cannot be verified" in received
        await until(lambda: not server.open, GONE)
        assert server.asked == []
        assert slots(daemon) == (0, 0)


@pytest.mark.parametrize("dialect", ["openai-chat"])
@pytest.mark.parametrize("moment", ["whole", "first", "later"])
@pytest.mark.parametrize(
    "fault", ["fine", "cut_mid", "reset_mid", "stall_mid", "until_close", "short_body", "second_response"]
)
async def test_a_fault_over_tls(
    start: Start, monkeypatch: pytest.MonkeyPatch, fault: str, moment: str, dialect: str
) -> None:
    """As over TCP; a stalled one is closed although it never says goodbye."""
    monkeypatch.setattr("chatmock.service.Backoff", lambda chance: Backoff(lambda: 0.0))
    async with serving(issued(CA, "localhost")) as server:
        line, model = TABLE[fault], f"{fault}.{'later' if moment == 'later' else 'first'}"
        daemon = start(trusting(), **settings_of(server.url, **line.settings))
        asking = ASKING[dialect].request(model, moment != "whole")
        answered, _ = await answer(daemon.url, server, asking, model)
        assert verdict(answered, dialect, moment != "whole") in getattr(line, moment)
        if not line.kept:
            await until(lambda: not server.open, GONE)
        await daemon.service.stopService()
        await until(lambda: not server.open, GONE)
