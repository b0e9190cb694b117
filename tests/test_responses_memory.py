"""What a request goes on from: the bounds of what sockets remember, and how it is held while it is answered."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.kept_answers.entries import KeptAnswer
from chatmock.responses_memory import RecentAnswers, ResponsesMemory, SocketAnswers
from tests.conftest import fired
from tests.kept_answers.test_live import Trial


def answer(id: str, size: int = 100) -> KeptAnswer:
    return KeptAnswer("", id, 0.0, b"", b"." * size)


def found(recent: RecentAnswers, socket: int, ids: str) -> str:
    return "".join(id for id in ids if recent.find(socket, id) is not None)


def test_a_socket_has_its_own() -> None:
    recent = RecentAnswers()
    recent.keep(1, answer("a"))
    recent.keep(2, answer("b"))
    assert (found(recent, 1, "ab"), found(recent, 2, "ab")) == ("a", "b")
    recent.forget(1)
    assert (found(recent, 1, "ab"), found(recent, 2, "ab")) == ("", "b")
    assert recent.bytes == 100


def test_the_last_of_each_socket() -> None:
    recent = RecentAnswers(most_of_one=3)
    for id in "abcdefgh":
        recent.keep(1, answer(id))
    recent.keep(2, answer("x"))
    assert (found(recent, 1, "abcdefgh"), found(recent, 2, "x")) == ("fgh", "x")


def test_the_oldest_of_all_go_first() -> None:
    recent = RecentAnswers(most_bytes=350)
    for socket, id in enumerate("abcde"):
        recent.keep(socket, answer(id))
    assert [id for socket, id in enumerate("abcde") if recent.find(socket, id)] == ["c", "d", "e"]
    assert recent.bytes == 300


def test_one_that_is_larger_than_all_may_be_is_not_remembered() -> None:
    recent = RecentAnswers(most_bytes=350)
    recent.keep(1, answer("a", 400))
    assert (recent.find(1, "a"), recent.bytes) == (None, 0)


def test_the_same_again_counts_once() -> None:
    recent = RecentAnswers()
    for _ in range(3):
        recent.keep(1, answer("a"))
    assert recent.bytes == 100


def test_a_deleted_one_is_gone_from_all_sockets() -> None:
    recent = RecentAnswers()
    for socket in (1, 2):
        recent.keep(socket, answer("a"))
        recent.keep(socket, answer("b"))
    assert not recent.delete("another", "a")
    assert recent.delete("", "a")
    assert not recent.delete("", "a")
    assert (found(recent, 1, "ab"), found(recent, 2, "ab"), recent.bytes) == ("b", "b", 200)


def taken(trial: Trial, memory: ResponsesMemory, text: str, **fields: Any) -> ChatRequest:
    done = Deferred.fromCoroutine(memory.take({"model": "m", "input": text, **fields}))
    trial.steps.run()
    chat: ChatRequest = fired(done)
    return chat


def test_the_conversation_is_compressed_while_it_is_answered(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    for long in ("Hello. " * 2_000, "Hello. " * 40_000):
        recent = RecentAnswers()
        memory = ResponsesMemory(trial.kept, "me", SocketAnswers(recent, 1))
        taken(trial, memory, long)
        assert len(memory._input) < len(long) / 20
        memory.keep(b'{"id":"resp_1"}')
        assert recent.bytes < len(long) / 20
        kept = recent.find(1, "resp_1")
        assert kept is not None
        assert jsontext.loads(kept.items)[0]["content"][0]["text"] == long
    trial.stop()


def test_what_is_too_large_is_not_promised_to_be_kept(tmp_path: Path) -> None:
    trial = Trial(tmp_path, most_bytes=40_000)
    text = random.Random(1).randbytes(12_000).hex()
    for beside in (None, SocketAnswers(RecentAnswers(), 1)):
        memory = ResponsesMemory(trial.kept, "me", beside)
        chat = taken(trial, memory, text)
        assert chat.source is not None
        assert (chat.source.body["store"], chat.keep) == (False, beside is not None)
        memory.keep(b'{"id":"resp_1"}')
        assert trial.find("resp_1") is None
    memory = ResponsesMemory(trial.kept, "me")
    chat = taken(trial, memory, text[:12_000])
    assert chat.source is not None
    assert (chat.source.body["store"], chat.keep) == (True, True)
    memory.keep(b'{"id":"resp_2"}')
    assert trial.find("resp_2") is not None
    trial.stop()
