"""Scripts played as response bodies: pace, pause, end and departure, by a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.iweb import IClientRequest, IResponse
from zope.interface.verify import verifyObject

from chatmock.conversation import ChatRequest, Message, Text
from chatmock.playback import DemoUpstream, PlayedResponse
from chatmock.providers.demo import Demo, Script
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.upstream import read_start, response_headers
from chatmock.upstream_agent import Discarding

ASKED = UpstreamRequest("POST", "demo:/chat/completions", {"Accept": "text/event-stream"})


class Reader(Protocol):
    """Notes what comes, and when; may act on it."""

    def __init__(self, clock: Clock, **acts: str) -> None:
        self.clock = clock
        self.acts = acts
        self.seen: list[tuple[float, bytes]] = []
        self.lost: list[Failure] = []

    def connectionMade(self) -> None:
        self._act("made")

    def dataReceived(self, data: bytes) -> None:
        self.seen.append((round(self.clock.seconds(), 6), data))
        self._act(data.decode("latin-1"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)

    def _act(self, event: str) -> None:
        if event in self.acts:
            getattr(self.transport, self.acts[event])()


def playing(
    ending: Any = "complete", steps: Any = ((0.0, b"a"), (1.0, b"b"), (2.0, b"c")), **acts: str
) -> tuple[Clock, Reader]:
    clock = Clock()
    reader = Reader(clock, **acts)
    PlayedResponse(clock, ASKED, Script(200, {}, steps, ending)).deliverBody(reader)
    return clock, reader


def run(clock: Clock, seconds: float = 10.0) -> None:
    """Move on in small steps, so that a call made by a call keeps its time."""
    until = clock.seconds() + seconds
    while clock.seconds() < until:
        clock.advance(0.125)
    clock.advance(0)


def sent(clock: Clock, text: str) -> Any:
    chat = ChatRequest("demo", (Message("user", (Text(text),)),), stream=True)
    return DemoUpstream(clock).send("demo", Demo().request(chat, Credential()))


# --- the response ---


def test_the_response_comes_in_a_later_turn() -> None:
    clock = Clock()
    answer = sent(clock, "demo: say hi")
    assert not answer.called
    clock.advance(0)
    response = answer.result
    assert verifyObject(IResponse, response)
    assert verifyObject(IClientRequest, response.request)
    assert (response.code, response.phrase, response.version) == (200, b"OK", (b"HTTP", 1, 1))
    assert response_headers(response) == {"content-type": "text/event-stream; charset=utf-8"}
    assert response.request.method == b"POST"
    assert response.request.absoluteURI == b"demo:/chat/completions"
    assert not clock.getDelayedCalls(), "nothing runs before somebody listens"
    response.setPreviousResponse(response)
    assert response.previousResponse is response


def test_an_error_has_its_status_header_and_body() -> None:
    clock = Clock()
    answer = sent(clock, "demo: fail 429")
    clock.advance(0)
    assert answer.result.code == 429
    assert response_headers(answer.result)["retry-after"] == "2"
    body = read_start(answer.result, clock, 65536, 5.0)
    run(clock, 1)
    result: Any = body.result
    assert b'"rate_limit_exceeded"' in result
    assert not clock.getDelayedCalls()


def test_cancelling_before_the_response_leaves_nothing_behind() -> None:
    clock = Clock()
    answer = sent(clock, "demo: say hi")
    failures: list[Failure] = []
    answer.addErrback(failures.append)
    answer.cancel()
    assert failures[0].check(CancelledError)
    assert not clock.getDelayedCalls()


def test_a_body_is_delivered_once() -> None:
    response = PlayedResponse(Clock(), ASKED, Script(200, {}, ()))
    response.deliverBody(Protocol())
    with pytest.raises(RuntimeError):
        response.deliverBody(Protocol())


def test_the_demo_plays_at_its_pace() -> None:
    clock = Clock()
    answer = sent(clock, "demo: say one two three\ndemo: pace 500")
    clock.advance(0)
    reader = Reader(clock)
    answer.result.deliverBody(reader)
    run(clock)
    assert [when for when, _ in reader.seen] == [0.125, 0.625, 1.125, 1.625, 1.625]
    assert b"three" in reader.seen[3][1]
    assert reader.seen[4][1].endswith(b"data: [DONE]\n\n")
    assert reader.lost[0].check(ResponseDone)


# --- the body ---


def test_steps_come_at_their_times_and_the_end_after_them() -> None:
    clock, reader = playing()
    assert verifyObject(IPushProducer, reader.transport)
    assert reader.seen == [], "not while the body is being asked for"
    clock.advance(0)
    assert reader.seen == [(0.0, b"a")]
    clock.advance(0.999)
    assert len(reader.seen) == 1
    clock.advance(0.001)
    clock.advance(2)
    assert reader.seen == [(0.0, b"a"), (1.0, b"b"), (3.0, b"c")]
    assert [reason.check(ResponseDone) for reason in reader.lost] == [ResponseDone]
    assert not clock.getDelayedCalls()


def test_a_cut_body_ends_as_a_lost_connection() -> None:
    clock, reader = playing("cut")
    run(clock)
    assert b"".join(data for _, data in reader.seen) == b"abc"
    assert reader.lost[0].check(ResponseFailed)
    assert reader.lost[0].value.reasons[0].check(ConnectionLost)
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("steps", [(), ((0.0, b"a"),)])
def test_a_hanging_body_never_ends_by_itself(steps: Any) -> None:
    clock, reader = playing("hang", steps)
    run(clock, 1000)
    assert [data for _, data in reader.seen] == [data for _, data in steps]
    assert not reader.lost
    assert not clock.getDelayedCalls()
    reader.transport.stopProducing()
    assert reader.lost[0].check(ResponseFailed)


def test_nothing_comes_while_paused_and_all_of_it_later() -> None:
    clock, reader = playing()
    clock.advance(0.25)
    reader.transport.pauseProducing()
    reader.transport.pauseProducing()
    assert not clock.getDelayedCalls()
    clock.advance(100)
    assert reader.seen == [(0.25, b"a")]
    reader.transport.resumeProducing()
    reader.transport.resumeProducing()
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0.75)
    assert reader.seen == [(0.25, b"a")], "the wait goes on with what was left of it"
    clock.advance(0.25)
    assert reader.seen[1:] == [(101.25, b"b")]


def test_a_pause_in_the_midst_of_a_step_holds_the_next_one() -> None:
    clock, reader = playing(b="pauseProducing")
    run(clock)
    assert [data for _, data in reader.seen] == [b"a", b"b"]
    reader.transport.resumeProducing()
    run(clock)
    assert [data for _, data in reader.seen] == [b"a", b"b", b"c"]
    assert reader.lost[0].check(ResponseDone)


def test_a_pause_at_the_last_step_holds_the_end() -> None:
    clock, reader = playing(c="pauseProducing")
    run(clock)
    assert not reader.lost
    reader.transport.resumeProducing()
    assert not reader.lost, "not from within the call"
    clock.advance(0)
    assert reader.lost[0].check(ResponseDone)


@pytest.mark.parametrize("how", ["stopProducing", "loseConnection"])
@pytest.mark.parametrize("when", ["made", "a", "c", "waiting", "paused", "ended"])
def test_stopping_ends_it_once_and_for_all(how: str, when: str) -> None:
    clock, reader = playing(**{when: how})
    if when == "waiting":
        clock.advance(0.5)
    elif when == "paused":
        reader.transport.pauseProducing()
    elif when == "ended":
        run(clock)
    if when in ("waiting", "paused", "ended"):
        getattr(reader.transport, how)()
    run(clock)
    getattr(reader.transport, how)()
    reader.transport.resumeProducing()
    run(clock)
    assert [reason.type for reason in reader.lost] == [ResponseDone if when == "ended" else ResponseFailed]
    expected = {"made": b"", "paused": b"", "a": b"a", "waiting": b"a", "c": b"abc", "ended": b"abc"}
    assert b"".join(data for _, data in reader.seen) == expected[when]
    assert not clock.getDelayedCalls()


def test_a_body_nobody_wants_is_gone_at_once() -> None:
    clock = Clock()
    PlayedResponse(clock, ASKED, Script(200, {}, ((0.0, b"a"),))).deliverBody(Discarding())
    assert not clock.getDelayedCalls()


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.binary(min_size=1)), max_size=6),
    st.lists(st.sampled_from(["pauseProducing", "resumeProducing", "wait"]), max_size=20),
)
def test_no_interruption_loses_or_reorders_anything(steps: Any, moves: list[str]) -> None:
    clock, reader = playing(steps=steps)
    paused = False
    for move in moves:
        if move == "wait":
            before = len(reader.seen)
            run(clock, 0.5)
            assert len(reader.seen) == before or not paused
        else:
            getattr(reader.transport, move)()
            paused = move == "pauseProducing"
        assert len(clock.getDelayedCalls()) <= (0 if paused else 1)
    reader.transport.resumeProducing()
    run(clock, 10)
    assert [data for _, data in reader.seen] == [data for _, data in steps]
    assert len(reader.lost) == 1


def test_streams_do_not_hold_each_other_up() -> None:
    clock = Clock()
    readers = [Reader(clock) for _ in range(500)]
    for reader in readers:
        PlayedResponse(clock, ASKED, Script(200, {}, ((1.0, b"x"),) * 3)).deliverBody(reader)
    readers[0].transport.pauseProducing()
    run(clock, 5)
    assert all([data for _, data in reader.seen] == [b"x"] * 3 and reader.lost for reader in readers[1:])
    assert not readers[0].seen
