"""Fixtures of the security tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor

from tests.conftest import until
from tests.upstreams.hostile import HostileServer


@pytest.fixture
def tls_files(tmp_path: Path) -> dict[str, Any]:
    """The settings for a throw-away certificate."""
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    return {"tls_cert": chain, "tls_key": key}


@pytest_twisted.async_yield_fixture()
async def elsewhere() -> AsyncIterator[HostileServer]:
    """Where a redirect points to; nobody ever comes."""
    server = HostileServer(reactor)
    server.listen()
    yield server
    await server.port.stopListening()
    assert server.connections == 0


@pytest_twisted.async_yield_fixture()
async def hostile(elsewhere: HostileServer) -> AsyncIterator[HostileServer]:
    """The upstream of the test; in the end it has no connection that the daemon would not have kept."""
    server = HostileServer(reactor)
    server.listen()
    server.elsewhere = elsewhere.url
    yield server
    await server.port.stopListening()
    await until(lambda: not server.open, 3.0)
