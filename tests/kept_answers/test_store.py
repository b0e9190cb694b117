"""The file of the kept answers: what is found in it, its bounds, and what becomes of one that is damaged."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatmock.kept_answers.database import KeptFailed
from chatmock.kept_answers.entries import DAY, Bounds, KeptAnswer
from chatmock.kept_answers.store import AnswerFile

NOW = 1_700_000_000.0
MIB = 1024 * 1024


def answer(id: str, owner: str = "me", created: float = NOW, size: int = 20) -> KeptAnswer:
    return KeptAnswer(owner, id, created, b"[]", b'{"id":"' + id.encode() + b'"}' + b" " * size)


def dense(id: str, size: int, owner: str = "me") -> KeptAnswer:
    """One that cannot be compressed."""
    return KeptAnswer(owner, id, NOW, b"[]", b"{" + random.Random(id).randbytes(size))


class Trial:
    """A file in a folder of its own, and what it warned of."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "kept.sqlite3"
        self.warnings: list[str] = []
        self.files: list[AnswerFile] = []

    def open(self, days: float = 30, most_bytes: int = MIB, **more: int) -> AnswerFile:
        file = AnswerFile(self.path, Bounds(days * DAY, most_bytes, **more), self.warnings.append)
        self.files.append(file)
        return file

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.path.parent.iterdir()))


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tmp_path)
    yield made
    for file in made.files:
        file.close()


def found(file: AnswerFile, *ids: str, owner: str = "me", now: float = NOW) -> list[str]:
    """Which of *ids* are there."""
    return [id for id in ids if file.find(owner, id, now) is not None]


def test_what_is_written_is_found_also_by_who_comes_later(trial: Trial) -> None:
    file = trial.open()
    file.write([answer("a"), answer("b")])
    assert file.find("me", "a", NOW) == answer("a")
    file.close()
    assert found(trial.open(), "a", "b", "c") == ["a", "b"]


def test_it_is_another_clients(trial: Trial) -> None:
    file = trial.open()
    file.write([answer("a", "me"), answer("b", "you")])
    assert found(file, "a", "b", owner="you") == ["b"]
    assert not file.forget("you", "a", NOW)
    assert found(file, "a", owner="me") == ["a"]


def test_nothing_is_made_by_who_only_asks(trial: Trial) -> None:
    file = trial.open()
    assert file.find("me", "a", NOW) is None
    assert not file.forget("me", "a", NOW)
    file.forget_old(NOW)
    assert not trial.path.parent.exists()


def test_the_files_are_private(trial: Trial) -> None:
    before = os.umask(0)
    try:
        trial.open().write([answer("a")])
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in trial.path.parent.iterdir()}
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert trial.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_may_read_becomes_private_again(trial: Trial) -> None:
    file = trial.open()
    file.write([answer("a")])
    file.close()
    trial.path.chmod(0o644)
    assert found(file, "a") == ["a"]
    assert trial.path.stat().st_mode & 0o777 == 0o600


def test_what_is_too_old_is_not_found_and_goes(trial: Trial) -> None:
    file = trial.open(days=2)
    file.write([answer("old", created=NOW - DAY), answer("new")])
    assert found(file, "old", "new", now=NOW + DAY - 1) == ["old", "new"]
    assert found(file, "old", "new", now=NOW + DAY) == ["new"]
    file.forget_old(NOW + DAY)
    assert found(file, "old", "new") == ["new"]


def test_a_shorter_time_counts_for_what_is_there_already_and_a_longer_one_does_not(trial: Trial) -> None:
    trial.open(days=10).write([answer("a")])
    assert found(trial.open(days=2), "a", now=NOW + 3 * DAY) == []
    assert found(trial.open(days=99), "a", now=NOW + 9 * DAY) == ["a"]
    assert found(trial.open(days=99), "a", now=NOW + 10 * DAY) == []


def test_the_oldest_of_a_client_make_room(trial: Trial) -> None:
    file = trial.open(most_of_one=3)
    file.write([answer("other", "you")])
    for id in "abcde":
        file.write([answer(id)])
    assert found(file, *"abcde") == ["c", "d", "e"]
    assert found(file, "other", owner="you") == ["other"]


