"""Many vectors are worked out in a thread: others are answered meanwhile, and who leaves is left at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chatmock.providers import openai_embeddings
from chatmock.vectors import as_base64, as_numbers
from tests.conftest import Daemon, until
from tests.test_admitting import http
from tests.test_lifetimes import connect, slots
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

PATH = "/v1/embeddings"
MANY = 300_000
"""Numbers: more than a MiB of them."""


class Work:
    """Where vectors are worked out, and when: held until :attr:`go` is set."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.go = threading.Event()
        self.go.set()

    def at(self, vector: Any) -> None:
        """A vector is about to be worked out."""
        self.threads.append(threading.current_thread())
        if threading.current_thread() is not threading.main_thread():
            assert self.go.wait(30)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work = Work()
    for name, real in (("as_numbers", as_numbers), ("as_base64", as_base64)):
        monkeypatch.setattr(openai_embeddings, name, lambda v, real=real: (work.at(v), real(v))[1])
    yield work
    work.go.set()


def answering(upstream: OpenAIServer, size: int) -> None:
    body = json.dumps({"data": [{"embedding": [0.5] * size, "index": 0}]}).encode()
    upstream.embed = lambda asked: Reply([body], content_type=b"application/json")


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize(("size", "aside"), [(10, False), (MANY, True)])
async def test_where_they_are_worked_out(
    compatible: Daemon, upstream: OpenAIServer, work: Work, size: int, aside: bool, form: str
) -> None:
    answering(upstream, size)
    asked = {"model": "e", "input": "a", "encoding_format": form}
    answer = await http(compatible, "POST", PATH, asked)
    assert answer.status == 200
    vector = json.loads(answer.body)["data"][0]["embedding"]
    assert vector == [0.5] * size if form == "float" else len(vector) > size
    (thread,) = work.threads
    assert (thread is not threading.main_thread()) == aside


async def test_others_are_answered_meanwhile(compatible: Daemon, upstream: OpenAIServer, work: Work) -> None:
    answering(upstream, MANY)
    work.go.clear()
    client = await asking(compatible)
    await until(lambda: bool(work.threads))
    assert (await http(compatible, "GET", "/health")).status == 200
    assert slots(compatible) == (1, 0), "the work is part of the turn"
    work.go.set()
    await until(lambda: slots(compatible) == (0, 0))
    await until(lambda: b" 200 " in client.received)
    client.leave()


async def test_who_leaves_is_left_at_once(compatible: Daemon, upstream: OpenAIServer, work: Work) -> None:
    answering(upstream, MANY)
    work.go.clear()
    client = await asking(compatible)
    await until(lambda: bool(work.threads))
    client.leave()
    await until(lambda: slots(compatible) == (0, 0))
    assert not work.go.is_set()
    work.go.set()
    assert (await http(compatible, "POST", PATH, {"model": "e", "input": "a"})).status == 200


async def test_much_that_is_none_is_refused(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.embed = lambda asked: Reply(
        [b'{"data":"%s"}' % (b"x" * 2**21)], content_type=b"application/json"
    )
    answer = await http(compatible, "POST", PATH, {"model": "e", "input": "a"})
    assert answer.status == 502
    assert json.loads(answer.body)["error"]["code"] == "upstream_malformed"


async def asking(daemon: Daemon) -> Any:
    client = await connect(daemon)
    data = b'{"model":"e","input":"a"}'
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert client.transport is not None
    client.transport.write(head % len(data) + data)
    return client
