"""Connections to upstreams: kept, reused, retried when stale, closed when left, in memory and without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionDone, DNSLookupError
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS, ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers

from chatmock.upstream_agent import ConnectionPool, EncodedAnswer, UpstreamAgent, WholeBody, _leavable
from chatmock.upstream_connection import UpstreamConnection
from tests.conftest import fired

URI = b"http://127.0.0.1:80/v1/x?y=1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Transport(StringTransport):
    """A transport that tells its protocol when it is aborted, as real ones do."""

    protocol: Any = None

    def abortConnection(self) -> None:
        if not self.disconnected:
            self.disconnected = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Body(Protocol):
    """A body's reader."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        assert self.reason is None, "told twice"
        self.reason = reason.value


class Net:
    """A network of one host."""

    def __init__(self, kept: int = 2) -> None:
        self.reactor = MemoryReactorClock()
        self.pool = ConnectionPool(self.reactor, BrowserLikePolicyForHTTPS(), 10, kept)
        self.agent = UpstreamAgent(self.pool, 30, self.reactor)
        self.transports: list[Transport] = []

    def ask(self, body: bytes = b"{}") -> Deferred[Any]:
        return self.agent.request(
            b"POST", URI, Headers({"X-A": ["b"], "Accept-Encoding": ["gzip"]}), WholeBody(body)
        )

    def accept(self) -> Transport:
        factory = self.reactor.tcpClients[len(self.transports)][2]
        protocol = factory.buildProtocol(None)
        transport = Transport()
        transport.protocol = protocol
        self.transports.append(transport)
        protocol.makeConnection(transport)
        return transport

    def close(self) -> None:
        self.pool.close()
        assert all(call.func.__name__ != "_too_long" for call in self.reactor.getDelayedCalls())


def test_a_request_on_the_wire_and_its_answer() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    assert wire.value() == (
        b"POST /v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}"
    )
    wire.protocol.dataReceived(ANSWER + b"h")
    response = fired(asked)
    assert (response.code, response.length) == (200, 2)
    assert wire.producerState == "paused", "nothing is read on before somebody wants the body"
    body = Body()
    response.deliverBody(body)
    assert wire.producerState == "producing"
    wire.protocol.dataReceived(b"i")
    assert (body.data, type(body.reason)) == (b"hi", ResponseDone)
    net.close()


def answer(net: Net, wire: Transport, asked: Deferred[Any]) -> Body:
    wire.protocol.dataReceived(ANSWER + b"hi")
    body = Body()
    fired(asked).deliverBody(body)
    assert isinstance(body.reason, ResponseDone)
    return body


def test_a_connection_is_used_again_and_closed_after_a_while() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    answer(net, wire, asked)
    net.reactor.advance(14)
    wire.clear()
    again = net.ask()
    assert wire.value().startswith(b"POST")
    answer(net, wire, again)
    net.reactor.advance(16)
    assert wire.disconnected
    assert len(net.transports) == 1
    net.close()


def test_a_stale_connection_is_not_the_askers_problem() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    answer(net, wire, asked)
    again = net.ask()
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    fresh = net.accept()
    assert fresh.value().startswith(b"POST")
    answer(net, fresh, again)
    net.close()


def test_a_fresh_connection_that_closes_is_told() -> None:
    net = Net()
    asked = net.ask()
    net.accept().protocol.connectionLost(Failure(ConnectionDone()))
    with pytest.raises(ResponseNeverReceived):
        fired(asked)
    net.close()


def test_only_once_however_many_are_kept() -> None:
    net = Net(kept=4)
    asked = [net.ask() for _ in range(3)]
    wires = [net.accept() for _ in range(3)]
    for wire, one in zip(wires, asked, strict=True):
        answer(net, wire, one)
        wire.clear()
    poison = net.ask()
    wires[2].protocol.connectionLost(Failure(ConnectionDone()))
    net.accept().protocol.connectionLost(Failure(ConnectionDone()))
    with pytest.raises(ResponseNeverReceived):
        fired(poison)
    assert [wire.value() for wire in wires[:2]] == [b"", b""]
    net.close()


def test_a_request_whose_answer_has_begun_is_not_sent_again() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    answer(net, wire, asked)
    again = net.ask()
    wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Ty")
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    with pytest.raises(ResponseFailed):
        fired(again)
    assert len(net.reactor.tcpClients) == 1
    net.close()


