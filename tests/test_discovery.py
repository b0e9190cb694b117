"""Catalogues are asked for once, kept, and renewed behind the requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from chatmock.account import Account, FixedCredential, OneCall
from chatmock.catalogue_file import CatalogueFile
from chatmock.discovery import Discovery
from chatmock.errors import Kind, Refusal
from chatmock.providers.chatgpt import ChatGPT
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.interface import Credential
from chatmock.providers.openai_compatible import OpenAICompatible
from tests.conftest import fired


class Upstream:
    """An upstream whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []
        self.requests: list[Any] = []
        self.cancelled = 0

    def send(self, title: str, request: Any) -> Deferred[Any]:
        self.requests.append(request)
        self.asked.append(Deferred(self._cancel))
        return self.asked[-1]

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def fail(self) -> None:
        self.asked[-1].errback(Refusal(Kind.UPSTREAM_FAILED, "down"))


class Response:
    """A response whose body is there at once."""

    def __init__(self, body: bytes, code: int = 200, etag: str = "") -> None:
        self.code, self.headers, self._body = code, Headers({"ETag": [etag]} if etag else {}), body

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._body)
        protocol.connectionLost()


def discovery(*upstreams: Upstream) -> tuple[Discovery, Clock]:
    clock = Clock()
    accounts = {
        f"p{i}": Account(
            provider := OpenAICompatible(f"p{i}", "http://x/v1", DIFFERENCES),
            OneCall(provider, clock),
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


def test_what_is_told_to_have_changed_is_asked_for_anew_and_waited_for() -> None:
    upstream = Upstream()
    found, _ = discovery(upstream)
    waiter = wait(found)
    upstream.asked[0].callback(Response(LIST))
    fired(waiter)
    found.renew("p0")
    waiter = wait(found)
    assert not waiter.called
    upstream.asked[1].callback(Response(b'{"data":[{"id":"c"}]}'))
    assert list(fired(waiter)["p0"].models) == ["c"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_changes_while_it_is_asked_for_is_asked_for_once_more(fails: bool) -> None:
    upstream = Upstream()
    found, clock = discovery(upstream)
    waiter = wait(found)
    found.renew("p0")
    if fails:
        upstream.fail()
    else:
        upstream.asked[0].callback(Response(LIST))
    assert len(upstream.asked) == 2
    assert not waiter.called, "the answer may be older than the change"
    upstream.asked[1].callback(Response(b'{"data":[{"id":"c"}]}'))
    assert list(fired(waiter)["p0"].models) == ["c"]
    found.current()
    assert len(upstream.asked) == 2
    assert clock.getDelayedCalls() == []


def test_what_has_changed_is_not_asked_for_any_more_once_it_is_stopped() -> None:
    upstream = Upstream()
    found, _ = discovery(upstream)
    waiter = wait(found)
    found.renew("p0")
    found.stop()
    fired(waiter)
    assert len(upstream.asked) == 1


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


# --- what is remembered


@attrs.define
class Login:
    """Credentials that come and go."""

    ready: bool = True
    account_id: str = "account-1"
    ended: bool = False

    async def current(self) -> Credential:
        if self.ended:
            raise Refusal(Kind.UNAUTHENTICATED, "Log in.")
        return Credential()

    async def renewed(self, refused: Credential) -> Credential | None:
        return None


@attrs.define
class Remembering:
    """Discovery of ChatGPT's models, which are kept in a file."""

    path: Path
    upstream: Upstream = attrs.Factory(Upstream)
    login: Login = attrs.Factory(Login)
    clock: Clock = attrs.Factory(Clock)
    found: Discovery = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        provider = ChatGPT("http://x")
        memory = CatalogueFile(self.path, lambda: self.login.account_id, "1", lambda: 0.0, maybeDeferred)
        account = Account(provider, OneCall(provider, self.clock), self.login, self.upstream, memory=memory)
        self.found = Discovery({"chatgpt": account}, self.clock)

    def names(self) -> list[str]:
        """The models that are known now; what is stale is being asked for."""
        catalogue = self.found.current()["chatgpt"]
        return ["guess"] if catalogue.tentative else list(catalogue.models or ())

    def tags(self) -> list[str | None]:
        """The entity tag in each request."""
        return [request.headers.get("If-None-Match") for request in self.upstream.requests]

    def answer(self, *names: str, etag: str = "", code: int = 200) -> None:
        body = {"models": [{"slug": name, "visibility": "list"} for name in names]}
        self.upstream.asked[-1].callback(Response(json.dumps(body).encode(), code, etag))

    def later(self) -> None:
        self.clock.advance(601)


@pytest.fixture
def remembering(tmp_path: Path) -> Remembering:
    return Remembering(tmp_path / "models.json")


def test_a_list_that_has_not_changed_is_not_sent_again(remembering: Remembering) -> None:
    assert remembering.names() == ["guess"]
    remembering.answer("a", "b", etag='"1"')
    assert remembering.names() == ["a", "b"]
    remembering.later()
    remembering.names()
    remembering.answer(code=304, etag='"1"')
    assert remembering.names() == ["a", "b"]
    remembering.later()
    remembering.names()
    remembering.answer("c")
    assert remembering.names() == ["c"]
    remembering.later()
    remembering.names()
    assert remembering.tags() == [None, '"1"', '"1"', None], "the last answer had none"
    remembering.found.stop()


def test_not_modified_unasked_is_a_fault(remembering: Remembering) -> None:
    remembering.names()
    remembering.answer(code=304)
    assert remembering.names() == ["guess"]
    remembering.clock.advance(31)
    remembering.names()
    assert remembering.tags() == [None, None]
    remembering.found.stop()


def test_a_restart_knows_the_models_and_asks_whether_they_changed(remembering: Remembering) -> None:
    remembering.names()
    remembering.answer("a", etag='"1"')
    remembering.restart()
    assert list(fired(wait(remembering.found))["chatgpt"].models or ()) == ["a"], "nobody waits"
    assert remembering.tags() == [None, '"1"']
    remembering.answer("b", etag='"2"')
    assert remembering.names() == ["b"]
    remembering.restart()
    assert remembering.names() == ["b"]
    assert remembering.tags()[-1] == '"2"'
    remembering.found.stop()


@pytest.mark.parametrize("kept", [{"models": [{"slug": ""}]}, {"models": "x"}, {}])
def test_kept_models_that_cannot_be_read_are_passed_over(
    remembering: Remembering, kept: dict[str, Any]
) -> None:
    whose = {"account_id": "account-1", "client_version": "1", "etag": '"1"'}
    remembering.path.write_text(json.dumps({**kept, **whose}))
    remembering.restart()
    assert remembering.names() == ["guess"]
    assert remembering.tags() == [None]
    remembering.answer("a")
    assert remembering.names() == ["a"]


def test_another_account_is_told_nothing_of_the_one_before(remembering: Remembering) -> None:
    remembering.names()
    remembering.answer("a", etag='"1"')
    remembering.later()
    remembering.names()
    remembering.login.account_id = "account-2"
    assert remembering.names() == ["guess"]
    assert remembering.upstream.cancelled == 1, "what was asked for the other one"
    assert remembering.tags() == [None, '"1"', None]
    remembering.answer("b", etag='"2"')
    assert remembering.names() == ["b"]
    remembering.restart()
    assert remembering.names() == ["b"]
    remembering.found.stop()


def test_who_has_no_credential_is_neither_asked_nor_waited_for(remembering: Remembering) -> None:
    remembering.login.ready = False
    assert fired(wait(remembering.found))["chatgpt"].tentative
    assert remembering.upstream.asked == []
    remembering.login.ready = True
    waiter = wait(remembering.found)
    assert not waiter.called
    remembering.answer("a")
    assert list(fired(waiter)["chatgpt"].models or ()) == ["a"]
    remembering.login.ready = False
    remembering.later()
    assert remembering.names() == ["a"]
    assert len(remembering.upstream.asked) == 1


def test_a_login_that_has_ended_is_a_fault_like_others(remembering: Remembering) -> None:
    remembering.login.ended = True
    assert remembering.names() == ["guess"]
    remembering.login.ended = False
    assert fired(wait(remembering.found))["chatgpt"].tentative
    remembering.clock.advance(601)
    remembering.names()
    remembering.answer("a")
    assert remembering.names() == ["a"]