def test_the_oldest_of_all_make_room(trial: Trial) -> None:
    file = trial.open(most=3)
    file.write([answer(id, owner=id) for id in "abcde"])
    assert [id for id in "abcde" if found(file, id, owner=id)] == ["c", "d", "e"]


def test_the_oldest_of_who_has_more_than_its_share_make_room(trial: Trial) -> None:
    file = trial.open(most_bytes=1_000_000)
    file.write([dense("other", 100_000, "you")])
    for id in "abcdefghijklmnop":
        file.write([dense(id, 100_000)])
    assert found(file, *"abcdefghijklmnop") == ["o", "p"]
    assert found(file, "other", owner="you") == ["other"], "nobody loses an answer to another one's"
    file.close()
    assert trial.path.stat().st_size < 500_000


def test_who_has_most_makes_room_for_others(trial: Trial) -> None:
    file = trial.open(most_bytes=1_000_000)
    for owner in ("b", "c", "d"):
        file.write([dense(f"{owner}1", 100_000, owner), dense(f"{owner}2", 100_000, owner)])
    file.write([dense("a1", 120_000, "a"), dense("a2", 120_000, "a")])
    file.write([dense("e1", 200_000, "e")])
    assert found(file, "a1", "a2", owner="a") == ["a2"]
    assert found(file, "e1", owner="e") == ["e1"]
    for owner in ("b", "c", "d"):
        assert len(found(file, f"{owner}1", f"{owner}2", owner=owner)) == 2


def test_what_another_daemon_has_written_counts(trial: Trial) -> None:
    first, second = trial.open(most_of_one=3), trial.open(most_of_one=3)
    first.write([answer("a"), answer("b")])
    second.write([answer("c")])
    first.write([answer("d")])
    assert found(first, *"abcd") == ["b", "c", "d"]
    assert second.forget("me", "b", NOW)
    first.write([answer("e")])
    assert found(first, *"abcde") == ["c", "d", "e"]


def test_a_write_does_not_look_at_all_that_is_kept(trial: Trial) -> None:
    file = trial.open()
    file.write([answer(f"{number}", owner=f"{number % 7}") for number in range(5000)])
    assert file._connection is not None
    steps: list[None] = []
    file._connection.set_progress_handler(lambda: steps.append(None), 100)
    file.write([answer("one")])
    assert len(steps) < 20, "hundreds of SQLite's steps"


def test_what_is_long_is_compressed(trial: Trial) -> None:
    file = trial.open(most_bytes=4_000_000)
    long = KeptAnswer("me", "long", NOW, b"[" + b"1," * 200_000 + b"1]", b'{"a":"' + b"b" * 200_000 + b'"}')
    file.write([long])
    kept = file.find("me", "long", NOW)
    assert kept is not None
    assert (kept.items, kept.response) == (long.input, long.answer)
    assert kept.size < 20_000
    file.close()
    assert trial.path.stat().st_size < 100_000


def test_one_that_comes_again_takes_the_place_of_the_first(trial: Trial) -> None:
    file = trial.open()
    file.write([answer("a"), answer("a", size=1)])
    assert file.find("me", "a", NOW) == answer("a", size=1)


def test_what_is_forgotten_is_in_no_file(trial: Trial) -> None:
    file = trial.open()
    secret = KeptAnswer("me", "a", NOW, b'["my deepest secret"]', b'{"output":"hush"}')
    file.write([secret, answer("b")])
    assert b"deepest secret" in trial.bytes()
    assert file.forget("me", "a", NOW)
    assert not file.forget("me", "a", NOW)
    assert b"deepest secret" not in trial.bytes()
    assert b"hush" not in trial.bytes()
    assert found(file, "a", "b") == ["b"]


def test_who_keeps_nothing_any_more_removes_what_there_is(trial: Trial) -> None:
    trial.open().write([answer("a")])
    trial.files[0].close()
    trial.open(days=0).forget_old(NOW)
    assert [path.name for path in trial.path.parent.iterdir()] == []


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside(trial: Trial, content: bytes) -> None:
    trial.path.parent.mkdir(mode=0o700)
    trial.path.write_bytes(content)
    file = trial.open()
    file.write([answer("a")])
    assert found(file, "a") == ["a"]
    assert trial.path.with_name("kept.sqlite3.damaged").read_bytes() == content
    assert len(trial.warnings) == 1
    assert "damaged" in trial.warnings[0]


