"""Uploads of pictures to a fake chat and its object store, over real HTTP: once for each picture, and never in silence."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.task import Clock

from chatmock.conversation import Image
from chatmock.errors import Kind, Refusal
from chatmock.providers.qwen.images import Picture, read_picture
from chatmock.qwen_uploads import Uploads
from chatmock.upstream import UpstreamClient
from tests.conftest import settle, until
from tests.upstreams import qwen_errors as errors
from tests.upstreams.playing_site import Reply
from tests.upstreams.qwen_asking import HEADERS, Page
from tests.upstreams.qwen_server import QwenServer

NOW = 1_790_000_000.0
GRANT = "files/getstsToken"


class Bench:
    """Uploads to a fake."""

    def __init__(self, lifetime: float = 600.0) -> None:
        self.now = NOW
        self.skew = 0.0
        self.server = QwenServer(reactor, now=lambda: self.now)
        self.server.listen()
        self.clock = Clock()
        self.client = UpstreamClient(reactor, 5, 5, 4)
        ids = map(str, itertools.count())
        self.uploads = Uploads(
            self.client, self.clock, lambda: self.now + self.skew, lambda: next(ids), 1000, lifetime
        )

    def begin(self, data: bytes = b"picture", kind: str = "image/png") -> Deferred[dict[str, Any]]:
        return self.begin_url(f"data:{kind};base64,{base64.b64encode(data).decode()}")

    def begin_url(self, url: str) -> Deferred[dict[str, Any]]:
        headers = {**HEADERS, "Cookie": "token=qwen-token; x-ap=ap"}
        return Deferred.fromCoroutine(self.uploads.file_of(Image(url), headers, self.server.url))

    async def refused(self, data: bytes = b"picture") -> Refusal:
        with pytest.raises(Refusal) as caught:
            await self.begin(data)
        return caught.value

    @property
    def calls(self) -> tuple[int, int]:
        """How often leave was asked for, and how often something was put."""
        return len(self.server.calls(GRANT)), len(self.server.calls("store"))

    @property
    def stored(self) -> list[bytes]:
        return [stored.content for stored in self.server.store.objects.values()]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.clock.advance(seconds)


@pytest_twisted.async_yield_fixture()
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.client.close()
    await made.server.port.stopListening()
    await until(lambda: made.server.open_connections == 0)
    assert made.server.faults == []


HANG = Reply(ending="hang")


async def test_a_picture_is_where_the_chat_sees_it(bench: Bench) -> None:
    entry = await bench.begin(b"a picture", "image/jpeg")
    assert bench.stored == [b"a picture"]
    (put,) = bench.server.calls("store")
    assert put.headers["content-type"] == "image/jpeg"
    page = Page(bench.server)
    chat = await page.new_chat()
    await page.say(chat, "What is it?", files=[entry])
    page.upstream.close()
    assert bench.server.chats.turns[0].pictures == (b"a picture",)


async def test_the_store_sees_none_of_the_accounts_headers(bench: Bench) -> None:
    await bench.begin()
    (leave,) = bench.server.calls(GRANT)
    assert leave.headers["authorization"] == "Bearer qwen-token"
    assert leave.headers["cookie"] == "token=qwen-token; x-ap=ap"
    (put,) = bench.server.calls("store")
    sent = set(put.headers) - {"host", "content-length"}
    assert sent == {
        "authorization",
        "content-type",
        "x-oss-content-sha256",
        "x-oss-date",
        "x-oss-security-token",
    }


async def test_the_same_picture_is_uploaded_once(bench: Bench) -> None:
    first, second = await bench.begin(), await bench.begin()
    assert bench.calls == (1, 1)
    assert first["url"] == second["url"]
    ids = {entry[name] for entry in (first, second) for name in ("itemId", "uploadTaskId")}
    assert len(ids) == 4
    await bench.begin(b"another")
    await bench.begin(kind="image/webp")
    assert bench.calls == (3, 3)


async def test_at_the_same_time_too(bench: Bench) -> None:
    entries = await gatherResults([bench.begin() for _ in range(5)])
    assert bench.calls == (1, 1)
    assert len({entry["url"] for entry in entries}) == 1


SAME = ["data:image/png;base64,cGljdHVyZQ==", "data:IMAGE/PNG;charset=utf-8;base64,cGljdHVyZQ==", "data:image/png;base64,cGlj%64HVyZQ=="]  # fmt: skip


async def test_under_other_urls_too(bench: Bench) -> None:
    entries = await gatherResults([bench.begin_url(url) for url in SAME])
    assert bench.calls == (1, 1)
    entries += [await bench.begin_url(url) for url in SAME]
    entries.append(await bench.begin_url("data:image/png;name=a.png;base64,cGljdHVyZQ=="))
    assert bench.calls == (1, 1)
    assert len({entry["url"] for entry in entries}) == 1
    bench.pass_time(601)
    for url in SAME:
        await bench.begin_url(url)
    assert bench.calls == (2, 2)


async def test_who_leaves_a_picture_that_comes_under_two_urls(bench: Bench) -> None:
    bench.server.plan(GRANT, HANG)
    first, second = (bench.begin_url(url) for url in SAME[:2])
    await until(lambda: bench.server.active == 1)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    await settle()
    assert bench.server.active == 1
    second.cancel()
    with pytest.raises(CancelledError):
        await second
    await until(lambda: bench.server.active == 0)
    assert (await bench.begin_url(SAME[0]))["status"] == "uploaded"


async def test_a_picture_that_is_refused_is_told_under_each_of_its_urls(bench: Bench) -> None:
    bench.server.plan(GRANT, errors.rate_limited(10))
    waiting = [bench.begin_url(url) for url in SAME]
    refused = []
    for each in waiting:
        with pytest.raises(Refusal) as caught:
            await each
        refused.append(caught.value)
    assert bench.calls == (1, 0)
    assert len({id(refusal) for refusal in refused}) == len(SAME)


async def test_different_pictures_are_uploaded_side_by_side(bench: Bench) -> None:
    bench.server.plan("store", HANG, HANG, HANG)
    waiting = [bench.begin(bytes([i])) for i in range(3)]
    await until(lambda: bench.server.active == 3)
    for each in waiting:
        each.cancel()
        with pytest.raises(CancelledError):
            await each


@pytest.mark.parametrize(
    ("link", "lifetime", "lasts"), [(300, 600, 210), (None, 600, 600), (3000, 600, 600), (300, 50, 50)]
)
async def test_a_link_is_used_until_shortly_before_its_end(
    bench: Bench, link: int | None, lifetime: float, lasts: float
) -> None:
    bench.uploads._lifetime = lifetime
    bench.server.store.link_seconds = link
    await bench.begin()
    bench.pass_time(lasts - 1)
    await bench.begin()
    assert bench.calls == (1, 1)
    bench.pass_time(1)
    await bench.begin()
    assert bench.calls == (2, 2)


async def test_what_is_kept_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.qwen_uploads._MOST_KEPT", 2)
    for data in (b"a", b"b", b"a", b"c"):
        await bench.begin(data)
    assert bench.calls == (3, 3)
    await bench.begin(b"a")  # used since b was
    assert bench.calls == (3, 3)
    await bench.begin(b"b")
    assert bench.calls == (4, 4)


@pytest.mark.parametrize("name", errors.REFUSALS)
async def test_a_refused_leave_is_an_error(bench: Bench, name: str) -> None:
    bench.server.plan(GRANT, errors.REFUSALS[name]())
    refusal = await bench.refused()
    assert refusal.status >= 400
    assert refusal.code not in ("upstream_protocol", "upstream_not_a_stream")
    assert bench.calls == (1, 0)
    await bench.begin()
    assert bench.calls == (2, 1)


async def test_a_spent_quota_tells_when_to_come_back(bench: Bench) -> None:
    bench.server.plan(GRANT, errors.rate_limited(10))
    refusal = await bench.refused()
    assert (refusal.kind, refusal.retry_after) == (Kind.RATE_LIMITED, 36_000)


@pytest.mark.parametrize("body", [b"", b"not JSON", b'{"success": true, "data": {}}'])
async def test_an_answer_that_is_no_leave(bench: Bench, body: bytes) -> None:
    bench.server.plan(GRANT, Reply([body], content_type=b"application/json"))
    refusal = await bench.refused()
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_protocol")


async def test_a_tampered_leave_sends_the_picture_nowhere(bench: Bench) -> None:
    told = bench.server.store.grant("https://store.evil.example", "a.png", 7)
    bench.server.plan(GRANT, errors.success(told))
    refusal = await bench.refused()
    assert "nothing was sent" in refusal.message
    assert bench.calls == (1, 0)


async def test_a_clock_that_is_wrong(bench: Bench) -> None:
    bench.skew = 1000.0
    refusal = await bench.refused()
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_upload_failed")
    assert "RequestTimeTooSkewed" in refusal.message
    assert "clock" in refusal.message


@pytest.mark.parametrize("status", [301, 403, 500, 503])
async def test_a_refusing_store(bench: Bench, status: int) -> None:
    page = b"<Error><Code>AccessDenied</Code><Message>to CAIS-token</Message></Error>"
    bench.server.plan("store", Reply([page], status=status))
    refusal = await bench.refused()
    assert refusal.kind is Kind.UPSTREAM_FAILED
    assert f"{status} (AccessDenied)" in refusal.message
    assert "CAIS" not in refusal.message
    assert refusal.retryable == (status >= 500)
    await bench.begin()
    assert bench.stored == [b"picture"]


async def test_a_store_that_says_nothing(bench: Bench) -> None:
    bench.server.plan("store", Reply([b"\xff"], status=400))
    assert "400 (no reason given)" in (await bench.refused()).message


async def test_a_lost_connection_is_told_to_all_who_wait(bench: Bench) -> None:
    bench.server.plan("store", Reply(status=200, ending="cut", before=0.02))
    bench.server.plan("store", Reply(status=200, ending="cut"))  # a kept connection is given a second chance
    waiting = [bench.begin() for _ in range(3)]
    for each in waiting:
        with pytest.raises(Refusal) as caught:
            await each
        assert caught.value.kind is Kind.UPSTREAM_FAILED
    await bench.begin()
    assert bench.stored == [b"picture"]


async def test_who_leaves_does_not_take_the_upload_along(bench: Bench) -> None:
    bench.server.plan(GRANT, HANG)
    first, second = bench.begin(), bench.begin()
    await until(lambda: bench.server.active == 1)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    await settle()
    assert bench.server.active == 1
    third = bench.begin()
    assert bench.calls == (1, 0)
    for each in (second, third):
        each.cancel()
        with pytest.raises(CancelledError):
            await each
    await until(lambda: bench.server.open_connections == 0)


@pytest.mark.parametrize("place", [GRANT, "store"])
async def test_the_last_who_leaves_closes_the_connection(bench: Bench, place: str) -> None:
    bench.server.plan(place, HANG)
    waiting = bench.begin()
    await until(lambda: len(bench.server.calls(place)) == 1)
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    await until(lambda: bench.server.active == 0)
    assert (await bench.begin())["status"] == "uploaded"
    assert bench.stored == [b"picture"]


async def test_half_an_answer_is_waited_for_until_it_is_too_late(bench: Bench) -> None:
    whole = json.dumps({"success": True, "data": {}}).encode()
    bench.server.plan(GRANT, Reply([whole[:9]], ending="hang"))
    waiting = bench.begin()
    await until(lambda: len(bench.clock.getDelayedCalls()) == 1)
    bench.clock.advance(30.0)
    with pytest.raises(Refusal) as caught:
        await waiting
    assert caught.value.kind is Kind.UPSTREAM_FAILED


async def test_a_link_is_refused_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(Refusal, match="inline"):
        await bench.uploads.file_of(Image("https://example.com/a.png"), HEADERS, bench.server.url)
    assert "1000 bytes" in (await bench.refused(b"x" * 1001)).message
    assert bench.server.asked == []


async def test_a_large_picture(bench: Bench) -> None:
    bench.uploads._limit = 3_000_000
    data = bytes(range(256)) * 10_000
    await bench.begin(data)
    assert bench.stored == [data]


class Threads:
    """Runs at once, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, call: Any, *args: Any) -> Deferred[Any]:
        self.calls += 1
        return maybeDeferred(call, *args)


