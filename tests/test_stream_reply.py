"""The client's end of a stream, with a clock: when there is a comment, and when there is none."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from chatmock.dialects import Dialect, OpenAIChat
from chatmock.stream_reply import StreamReply


@attrs.define
class Page:
    """What a request takes of an answer."""

    code: int | None = None
    responseHeaders: Headers = attrs.field(factory=Headers)
    written: list[bytes] = attrs.field(factory=list)
    producer: Any = None

    def setResponseCode(self, code: int) -> None:
        self.code = code

    def setHeader(self, name: bytes, value: bytes) -> None:
        assert not self.written
        self.responseHeaders.setRawHeaders(name, [value])

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        assert self.code == 200
        self.written.append(data)


class Producer:
    """An upstream's body."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


class Mute(OpenAIChat):
    """A dialect whose streams have no comments."""

    def comment(self, text: str) -> bytes:
        return b""


class Bench:
    """A reply that waits."""

    def __init__(self, dialect: Dialect | None = None, after: float = 5.0) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.page = Page()
        self.answering = 0
        self.notes = {"X-Note": "clamped"}
        self.reply = StreamReply(self.page, dialect or OpenAIChat(), self.clock, self.notes, self.count)
        self.reply.keep_alive(after)

    def count(self) -> None:
        self.answering += 1

    def said(self) -> list[str]:
        """What has been written since this was asked."""
        said, self.page.written = self.page.written, []
        return [each.decode().strip() for each in said]


def test_comments_come_after_five_seconds_and_then_every_ten() -> None:
    bench = Bench()
    bench.clock.advance(4.9)
    assert (bench.said(), bench.reply.begun, bench.page.code) == ([], False, None)
    bench.clock.advance(0.2)
    assert bench.said() == [": waiting, 5 s"]
    assert (bench.reply.begun, bench.reply.answered, bench.answering) == (True, False, 0)
    assert bench.page.responseHeaders.getRawHeaders("x-note") == ["clamped"]
    bench.reply.waits("waiting for Somebody, {:.0f} s".format)
    for _ in range(6):
        bench.clock.advance(5)
    assert bench.said() == [f": waiting for Somebody, {seconds} s" for seconds in (10, 20, 30)]


def test_a_note_that_comes_after_the_head_is_told_in_a_comment_before_the_first_record() -> None:
    bench = Bench()
    bench.clock.advance(5)
    bench.said()
    bench.notes.update({"X-Late": "seed, top_k", "X-Note": "clamped more"})
    bench.reply.write(b"record")
    bench.reply.write(b"record")
    bench.reply.finish(b"end")
    assert bench.said() == [": X-Note: clamped more", ": X-Late: seed, top_k", "record", "record", "end"]
    assert bench.page.responseHeaders.getRawHeaders("x-note") == ["clamped"]


def test_a_note_that_comes_after_the_head_is_told_with_a_failure_too() -> None:
    bench = Bench()
    bench.clock.advance(5)
    bench.said()
    bench.notes["X-Late"] = "seed"
    bench.reply.finish(b"error")
    assert bench.said() == [": X-Late: seed", "error"]


def test_what_the_head_tells_is_not_told_again() -> None:
    bench = Bench()
    bench.notes["X-Late"] = "seed"
    bench.reply.write(b"record")
    bench.reply.finish()
    assert bench.said() == ["record"]
    assert bench.page.responseHeaders.getRawHeaders("x-late") == ["seed"]


def test_a_comment_that_cannot_be_made_harms_nothing_else() -> None:
    bench = Bench()
    bench.reply.waits("{:.0f} {}".format)
    with pytest.raises(IndexError):
        bench.clock.advance(5)
    bench.reply.write(b"record")
    bench.reply.finish()
    assert bench.said() == ["record"]
    assert bench.clock.getDelayedCalls() == []


def test_what_it_waits_for_does_not_put_the_first_comment_off() -> None:
    bench = Bench()
    bench.clock.advance(4)
    bench.reply.waits("upstream, {:.0f} s".format)
    bench.clock.advance(1)
    assert bench.said() == [": upstream, 1 s"]


def test_records_put_comments_off() -> None:
    bench = Bench()
    for second in range(30):
        bench.reply.write(b"%d" % second)
        bench.clock.advance(1)
    assert bench.said() == list(map(str, range(30)))
    assert bench.answering == 1
    bench.clock.advance(8.9)
    assert bench.said() == []
    bench.clock.advance(0.1)
    assert bench.said() == [": waiting, 10 s"]


def test_a_stream_of_many_records_moves_its_timer_seldom() -> None:
    bench = Bench()
    seen = set()
    for _ in range(6000):
        bench.reply.write(b"x")
        bench.clock.advance(0.01)
        (timer,) = bench.clock.calls
        seen.add(timer.getTime())
    assert len(seen) <= 7


def test_a_long_keepalive_after_is_kept_to_after_a_record_too() -> None:
    bench = Bench(after=60)
    bench.reply.write(b"1")
    bench.said()
    bench.clock.advance(59)
    assert bench.said() == []
    bench.clock.advance(1)
    assert bench.said() == [": waiting, 60 s"]


def test_nothing_is_written_to_a_socket_that_is_full() -> None:
    bench, upstream = Bench(), Producer()
    bench.clock.advance(5)
    bench.said()
    bench.page.producer.pauseProducing()
    bench.clock.advance(10)
    bench.reply.attach(upstream)
    bench.clock.advance(10)
    assert bench.said() == []
    assert upstream.heard == ["pause"]
    bench.page.producer.resumeProducing()
    bench.clock.advance(10)
    assert bench.said() == [": waiting, 35 s"]
    bench.page.producer.pauseProducing()
    bench.page.producer.stopProducing()
    assert upstream.heard == ["pause", "resume", "pause", "stop"]


def test_an_upstream_that_has_failed_is_told_nothing_more() -> None:
    bench, upstream = Bench(), Producer()
    bench.clock.advance(5)
    bench.reply.attach(upstream)
    bench.reply.attach(None)
    bench.page.producer.pauseProducing()
    bench.page.producer.resumeProducing()
    bench.page.producer.stopProducing()
    assert upstream.heard == []


@pytest.mark.parametrize("last", [b"", b"the end"])
def test_nothing_follows_the_end(last: bytes) -> None:
    bench = Bench()
    bench.reply.write(b"record")
    bench.reply.finish(last)
    bench.reply.stop()
    assert bench.said() == [each for each in ("record", last.decode()) if each]
    assert bench.page.producer is None
    assert bench.clock.getDelayedCalls() == []


def test_a_dialect_without_comments_has_no_timer() -> None:
    bench = Bench(Mute())
    assert bench.clock.getDelayedCalls() == []


def test_a_comment_is_one_line() -> None:
    assert OpenAIChat().comment("a\r\ndata: {}\n\nb") == b": a data: {}  b\n\n"
