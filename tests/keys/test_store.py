"""The file of the client keys: what it keeps, for whom, and what becomes of it when things go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.client import Key
from chatmock.keys.database import KeysFailed, connect
from chatmock.keys.entries import Entry
from chatmock.keys.store import KeyStore, NameTaken
from chatmock.state_files import FileLock
from tests.keys.making import entry_of, names, store_in
from tests.test_starting import ROOT

SECONDS = 60.0


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return store_in(tmp_path)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


# --- what is kept


ENTRIES = st.builds(
    Entry,
    st.builds(
        Key,
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        st.none() | st.integers(1, 10**6),
        st.none() | st.integers(1, 10**4),
        st.lists(st.text(min_size=1, max_size=20), max_size=3).map(tuple),
        st.sampled_from([-1, 0, 1]),
        st.booleans(),
    ),
    st.binary(min_size=32, max_size=32),
    st.floats(0, 4e9),
    st.none() | st.floats(0, 4e9),
)


@given(entries=st.lists(ENTRIES, max_size=4, unique_by=(lambda e: e.key.name, lambda e: e.digest)))
@settings(max_examples=50, deadline=None)
def test_keys_come_back_as_they_were_kept(
    entries: list[Entry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = store_in(tmp_path_factory.mktemp("keys"))
    for entry in entries:
        store.add(entry)
    assert list(store.entries()) == entries


def test_no_file_is_no_keys_and_makes_nothing(store: KeyStore) -> None:
    assert store.entries() == ()
    assert not store.revoke("laptop", 1.0)
    assert not store.path.parent.exists()


def test_a_revoked_name_may_be_given_again(store: KeyStore) -> None:
    first, second = entry_of("laptop"), entry_of("laptop", rpm=5)
    store.add(first)
    with pytest.raises(NameTaken, match="keys revoke laptop"):
        store.add(second)
    assert store.revoke("laptop", 2_000.0)
    assert not store.revoke("laptop", 3_000.0)
    assert not store.revoke("phone", 3_000.0)
    store.add(second)
    assert list(store.entries()) == [attrs.evolve(first, revoked=2_000.0), second]
    assert names(store) == ["laptop"]


def test_a_key_can_be_taken_back(store: KeyStore) -> None:
    kept, lost = entry_of("kept"), entry_of("lost")
    for entry in (kept, lost):
        store.add(entry)
    store.take_back(lost)
    assert list(store.entries()) == [kept]
    store.add(lost)


def test_the_token_is_nowhere_in_the_file(store: KeyStore) -> None:
    token = b"sk-chatmock-canary-0123456789"
    store.add(entry_of("laptop", token))
    held = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert not any(token[at : at + 12] in held for at in range(len(token) - 11))


def test_the_file_is_in_wal_mode_and_has_a_version(store: KeyStore) -> None:
    store.add(entry_of("laptop"))
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


# --- whose it is


def test_file_and_folder_are_the_owner_s_alone_from_birth(store: KeyStore, umask: None) -> None:
    seen: dict[str, int] = {}
    sqlite3_connect = sqlite3.connect

    def connect(*arguments: object, **more: object) -> sqlite3.Connection:
        seen.update(modes(store.path.parent))
        connection: sqlite3.Connection = sqlite3_connect(*arguments, **more)  # type: ignore[call-overload]
        connection.set_trace_callback(lambda statement: seen.update(modes(store.path.parent)))
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        store.add(entry_of("laptop"))
        store.add(entry_of("phone"))
    assert {"client_keys.sqlite3", "client_keys.sqlite3-wal", "client_keys.sqlite3-shm"} <= seen.keys()
    assert set(seen.values()) == {0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


Change = Callable[[KeyStore], object]
STRANGE: dict[str, tuple[Change, str]] = {
    "read by others": (lambda store: store.path.chmod(0o640), "mode 640"),
    "written by others": (lambda store: store.path.chmod(0o602), "mode 602"),
    "folder of all": (lambda store: store.path.parent.chmod(0o777), "Others may write to the folder"),
    "folder of the group": (lambda store: store.path.parent.chmod(0o770), "Others may write to the folder"),
    "a link": (
        lambda store: store.path.symlink_to(store.path.rename(store.path.with_name("real"))),
        "no regular file",
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_file_that_is_not_the_owner_s_alone_is_refused(store: KeyStore, strange: str) -> None:
    store.add(entry_of("laptop"))
    change, said = STRANGE[strange]
    change(store)
    before = store.path.read_bytes()
    check_refused(store, said)
    assert store.path.read_bytes() == before
    if strange == "read by others":
        store.path.chmod(0o600)
        assert names(store) == ["laptop"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("given", ["file", "folder"])
def test_a_file_of_another_user_is_refused(store: KeyStore, given: str) -> None:
    store.add(entry_of("laptop"))
    os.chown(store.path if given == "file" else store.path.parent, 65534, 65534)
    check_refused(store, "another user")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_no_file_is_made_in_the_folder_of_another_user(store: KeyStore) -> None:
    store.path.parent.mkdir()
    os.chown(store.path.parent, 65534, 65534)
    with pytest.raises(KeysFailed, match="another user"):
        store.add(entry_of("laptop"))
    assert list(store.path.parent.iterdir()) == []


def check_refused(store: KeyStore, said: str) -> None:
    """Nothing can be done with the keys."""
    calls: list[Callable[[], object]] = [
        store.entries,
        lambda: store.add(entry_of("more")),
        lambda: store.revoke("laptop", 1.0),
    ]
    for call in calls:
        with pytest.raises(KeysFailed, match=said) as caught:
            call()
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert str(store.path.parent) in str(caught.value)


# --- what is not ours, or broken


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE client_key (name); PRAGMA user_version = 1;")


def from_later(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 2;")


def no_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE client_key;")


def strange_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("UPDATE client_key SET models = 'qwen*';")


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def replaced(path: Path) -> None:
    path.unlink()
    other_database(path)
    path.chmod(0o600)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_bytes(b"these are no keys\n" * 1000), "damaged"),
    "cut": (lambda path: os.truncate(path, 5000), "damaged"),
    "head": (lambda path: overwrite(path, 0, b"\0" * 100), "damaged"),
    "pages": (lambda path: overwrite(path, 4096, b"\xff" * 4096), "damaged"),
    "other program": (replaced, "another program"),
    "later": (from_later, "another version"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_or_foreign_file_is_told_and_left_as_it_is(store: KeyStore, broken: str) -> None:
    for name in ("laptop", "phone"):
        store.add(entry_of(name))
    change, said = BROKEN[broken]
    change(store.path)
    before = store.path.read_bytes()
    check_refused(store, said)
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("index", ["sqlite_autoindex_client_key_1", "client_key_name"])
def test_a_damaged_page_that_reading_the_keys_does_not_meet_is_told(store: KeyStore, index: str) -> None:
    store.add(entry_of("laptop"))
    with closing(sqlite3.connect(store.path)) as connection:
        asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(asked, (index,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    overwrite(store.path, (page - 1) * size, b"\xff" * size)
    check_refused(store, "damaged")


def test_what_was_told_is_on_the_disk(store: KeyStore) -> None:
    store.add(entry_of("laptop"))
    with closing(connect(store.path)) as connection:
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)


@pytest.mark.parametrize("change", [no_table, strange_row])
def test_a_file_that_holds_something_else_is_told(store: KeyStore, change: Callable[[Path], None]) -> None:
    store.add(entry_of("laptop"))
    change(store.path)
    with pytest.raises(KeysFailed, match=r"damaged|cannot be read"):
        store.entries()


def test_a_file_whose_maker_was_killed_is_finished(store: KeyStore) -> None:
    store.path.parent.mkdir(mode=0o700)
    store.path.touch(mode=0o600)
    assert store.entries() == ()
    assert not store.revoke("laptop", 1.0)
    store.add(entry_of("laptop"))
    assert names(store) == ["laptop"]


def test_a_folder_in_the_way_is_told(store: KeyStore) -> None:
    store.path.mkdir(mode=0o700, parents=True)
    check_refused(store, "no regular file")
    shutil.rmtree(store.path.parent)
    store.path.parent.write_bytes(b"")
    check_refused(store, "cannot be")


def test_who_keeps_it_locked_is_told(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.keys.database.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("chatmock.keys.store.BUSY_SECONDS", 0.05)
    store.add(entry_of("laptop"))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(KeysFailed, match="locked"):
            store.revoke("laptop", 1.0)
        assert names(store) == ["laptop"]
        other.execute("ROLLBACK")
    lock = FileLock(store.path.with_name(f"{store.path.name}.lock"))
    assert lock.try_acquire()
    with pytest.raises(KeysFailed, match="locked"):
        store.add(entry_of("phone"))
    lock.release()
    store.add(entry_of("phone"))


# --- other processes


START = """
import os, resource, sys
from pathlib import Path
from tests.keys.making import entry_of
from chatmock.keys.database import KeysFailed
from chatmock.keys.store import KeyStore, NameTaken
store = KeyStore(Path(sys.argv[1]))
"""
ADD_MANY = """
for number in range(15):
    store.add(entry_of(f"{sys.argv[2]}-{number}"))
    try:
        store.add(entry_of(f"both-{number}"))
        print(number)
    except NameTaken:
        pass
