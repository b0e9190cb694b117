"""What a request goes on from: the bounds of what sockets remember."""

from __future__ import annotations

from chatmock.kept_answers.entries import KeptAnswer
from chatmock.responses_memory import RecentAnswers


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
