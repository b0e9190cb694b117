"""Reads the client keys, again when they have changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatmock import jsontext
from chatmock.admission.client import Key
from chatmock.jsontext import JSONError
from chatmock.keys.database import COLUMNS, KeysFailed, check_form, connect, damaged, stamp, told
from chatmock.keys.entries import Entry

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM client_key ORDER BY id"  # noqa: S608  # our own names
_NOTHING: Final = object()
_read_models = jsontext.reader(tuple[str, ...])


class _Row(jsontext.Struct):
    name: str
    digest: bytes
    rpm: int | None
    concurrency: int | None
    models: str
    priority: int
    admin: int
    created: float
    expires: float | None
    revoked: float | None


class KeyWatch:
    """Reads the keys when they have changed, for as long as somebody asks. For one thread at a time.

    Whether they have is asked of SQLite (``PRAGMA data_version``), on a connection that stays open: it counts every
    commit of others. Sizes and times of the files do not tell as much: the ``-wal`` is written over from its
    beginning, with the same size, and two commits may come within one tick of the file system's clock. A revocation
    must not be missed for good. What SQLite cannot see, another file in the place of the one that is open or one written
    over, is told by the database file's inode, size and time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: object = None
        """Which file is open."""
        self._seen: object = _NOTHING
        """What told the keys that were read last from others."""

    def look(self) -> Sequence[Entry] | None:
        """All keys, the oldest first, if they are not those of the last look; else None.

        :raises KeysFailed: when they cannot be read; the next look tries again.
        """
        try:
            with told(self._path, "read"):
                return self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; another look opens it again, and gives all keys."""
        connection, self._connection = self._connection, None
        self._file, self._seen = None, _NOTHING
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _look(self) -> Sequence[Entry] | None:
        file = stamp(self._path)
        if file != self._file:
            self.close()
            self._file = file
        if file is not None and self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute("PRAGMA query_only = ON")
        connection = self._connection
        # Asked before the keys are read: a commit between the two is then seen by the next look.
        seen = None if connection is None else connection.execute("PRAGMA data_version").fetchone()
        if seen == self._seen:
            return None
        found = () if connection is None else _read(connection, self._path)
        self._seen = seen
        return found


def _read(connection: sqlite3.Connection, path: Path) -> Sequence[Entry]:
    if not check_form(connection, path):
        return ()
    try:
        return [_entry(dict(zip(COLUMNS, row, strict=True))) for row in connection.execute(_SELECT)]
    except JSONError:
        raise KeysFailed(damaged(path)) from None


def _entry(values: dict[str, object]) -> Entry:
    row = jsontext.convert(values, _Row)
    key = Key(
        row.name,
        row.rpm,
        row.concurrency,
        _read_models(row.models.encode()),
        row.priority,
        bool(row.admin),
        row.digest[:8].hex(),
    )
    return Entry(key, row.digest, row.created, row.expires, row.revoked)
