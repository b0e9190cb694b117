"""The SQLite file that holds the kept answers: its form, and how it is opened."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatmock.state_files import make_private_folder

KEPT_FILE: Final = "kept_answers.sqlite3"
_BUSY_SECONDS: Final = 5.0
"""How long another daemon's write is waited for."""
_APPLICATION: Final = 0x63_6D_6B_61
"""Tells our file from other databases: ``cmka``."""
_VERSION: Final = 2
_MOST_LOG_BYTES: Final = 4 * 1024 * 1024
_DAMAGED: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_BESIDE: Final = ("-wal", "-shm")
_SCHEMA: Final = (
    """
    CREATE TABLE kept_answer (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        created REAL NOT NULL,
        expires REAL NOT NULL,
        size INTEGER NOT NULL,
        input BLOB NOT NULL,
        answer BLOB NOT NULL,
        UNIQUE (owner, id)
    )
    """,
    # The oldest of a client, and what all of them take, without a look at the answers themselves.
    "CREATE INDEX kept_answer_owner ON kept_answer (owner, number, size)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


class KeptFailed(Exception):
    """The file of the kept answers cannot be used; the message says why and what to do, and holds nothing of an answer."""


class Damaged(Exception):
    """The file makes no sense, or is none of ours."""


class OtherVersion(Exception):
    """The file is one of ours, in the form of another version of chatmock."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file *path*, readable for its owner alone; makes it where there is none.

    A connection may go from thread to thread, but is used by one at a time.

    :raises Damaged: when it is no file of ours.
    :raises OtherVersion: when another version of chatmock has made it.
    :raises sqlite3.Error: when it cannot be opened.
    :raises OSError: when it is not a regular file of this user, or cannot be made.
    """
    make_private_folder(path.parent)
    _make_private(path)
    connection = sqlite3.connect(
        f"file:{urllib.parse.quote(str(path))}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level="IMMEDIATE",
        check_same_thread=False,
    )
    try:
        _prepare(connection)
    except BaseException as error:
        connection.close()
        if tells_damage(error):
            raise Damaged from None
        raise
    return connection


def tells_damage(error: BaseException) -> bool:
    """Whether *error* is SQLite's word for a file that makes no sense."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def set_aside(path: Path) -> Path:
    """Give the file another name, in the place of one that was set aside before; returns it.

    :raises OSError: when that cannot be done.
    """
    aside = _aside(path)
    path.replace(aside)
    discard(path)
    return aside


def discard(path: Path) -> None:
    """Remove the file and what SQLite keeps beside it, as far as they are there.

    :raises OSError: when that cannot be done.
    """
    for name in (path.name, *(f"{path.name}{ending}" for ending in _BESIDE)):
        with suppress(FileNotFoundError):
            path.with_name(name).unlink()


def discard_aside(path: Path, before: float) -> None:
    """Remove what was set aside, where nothing was written in it since *before* (Unix seconds): answers may stand in it.

    :raises OSError: when that cannot be done.
    """
    aside = _aside(path)
    with suppress(FileNotFoundError):
        if aside.lstat().st_mtime <= before:
            aside.unlink()


def remove(path: Path) -> None:
    """Remove all that may have answers in it: the file, what is beside it, and what was set aside.

    :raises OSError: when that cannot be done.
    """
    discard(path)
    discard_aside(path, math.inf)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _make_private(path: Path) -> None:
    """Private from birth, since SQLite gives its -wal and -shm the same mode; and again where somebody has changed it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(1, "it is no regular file of the user that chatmock runs as", str(path))
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    is_new = (application, version, tables) == (0, 0, 0)
    if not is_new and application != _APPLICATION:
        raise Damaged
    if not is_new and version != _VERSION:
        raise OtherVersion
    if is_new:
        connection.execute(
            "PRAGMA auto_vacuum = FULL"
        )  # before the first table: the disk gets back what goes
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # after a power cut the last answers may be missing
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted must not be found in the file
    connection.execute(f"PRAGMA journal_size_limit = {_MOST_LOG_BYTES}")
    if is_new:
        with connection:
            for statement in _SCHEMA:
                connection.execute(statement)