def test_a_file_that_is_damaged_while_it_is_open_is_set_aside(trial: Trial) -> None:
    file = trial.open()
    file.write([answer(f"{number}", size=2000) for number in range(50)])
    file.close()
    data = bytearray(trial.path.read_bytes())
    data[4096:] = b"\xff" * len(data[4096:])
    trial.path.write_bytes(data)
    assert file.find("me", "7", NOW) is None
    file.write([answer("a")])
    assert found(file, "a") == ["a"]
    assert len(trial.warnings) == 1


def test_a_database_of_another_program_is_set_aside(trial: Trial) -> None:
    trial.path.parent.mkdir(mode=0o700)
    other = sqlite3.connect(trial.path)
    other.execute("CREATE TABLE precious (thing TEXT)")
    other.close()
    trial.open().write([answer("a")])
    kept = sqlite3.connect(trial.path.with_name("kept.sqlite3.damaged"))
    assert kept.execute("SELECT count(*) FROM precious").fetchone() == (0,)
    kept.close()


def damaged(trial: Trial) -> Path:
    """What was set aside."""
    trial.path.parent.mkdir(mode=0o700)
    trial.path.write_bytes(b"no database, but answers" * 100)
    trial.open().write([answer("a")])
    aside = trial.path.with_name("kept.sqlite3.damaged")
    assert aside.exists()
    return aside


def test_what_was_set_aside_goes_when_it_is_old(trial: Trial) -> None:
    aside = damaged(trial)
    os.utime(aside, (NOW, NOW))
    file = trial.open(days=2)
    file.forget_old(NOW + 2 * DAY - 1)
    assert aside.exists()
    file.forget_old(NOW + 2 * DAY)
    assert not aside.exists()


def test_who_keeps_nothing_any_more_removes_what_was_set_aside(trial: Trial) -> None:
    damaged(trial)
    for file in trial.files:
        file.close()
    trial.open(days=0).forget_old(NOW)
    assert list(trial.path.parent.iterdir()) == []


def test_a_file_of_another_version_is_removed(trial: Trial) -> None:
    file = trial.open()
    file.write([KeptAnswer("me", "a", NOW, b'["my deepest secret"]', b"{}")])
    file.close()
    other = sqlite3.connect(trial.path)
    other.execute("PRAGMA user_version = 1")
    other.close()
    file.write([answer("b")])
    assert found(file, "a", "b") == ["b"]
    assert b"deepest secret" not in trial.bytes()
    assert not trial.path.with_name("kept.sqlite3.damaged").exists()
    assert ["another version" in each for each in trial.warnings] == [True]


def test_what_cannot_be_used_is_told_without_content(trial: Trial) -> None:
    trial.path.mkdir(parents=True, mode=0o700)
    with pytest.raises(KeptFailed, match="CHATGPT_LOCAL_HOME") as caught:
        trial.open().write([answer("a-secret-id")])
    assert "a-secret-id" not in str(caught.value)
    assert trial.warnings == []


def test_a_link_is_not_followed(trial: Trial) -> None:
    trial.path.parent.mkdir(mode=0o700)
    elsewhere = trial.path.with_name("elsewhere")
    trial.path.symlink_to(elsewhere)
    with pytest.raises(KeptFailed):
        trial.open().write([answer("a")])
    assert not elsewhere.exists()


def test_two_daemons_use_one_file(trial: Trial) -> None:
    first, second = trial.open(), trial.open()
    first.write([answer("a")])
    second.write([answer("b")])
    assert found(first, "a", "b") == found(second, "a", "b") == ["a", "b"]


def test_the_disk_gets_back_what_goes(trial: Trial) -> None:
    file = trial.open()
    file.write([answer(id, size=100_000) for id in "abcde"])
    file.forget_old(NOW + 31 * DAY)
    file.close()
    assert trial.path.stat().st_size < 100_000