def test_the_first_byte_has_its_own_clock() -> None:
    net = Net()
    asked = net.ask()
    net.reactor.advance(9)  # connecting
    wire = net.accept()
    net.reactor.advance(29)
    assert not wire.disconnected
    net.reactor.advance(2)
    with pytest.raises(TimeoutError):
        fired(asked)
    assert wire.disconnected
    net.close()


def test_only_so_many_are_kept() -> None:
    net = Net(kept=1)
    first, second = net.ask(), net.ask()
    wires = [net.accept(), net.accept()]
    answer(net, wires[0], first)
    answer(net, wires[1], second)
    assert [wire.disconnected for wire in wires] == [True, False]
    net.close()
    assert wires[1].disconnected


@pytest.mark.parametrize("when", ["connecting", "waiting", "kept"])
def test_leaving_closes_the_connection(when: str) -> None:
    net = Net()
    if when == "kept":
        asked = net.ask()
        answer(net, net.accept(), asked)
    asked = net.ask()
    wire = None if when == "connecting" else net.transports[0] if when == "kept" else net.accept()
    asked.cancel()
    with pytest.raises(CancelledError):
        fired(asked)
    assert wire is None or wire.disconnected
    net.close()


def test_leaving_while_a_name_is_looked_up_is_no_fault_of_the_name() -> None:
    connecting: Deferred[Any] = Deferred(lambda own: own.errback(DNSLookupError("no such host")))
    waiting = _leavable(connecting)
    waiting.cancel()
    with pytest.raises(CancelledError):
        fired(waiting)


def test_a_connection_that_comes_after_one_has_left_is_closed() -> None:
    late, transport = UpstreamConnection(lambda _: None, lambda _: None), Transport()
    transport.protocol = late
    late.makeConnection(transport)
    connecting: Deferred[Any] = Deferred(lambda own: own.callback(late))  # it cannot be stopped any more
    waiting = _leavable(connecting)
    waiting.cancel()
    with pytest.raises(CancelledError):
        fired(waiting)
    assert transport.disconnected


def test_a_body_that_is_left_closes_its_connection_but_never_a_later_requests() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    body = answer(net, wire, asked)
    again = net.ask()
    assert body.transport is not None
    body.transport.stopProducing()
    assert not wire.disconnected
    wire.protocol.dataReceived(ANSWER + b"h")
    later = Body()
    fired(again).deliverBody(later)
    assert later.transport is not None
    later.transport.stopProducing()
    assert wire.disconnected
    assert isinstance(later.reason, ResponseFailed)
    net.close()


def test_a_paused_body_stays_paused() -> None:
    class Pausing(Body):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.pauseProducing()

    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(ANSWER + b"h")
    body = Pausing()
    fired(asked).deliverBody(body)
    assert wire.producerState == "paused"
    body.transport.resumeProducing()
    assert wire.producerState == "producing"
    net.close()


@pytest.mark.parametrize("body", [b"", b"h"])
def test_a_cut_body_is_told(body: bytes) -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(ANSWER + body)
    reader = Body()
    fired(asked).deliverBody(reader)
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    assert isinstance(reader.reason, ResponseFailed)
    net.close()


def test_a_connection_lost_between_head_and_delivery_is_told() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(ANSWER + b"h")
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    reader = Body()
    fired(asked).deliverBody(reader)
    assert (reader.data, type(reader.reason)) == (b"h", ResponseFailed)
    net.close()


def test_bytes_behind_an_answer_are_ignored_and_close_the_connection() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(ANSWER + b"hi" + ANSWER)
    body = Body()
    fired(asked).deliverBody(body)
    assert (body.data, type(body.reason)) == (b"hi", ResponseDone)
    assert wire.disconnected
    net.close()


def test_what_is_no_http_closes_the_connection() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(b"nonsense\r\n\r\n")
    with pytest.raises(ResponseFailed):
        fired(asked)
    assert wire.disconnected
    net.close()


def test_bytes_nobody_asked_for_close_a_kept_connection() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    answer(net, wire, asked)
    wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
    assert wire.disconnected
    net.close()


def test_a_compressed_answer_is_not_read() -> None:
    net = Net()
    asked = net.ask()
    wire = net.accept()
    wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n")
    with pytest.raises(EncodedAnswer):
        fired(asked)
    assert wire.disconnected
    net.close()


def test_only_whole_bodies() -> None:
    with pytest.raises(TypeError):
        Net().agent.request(b"POST", URI, None, object())
