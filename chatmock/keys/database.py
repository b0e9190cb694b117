"""The SQLite file that holds the client keys: its form, whose it is, and what is told when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

KEYS_FILE: Final = "client_keys.sqlite3"
BUSY_SECONDS: Final = 5.0
"""How long another writer is waited for."""
_APPLICATION: Final = 0x63_6D_6B_73
"""Tells our file from other databases: ``cmks``."""
_VERSION: Final = 1
SCHEMA: Final = (
    """
    CREATE TABLE client_key (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        rpm INTEGER,
        concurrency INTEGER,
        models TEXT NOT NULL,  -- a JSON array
        priority INTEGER NOT NULL,
        admin INTEGER NOT NULL CHECK (admin IN (0, 1)),
        created REAL NOT NULL,
        expires REAL,
        revoked REAL
    )
    """,
    "CREATE UNIQUE INDEX client_key_name ON client_key (name) WHERE revoked IS NULL",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)
COLUMNS: Final = (
    "name",
    "digest",
    "rpm",
    "concurrency",
    "models",
    "priority",
    "admin",
    "created",
    "expires",
    "revoked",
)


class KeysFailed(Exception):
    """The file of the keys cannot be used; the message says why and what to do, and holds nothing of a token."""


def stamp(path: Path) -> object:
    """What changes with the file *path*, beside SQLite's commits; None where there is none.

    Looked up, not opened: closing a descriptor takes away all locks that this process has on the file (POSIX), those
    of SQLite too. Nobody can put another file there meanwhile, since the folder is the owner's alone to write.

    :raises KeysFailed: when it is not the owner's alone.
    :raises OSError: when that cannot be told.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    check_folder(path.parent)
    if not stat.S_ISREG(found.st_mode):
        raise KeysFailed(f"{path} is no regular file. Move it away; chatmock keeps its client keys there.")
    if found.st_uid != os.geteuid():
        raise KeysFailed(
            f"{path} belongs to another user (uid {found.st_uid}). Run chatmock and its commands as one user."
        )
    if found.st_mode & 0o077:
        raise KeysFailed(
            f"Others may read or write {path} (mode {found.st_mode & 0o777:o}). Make it yours alone (chmod 600), and see"
            " that the keys in it are those you made (chatmock keys list)."
        )
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_folder(folder: Path) -> None:
    """See that nobody else may put another file in the place of ours.

    :raises KeysFailed: when somebody may.
    """
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()):
        raise KeysFailed(
            f"The folder {folder} belongs to another user (uid {found.st_uid}). Run chatmock and its commands as one user."
        )
    if found.st_mode & 0o022:
        raise KeysFailed(
            f"Others may write to the folder {folder} (mode {found.st_mode & 0o777:o}), and so put keys of theirs there. Make"
            " it yours alone (chmod 700)."
        )


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, which there must be: SQLite would make one that others can read.

    A connection may go from thread to thread, but is used by one at a time.

    :raises sqlite3.Error: when it cannot be opened.
    """
    connection = sqlite3.connect(
        f"file:{urllib.parse.quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")  # a key that was shown outlives a power cut
    except BaseException:
        connection.close()
        raise
    return connection


def check_form(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds a table of keys; False for one that holds nothing at all.

    :raises KeysFailed: when it holds something else, or is damaged.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return False
    if application != _APPLICATION:
        raise KeysFailed(
            f"{path} is a database of another program. Move it away; chatmock keeps its client keys there."
        )
    if version != _VERSION:
        raise KeysFailed(
            f"{path} was written by another version of chatmock (form {version}; this one knows {_VERSION}). Use that"
            " version, or move the file away and make new keys."
        )
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise KeysFailed(damaged(path))
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is done inside, on the disk, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def told(path: Path, verb: str) -> Iterator[None]:
    """Tell people what SQLite or the system will not do.

    :param verb: ``read`` or ``written``.
    :raises KeysFailed: in place of :exc:`sqlite3.Error` and :exc:`OSError`.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise KeysFailed(damaged(path)) from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise KeysFailed(f"Another program keeps {path} locked. End it, then try again.") from None
        reason = str(error)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise KeysFailed(
        f"The client keys in {path} cannot be {verb}: {reason}. See to the disk and the folder's owner and mode, or set"
        " CHATGPT_LOCAL_HOME to another folder."
    ) from None


def damaged(path: Path) -> str:
    """What people are told of a file that makes no sense."""
    return (
        f"{path} is damaged, or no file of client keys. It is left as it is: put a copy that you have back in its place,"
        " or move it away and make new keys."
    )
