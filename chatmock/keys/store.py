"""The file of the client keys: an SQLite database in the state folder, for commands and daemon at the same time.

Of a token only its SHA-256 is kept. A slow hash (bcrypt, argon2) protects what people choose, because that can be
guessed; a token is 256 random bits, so that whoever reads the file has nothing to guess with, and a slow hash would
only cost time at each request.

Everything here blocks (the disk, and up to five seconds for another writer): the daemon calls it from a thread. What
goes wrong is a :exc:`KeysFailed`. A file that is damaged or not ours is left as it is.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from chatmock import jsontext
from chatmock.keys.database import (
    BUSY_SECONDS,
    COLUMNS,
    SCHEMA,
    KeysFailed,
    check_folder,
    check_form,
    connect,
    stamp,
    told,
    transaction,
)
from chatmock.keys.entries import Entry
from chatmock.keys.watch import KeyWatch
from chatmock.state_files import FileLock, make_private_folder

_LOCK_PAUSE: Final = 0.02
_INSERT: Final = f"INSERT INTO client_key ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


class NameTaken(KeysFailed):
    """There is a key of that name, and it is not revoked."""


class KeyStore:
    """The keys in the file *path*, which the first one makes. Each call is a whole transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Sequence[Entry]:
        """All keys, the revoked ones too, the oldest first; none where there is no file.

        :raises KeysFailed: when the file cannot be read.
        """
        with closing(KeyWatch(self.path)) as watch:
            return watch.look() or ()

    def add(self, entry: Entry) -> None:
        """Keep *entry*; on return it is on the disk.

        :raises NameTaken: when another key that is not revoked has its name.
        :raises KeysFailed: when it cannot be kept.
        """
        key = entry.key
        row = (
            key.name,
            entry.digest,
            key.rpm,
            key.concurrency,
            jsontext.dumps(key.models).decode(),
            key.priority,
            int(key.admin),
            entry.created,
            entry.expires,
            entry.revoked,
        )
        with self._writing() as connection:
            held = connection.execute(
                "SELECT 1 FROM client_key WHERE name = ? AND revoked IS NULL", (key.name,)
            )
            if entry.revoked is None and held.fetchone():
                raise NameTaken(
                    f"There is a key called {key.name}. Revoke it first (chatmock keys revoke {key.name}), or choose another"
                    " name."
                )
            connection.execute(_INSERT, row)

    def revoke(self, name: str, now: float) -> bool:
        """End the key called *name* at *now*; whether there was one that was not revoked.

        :raises KeysFailed: when that cannot be kept.
        """
        with told(self.path, "read"):
            if stamp(self.path) is None:
                return False
        with self._writing() as connection:
            done = connection.execute(
                "UPDATE client_key SET revoked = ? WHERE name = ? AND revoked IS NULL", (now, name)
            )
            return done.rowcount > 0

    def take_back(self, entry: Entry) -> None:
        """Forget *entry*, which nobody has got the token of.

        :raises KeysFailed: when that cannot be kept.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM client_key WHERE digest = ?", (entry.digest,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; makes the file if need be."""
        with told(self.path, "written"):
            self._prepare()
            with closing(connect(self.path)) as connection, transaction(connection):
                yield connection

    def _prepare(self) -> None:
        """See that the file can hold keys: make it, or finish one whose maker was killed, while nobody else does."""
        make_private_folder(self.path.parent)
        check_folder(self.path.parent)
        lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))
        until = time.monotonic() + BUSY_SECONDS
        while not lock.try_acquire():
            if time.monotonic() > until:
                raise KeysFailed(f"Another program keeps {self.path} locked. End it, then try again.")
            time.sleep(_LOCK_PAUSE)
        try:
            if stamp(self.path) is None:
                # Private from birth: SQLite gives its -wal and -shm the same mode.
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(self.path, flags, 0o600))
            with closing(connect(self.path)) as connection:
                if check_form(connection, self.path):
                    return
                # Not by two at a time: SQLite does not wait for others where it changes the journal's mode.
                connection.execute("PRAGMA journal_mode = WAL")
                with transaction(connection):
                    for statement in SCHEMA:
                        connection.execute(statement)
        finally:
            lock.release()