"""
ADD_ALWAYS = """
for number in range(100_000):
    store.add(entry_of(f"key-{number}"))
    if number % 3 == 0:
        store.revoke(f"key-{number}", 2_000.0)
    print(number, flush=True)
"""
FILLED = """
left = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (left, left))
try:
    for number in range(1000):
        store.add(entry_of(f"more-{number}"))
        print(number, flush=True)
except KeysFailed as failed:
    print(failed, file=sys.stderr)
    sys.exit(3)
"""
READ_ONLY = """
store.path.parent.chmod(0o555)
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)  # root may write anywhere
try:
    store.add(entry_of("laptop"))
except KeysFailed as failed:
    print(failed, file=sys.stderr)
    sys.exit(3)
"""


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def test_processes_that_add_at_the_same_time_lose_nothing(store: KeyStore) -> None:
    running = [process(ADD_MANY, store.path, name) for name in ("one", "two", "three")]
    results = [ended(each) for each in running]
    assert [(status, err) for status, _, err in results] == [(0, "")] * 3
    won = [number for _, out, _ in results for number in out.split()]
    assert sorted(won, key=int) == [str(number) for number in range(15)], "each name is given once"
    expected = {f"{name}-{number}" for name in ("one", "two", "three", "both") for number in range(15)}
    assert (len(names(store)), set(names(store))) == (60, expected)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_a_process_that_is_killed_leaves_a_whole_file(store: KeyStore, after: int) -> None:
    running = process(ADD_ALWAYS, store.path)
    assert running.stdout is not None
    told = [running.stdout.readline() for _ in range(after)]
    running.send_signal(signal.SIGKILL)
    told += running.communicate(timeout=SECONDS)[0].splitlines(keepends=True)
    done = len([line for line in told if line.endswith("\n")])
    kept = store.entries()
    assert [entry.key.name for entry in kept] == [f"key-{number}" for number in range(len(kept))]
    assert done <= len(kept) <= done + 1
    assert all(entry.revoked is not None for entry in kept[:done:3])
    store.add(entry_of("after"))
    assert names(store)[-1] == "after"
    assert set(modes(store.path.parent).values()) == {0o600}


@pytest.mark.parametrize("left", [0, 512, 6_000, 40_000, 100_000])
def test_a_full_disk_is_told_and_loses_nothing(store: KeyStore, left: int) -> None:
    if left > 512:
        store.add(entry_of("before"))
    status, out, err = ended(process(FILLED, store.path, left))
    assert status == 3, err
    assert "cannot be written" in err
    assert str(store.path) in err
    expected = ["before"] if left > 512 else []
    expected += [f"more-{number}" for number in range(len(out.split()))]
    assert names(store) == expected
    store.add(entry_of("after"))
    assert names(store) == [*expected, "after"]


def test_a_folder_that_cannot_be_written_is_told(store: KeyStore) -> None:
    store.path.parent.mkdir(mode=0o700)
    status, _, err = ended(process(READ_ONLY, store.path))
    store.path.parent.chmod(0o700)
    assert status == 3, err
    assert "cannot be written: Permission denied" in err
    assert "CHATGPT_LOCAL_HOME" in err
    assert list(store.path.parent.iterdir()) == []
