"""Catalogues are asked for once, kept, and renewed behind the requests."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from chatmock.account import Account, FixedCredential, OneCall
from chatmock.discovery import Discovery
from chatmock.errors import Kind, Refusal
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.interface import Credential
from chatmock.providers.openai_compatible import OpenAICompatible
from tests.conftest import fired


class Upstream:
    """An upstream whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []
        self.cancelled = 0

    def send(self, title: str, request: Any) -> Deferred[Any]:
        self.asked.append(Deferred(self._cancel))
        return self.asked[-1]

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def fail(self) -> None:
        self.asked[-1].errback(Refusal(Kind.UPSTREAM_FAILED, "down"))


class Response:
    """A response whose body is there at once."""

    def __init__(self, body: bytes, code: int = 200) -> None:
        from twisted.web.http_headers import Headers

        self.code, self.headers, self._body = code, Headers(), body

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._body)
        protocol.connectionLost()


def discovery(*upstreams: Upstream) -> tuple[Discovery, Clock]:
    clock = Clock()
    accounts = {
        f"p{i}": Account(
            provider := OpenAICompatible(f"p{i}", "http://x/v1", DIFFERENCES),
            OneCall(provider),
            FixedCredential(Credential()),
            upstream,
        )
        for i, upstream in enumerate(upstreams)
    }
    return Discovery(accounts, clock), clock


def wait(found: Discovery) -> Deferred[Any]:
    return Deferred.fromCoroutine(found.catalogues())


LIST = b'{"data":[{"id":"a","context_length":9},{"id":"b"}]}'


def test_waits_for_the_first_answer_of_every_upstream_then_never_again() -> None:
    one, two = Upstream(), Upstream()
    found, clock = discovery(one, two)
    first, second = wait(found), wait(found)
    one.asked[0].callback(Response(LIST))
    assert not first.called
    two.fail()
    for waiter in (first, second):
        catalogues = fired(waiter)
        assert list(catalogues["p0"].models) == ["a", "b"]
        assert catalogues["p0"].models["a"].context_length == 9
        assert catalogues["p1"].models is None
    assert fired(wait(found)) is not None
    assert (len(one.asked), len(two.asked)) == (1, 1)
    assert clock.getDelayedCalls() == []


def test_a_stale_catalogue_serves_while_it_is_renewed() -> None:
    upstream = Upstream()
    found, clock = discovery(upstream)
    waiter = wait(found)
    upstream.asked[0].callback(Response(LIST))
    fired(waiter)
    clock.advance(599)
    found.current()
    assert len(upstream.asked) == 1
    clock.advance(2)
    assert list(fired(wait(found))["p0"].models) == ["a", "b"]
    assert len(upstream.asked) == 2
    found.current()
    assert len(upstream.asked) == 2, "one renewal at a time"
    upstream.asked[1].callback(Response(b'{"data":[{"id":"c"}]}'))
    assert list(found.current()["p0"].models or ()) == ["c"]


def test_a_failed_renewal_keeps_what_is_known_and_tries_again_sooner() -> None:
    upstream = Upstream()
    found, clock = discovery(upstream)
    waiter = wait(found)
    upstream.asked[0].callback(Response(LIST))
    fired(waiter)
    clock.advance(601)
    found.current()
    upstream.asked[1].callback(Response(b"<html>", 200))
    assert list(found.current()["p0"].models or ()) == ["a", "b"]
    clock.advance(31)
    found.current()
    assert len(upstream.asked) == 3
    found.stop()


def test_a_silent_upstream_is_not_waited_for_long() -> None:
    silent, quick = Upstream(), Upstream()
    found, clock = discovery(silent, quick)
    waiter = wait(found)
    quick.asked[0].callback(Response(LIST))
    clock.advance(1.9)
    assert not waiter.called
    clock.advance(0.2)
    catalogues = fired(waiter)
    assert (catalogues["p0"].models, list(catalogues["p1"].models)) == (None, ["a", "b"])
    assert fired(wait(found)) is not None, "the next one does not wait again"
    silent.asked[0].callback(Response(LIST))
    assert list(found.current()["p0"].models or ()) == ["a", "b"]
    assert clock.getDelayedCalls() == []


def test_a_waiter_that_leaves_does_not_end_the_asking() -> None:
    upstream = Upstream()
    found, _ = discovery(upstream)
    leaving, staying = wait(found), wait(found)
    leaving.cancel()
    with pytest.raises(CancelledError):
        fired(leaving)
    upstream.asked[0].callback(Response(LIST))
    assert list(fired(staying)["p0"].models) == ["a", "b"]


def test_stopping_cancels_the_asking() -> None:
    upstream = Upstream()
    found, _ = discovery(upstream)
    waiter = wait(found)
    found.stop()
    assert upstream.cancelled == 1
    fired(waiter)
