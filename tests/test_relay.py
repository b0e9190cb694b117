"""The relay and the sender of whole bodies, with a clock: whatever happens, somebody is told, once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from chatmock.errors import Kind
from chatmock.events import Failed, Finished
from chatmock.relay import BodyRelay
from chatmock.whole_body import WholeBodySender
from tests.conftest import fired

DONE = Finished(("stop",))


class Coder:
    """A transcoder that passes bytes on, is done at ``!``, and breaks where told."""

    def __init__(self, breaks: str = "") -> None:
        self.outcome: Any = None
        self.usage = None
        self.records = 0
        self._breaks = breaks

    def feed(self, data: bytes) -> bytes:
        if self._breaks == "feed":
            raise RuntimeError("broken")
        self.records += not data.startswith(b":")
        if b"!" in data:
            self.outcome = DONE
        return data

    def close(self) -> bytes:
        if self._breaks == "close":
            raise RuntimeError("broken")
        if self._breaks != "mute":
            self.outcome = self.outcome or DONE
        return b"end"


class Bench:
    """A relay between a memory transport and a list."""

    def __init__(self, breaks: str = "") -> None:
        self.clock = Clock()
        self.out: list[bytes] = []
        self.relay = BodyRelay(Coder(breaks), self.write, self.clock, 10, 20, 100)
        self.breaks = breaks
        self.upstream = StringTransport()
        self.relay.makeConnection(self.upstream)

    def write(self, data: bytes) -> None:
        if self.breaks == "write":
            raise RuntimeError("broken")
        self.out.append(data)

    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())


def test_until_the_outcome_then_a_short_while_for_the_rest() -> None:
    bench = Bench()
    bench.relay.dataReceived(b"a")
    bench.relay.dataReceived(b"!")
    bench.relay.dataReceived(b"after")
    assert (fired(bench.relay.done), bench.out) == (DONE, [b"a", b"!"])
    bench.clock.advance(0.9)
    assert bench.upstream.producerState == "producing"
    bench.clock.advance(0.2)
    assert bench.upstream.producerState == "stopped"
    assert bench.timers() == 0


def test_the_end_of_the_body_is_the_transcoders_to_judge() -> None:
    bench = Bench()
    bench.relay.connectionLost()
    assert (fired(bench.relay.done), bench.out, bench.timers()) == (DONE, [b"end"], 0)


@pytest.mark.parametrize("breaks", ["feed", "close", "write", "mute"])
def test_a_fault_of_ours_is_told_and_leaves_nothing(breaks: str, logged_faults: list[Any]) -> None:
    bench = Bench(breaks)
    if breaks in ("feed", "write"):
        bench.relay.dataReceived(b"a")
        assert bench.upstream.producerState == "stopped"
    bench.relay.connectionLost()
    outcome = fired(bench.relay.done)
    assert isinstance(outcome, Failed)
    assert outcome.refusal.kind is Kind.INTERNAL
    assert bench.timers() == 0
    assert len(logged_faults) == (breaks != "mute")
    logged_faults.clear()


def test_silence_is_measured_in_records() -> None:
    bench = Bench()
    bench.clock.advance(9)
    bench.relay.dataReceived(b"a")
    bench.clock.advance(9)
    bench.relay.dataReceived(b": still here")
    bench.clock.advance(2)
    outcome = fired(bench.relay.done)
    assert isinstance(outcome, Failed)
    assert outcome.refusal.kind is Kind.UPSTREAM_TIMED_OUT
    assert bench.upstream.producerState == "stopped"
    bench.relay.connectionLost()
    assert bench.timers() == 0


def test_a_slow_client_pauses_the_upstream_and_stops_its_clock() -> None:
    bench = Bench()
    bench.clock.advance(4)
    bench.relay.pauseProducing()
    bench.relay.pauseProducing()
    assert (bench.upstream.producerState, bench.timers()) == ("paused", 1)
    bench.clock.advance(11)
    bench.relay.resumeProducing()
    bench.relay.resumeProducing()
    assert (bench.upstream.producerState, bench.timers()) == ("producing", 2)
    assert not bench.relay.done.called
    bench.relay.stopProducing()
    assert bench.timers() == 0


def test_pauses_do_not_give_a_silent_upstream_more_time() -> None:
    bench = Bench()
    for _ in range(4):
        bench.clock.advance(2.4)
        bench.relay.dataReceived(b": still here")
        bench.relay.pauseProducing()
        bench.clock.advance(1)
        bench.relay.resumeProducing()
    bench.clock.advance(0.3)
    assert not bench.relay.done.called
    bench.clock.advance(0.2)
    outcome = fired(bench.relay.done)
    assert isinstance(outcome, Failed)
    assert outcome.refusal.code == "upstream_idle"
    assert bench.timers() == 0


def test_a_record_that_comes_when_the_client_is_full_is_one() -> None:
    bench = Bench()
    bench.clock.advance(9)
    bench.relay.pauseProducing()
    bench.relay.dataReceived(b"a")
    assert bench.timers() == 1
    bench.relay.resumeProducing()
    bench.clock.advance(9.9)
    assert not bench.relay.done.called
    bench.relay.stopProducing()


def test_a_client_that_is_full_before_the_body_begins() -> None:
    clock, upstream = Clock(), StringTransport()
    relay = BodyRelay(Coder(), bytes, clock, 10)
    relay.pauseProducing()
    relay.resumeProducing()
    relay.pauseProducing()
    relay.makeConnection(upstream)
    assert (upstream.producerState, clock.getDelayedCalls()) == ("paused", [])
    relay.resumeProducing()
    assert (upstream.producerState, len(clock.getDelayedCalls())) == ("producing", 1)
    relay.stopProducing()
    assert clock.getDelayedCalls() == []


def test_cancelling_closes_the_upstream_and_nobody_hears_of_it_again() -> None:
    bench = Bench()
    done = bench.relay.done
    done.cancel()
    with pytest.raises(CancelledError):
        fired(done)
    assert bench.upstream.producerState == "stopped"
    bench.relay.dataReceived(b"late")
    bench.relay.connectionLost()
    assert (bench.out, bench.timers()) == ([], 0)


class Consumer:
    """A consumer that asks when the test says so."""

    def __init__(self) -> None:
        self.data = b""
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert not streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.data += data


def sender() -> tuple[WholeBodySender, Consumer, bytes]:
    body = bytes(range(256)) * 1000
    consumer = Consumer()
    return WholeBodySender(body, consumer), consumer, body


def test_a_whole_body_goes_piece_by_piece() -> None:
    sending, consumer, body = sender()
    done = sending.start()
    pieces = 0
    while consumer.producer is not None:
        consumer.producer.resumeProducing()
        pieces += 1
    fired(done)
    assert (consumer.data, pieces) == (body, 5)  # four and the end


def test_a_client_that_leaves_ends_the_sending_quietly() -> None:
    sending, consumer, _ = sender()
    done = sending.start()
    consumer.producer.resumeProducing()
    consumer.producer.stopProducing()
    done.cancel()
    with pytest.raises(CancelledError):
        fired(done)
    before = consumer.data
    sending.resumeProducing()
    assert consumer.data == before


# --- totals


@pytest.mark.parametrize("paused", [False, True])
def test_an_answer_has_so_long_in_all_whoever_is_slow(paused: bool) -> None:
    bench = Bench()
    for _ in range(10):
        bench.clock.advance(1.5)
        bench.relay.dataReceived(b"a")
        assert bench.timers() == 2
    bench.clock.advance(3)
    if paused:
        bench.relay.pauseProducing()
    bench.clock.advance(2)
    outcome = fired(bench.relay.done)
    assert isinstance(outcome, Failed)
    assert (outcome.refusal.kind, outcome.refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_limit")
    assert "CHATMOCK_TOTAL_TIMEOUT" in outcome.refusal.message
    assert not outcome.refusal.retryable
    assert bench.upstream.producerState == "stopped"
    bench.relay.connectionLost()
    assert bench.timers() == 0


@pytest.mark.parametrize("end", ["outcome", "close", "silence", "cancel", "leave"])
def test_no_end_leaves_the_total_running(end: str) -> None:
    bench = Bench()
    bench.relay.dataReceived(b"a")
    match end:
        case "outcome":
            bench.relay.dataReceived(b"!")
        case "close":
            bench.relay.connectionLost()
        case "silence":
            bench.clock.advance(10)
        case "cancel":
            bench.relay.done.addErrback(lambda _: None).cancel()
        case "leave":
            bench.relay.stopProducing()
    bench.clock.advance(1)  # the moment in which an upstream may end its body properly
    assert bench.timers() == 0


def test_an_answer_may_be_so_long() -> None:
    bench = Bench()
    for _ in range(10):
        bench.relay.dataReceived(b"a" * 10)
    assert not bench.relay.done.called
    bench.relay.dataReceived(b"a")
    outcome = fired(bench.relay.done)
    assert isinstance(outcome, Failed)
    assert outcome.refusal.code == "upstream_limit"
    assert "100 bytes" in outcome.refusal.message
    assert b"".join(bench.out) == b"a" * 101, "what has come is passed on"
    assert bench.upstream.producerState == "stopped"
    assert bench.timers() == 0


def test_an_answer_that_ends_at_its_limit_is_whole() -> None:
    bench = Bench()
    bench.relay.dataReceived(b"a" * 100)
    bench.relay.dataReceived(b"!")
    assert fired(bench.relay.done) == DONE
