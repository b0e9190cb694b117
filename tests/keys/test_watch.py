"""The keys are read again when, and only when, they have changed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.keys.database import KeysFailed
from chatmock.keys.entries import Entry
from chatmock.keys.store import KeyStore
from chatmock.keys.watch import KeyWatch
from tests.keys.making import entry_of, store_in


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return store_in(tmp_path)


@pytest.fixture
def watch(store: KeyStore) -> Iterator[KeyWatch]:
    with closing(KeyWatch(store.path)) as watch:
        yield watch


def seen(watch: KeyWatch) -> list[str] | None:
    found = watch.look()
    return None if found is None else [entry.key.name for entry in found if entry.revoked is None]


def test_every_change_is_seen_once(store: KeyStore, watch: KeyWatch) -> None:
    assert (seen(watch), seen(watch)) == ([], None)
    for name, expected in (("a", ["a"]), ("b", ["a", "b"])):
        store.add(entry_of(name))
        assert (seen(watch), seen(watch)) == (expected, None)
    store.revoke("a", 1.0)
    assert (seen(watch), seen(watch)) == (["b"], None)
    assert not store.revoke("a", 1.0)
    assert seen(watch) is None


def test_the_file_may_go_and_come(store: KeyStore, watch: KeyWatch) -> None:
    store.add(entry_of("a"))
    assert seen(watch) == ["a"]
    shutil.rmtree(store.path.parent)
    assert (seen(watch), seen(watch)) == ([], None)
    store.add(entry_of("b"))
    assert (seen(watch), seen(watch)) == (["b"], None)


def test_another_file_in_its_place_is_seen(store: KeyStore, watch: KeyWatch, tmp_path: Path) -> None:
    other = store_in(tmp_path / "other")
    for each in (store, other):
        each.add(entry_of("same"))
    other.add(entry_of("more"))
    assert seen(watch) == ["same"]
    other.path.replace(store.path)
    assert seen(watch) == ["same", "more"]


def test_a_file_that_is_written_over_is_seen(store: KeyStore, watch: KeyWatch, tmp_path: Path) -> None:
    store.add(entry_of("a"))
    copy = shutil.copy(store.path, tmp_path / "copy")
    store.add(entry_of("b"))
    assert seen(watch) == ["a", "b"]
    store.path.write_bytes(copy.read_bytes())
    assert seen(watch) is not None


def test_trouble_passes(store: KeyStore, watch: KeyWatch) -> None:
    store.add(entry_of("a"))
    assert seen(watch) == ["a"]
    store.path.chmod(0o644)
    for _ in range(2):
        with pytest.raises(KeysFailed):
            watch.look()
    store.path.chmod(0o600)
    assert (seen(watch), seen(watch)) == (["a"], None)


def test_looking_changes_no_key_and_keeps_nobody_waiting(store: KeyStore, watch: KeyWatch) -> None:
    store.add(entry_of("a"))
    watch.look()
    with closing(sqlite3.connect(store.path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert watch.look() is None
        other.execute("UPDATE client_key SET name = 'b'")
        assert watch.look() is None
        other.execute("COMMIT")
    assert seen(watch) == ["b"]
    assert watch._connection is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        watch._connection.execute("DELETE FROM client_key")


def test_changes_within_one_tick_are_all_seen(store: KeyStore, watch: KeyWatch) -> None:
    """More than a write-ahead log holds, so that it is written over from its beginning too."""
    store.add(entry_of("a"))
    assert seen(watch) == ["a"]
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("PRAGMA synchronous = OFF")
        other.execute("PRAGMA wal_autocheckpoint = 5")
        for number in range(300):
            other.execute("UPDATE client_key SET name = ?", (f"a{number:03}",))
            assert seen(watch) == [f"a{number:03}"]


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=12))
@settings(max_examples=50, deadline=None)
def test_what_was_seen_is_what_there_is(
    steps: Sequence[tuple[str, bool, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = store_in(tmp_path_factory.mktemp("keys"))
    known: Sequence[Entry] = ()
    with closing(KeyWatch(store.path)) as watch:
        for name, add, look in steps:
            held = {entry.key.name for entry in store.entries() if entry.revoked is None}
            if add and name not in held:
                store.add(entry_of(name))
            elif not add:
                store.revoke(name, 1.0)
            if look:
                found = watch.look()
                known = known if found is None else found
                assert known == store.entries()