async def test_a_picture_is_decoded_once_and_in_a_thread_if_it_is_large(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def reading(image: Image, limit: int) -> Picture:
        read.append(len(image.url))
        return read_picture(image, limit)

    monkeypatch.setattr("chatmock.qwen_uploads.read_picture", reading)
    bench.uploads._limit = 3_000_000
    threads = bench.uploads._in_thread = Threads()
    small, large = b"small", bytes(range(256)) * 5000
    for data, waited in ((small, 0), (large, 1)):
        read.clear()
        await gatherResults([bench.begin(data) for _ in range(3)])
        await bench.begin(data)
        assert len(read) == 1
        assert threads.calls == waited
    assert bench.stored == [small, large]


async def test_a_large_picture_that_is_none_is_refused(bench: Bench) -> None:
    bench.uploads._limit = 3_000_000
    with pytest.raises(Refusal, match="base64"):
        await bench.uploads.file_of(
            Image("data:image/png;base64," + "!" * 2_000_000), HEADERS, bench.server.url
        )
    assert bench.server.asked == []


async def test_each_who_waits_is_refused_with_a_refusal_of_its_own(bench: Bench) -> None:
    bench.server.plan(GRANT, errors.rate_limited(10))
    waiting = [bench.begin() for _ in range(2)]
    refused = []
    for each in waiting:
        with pytest.raises(Refusal) as caught:
            await each
        refused.append(caught.value)
    assert refused[0] is not refused[1]
    assert refused[0].message == refused[1].message
    assert refused[0].retry_after == 36_000
