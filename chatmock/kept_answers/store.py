"""The file of the kept answers, for one thread at a time. Everything here blocks: the daemon calls it from a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from chatmock.kept_answers.database import Damaged, KeptFailed, connect, remove, set_aside, tells_damage
from chatmock.kept_answers.entries import Bounds, KeptAnswer

T = TypeVar("T")
_INSERT: Final = "INSERT OR REPLACE INTO kept_answer (owner, id, created, expires, size, input, answer) VALUES (?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = "SELECT created, input, answer FROM kept_answer WHERE owner = ? AND id = ? AND expires > ? AND created > ?"
_OLD: Final = "DELETE FROM kept_answer WHERE expires <= ? OR created <= ?"
_MANY_OF_ONE: Final = """
    DELETE FROM kept_answer WHERE number IN
        (SELECT number FROM kept_answer WHERE owner = ? ORDER BY number DESC LIMIT -1 OFFSET ?)
"""
_MANY: Final = "DELETE FROM kept_answer WHERE number IN (SELECT number FROM kept_answer ORDER BY number DESC LIMIT -1 OFFSET ?)"
_LARGE: Final = """
    DELETE FROM kept_answer WHERE number IN
        (SELECT number FROM (SELECT number, sum(size) OVER (ORDER BY number DESC) AS upto FROM kept_answer)
         WHERE upto > ?)
"""


class AnswerFile:
    """The answers in the file *path*, which the first one makes.

    A file that is damaged, or is none of ours, is set aside, and another one begun.

    :param warn: is told of that, in a thread.
    """

    def __init__(self, path: Path, bounds: Bounds, warn: Callable[[str], object]) -> None:
        self.path = path
        self._bounds = bounds
        self._warn = warn
        self._connection: sqlite3.Connection | None = None

    def write(self, answers: Sequence[KeptAnswer], now: float) -> None:
        """Keep *answers*, and forget what is too old or too much at *now* (Unix seconds).

        :raises KeptFailed: when that cannot be done; nothing is changed then.
        """
        until = self._bounds.seconds

        def work(connection: sqlite3.Connection) -> None:
            rows = [(a.owner, a.id, a.created, a.created + until, a.size, a.input, a.answer) for a in answers]
            with connection:
                connection.executemany(_INSERT, rows)
                self._forget_old(connection, now)
                for owner in {each.owner for each in answers}:
                    connection.execute(_MANY_OF_ONE, (owner, self._bounds.most_of_one))
                connection.execute(_MANY, (self._bounds.most,))
                connection.execute(_LARGE, (self._bounds.most_bytes,))

        self._do(work, "written")

    def find(self, owner: str, id: str, now: float) -> KeptAnswer | None:
        """The answer *id* of *owner*; None where there is none, or it is too old at *now*.

        :raises KeptFailed: when the file cannot be read.
        """
        if not self.path.exists():
            return None

        def work(connection: sqlite3.Connection) -> KeptAnswer | None:
            row = connection.execute(_FIND, (owner, id, now, now - self._bounds.seconds)).fetchone()
            return None if row is None else KeptAnswer(owner, id, *row)

        return self._do(work, "read")

    def forget(self, owner: str, id: str, now: float) -> bool:
        """Forget the answer *id* of *owner*, so that it is found in no file; whether there was one at *now*.

        :raises KeptFailed: when that cannot be done.
        """
        if self.find(owner, id, now) is None:
            return False

        def work(connection: sqlite3.Connection) -> bool:
            with connection:
                connection.execute("DELETE FROM kept_answer WHERE owner = ? AND id = ?", (owner, id))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still has it
            return True

        return self._do(work, "written")

    def forget_old(self, now: float) -> None:
        """Forget what is too old at *now*; all of it, and the file, where nothing is kept.

        :raises KeptFailed: when that cannot be done.
        """
        if not self.path.exists():
            return
        if not self._bounds.seconds:
            self.close()
            try:
                remove(self.path)
            except OSError as error:
                raise self._failed("removed", error.strerror or type(error).__name__) from None
            return

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                self._forget_old(connection, now)

        self._do(work, "written")

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _forget_old(self, connection: sqlite3.Connection, now: float) -> None:
        # By the setting of now, too: who shortens it means what is there already.
        connection.execute(_OLD, (now, now - self._bounds.seconds))

    def _do(self, work: Callable[[sqlite3.Connection], T], verb: str) -> T:
        """Do *work*; once more with another file when this one turns out to be damaged."""
        try:
            try:
                return self._try(work)
            except Damaged:
                aside = set_aside(self.path)
                self._warn(
                    f"{self.path} is damaged, or no file of kept answers. It is {aside.name} now, and another one is begun:"
                    " clients cannot go on from the answers in it."
                )
                return self._try(work)
        except sqlite3.Error as error:
            reason = str(error)
        except Damaged:
            reason = "it is damaged as soon as it is made"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        raise self._failed(verb, reason)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = connect(self.path)
            return work(self._connection)
        except BaseException as error:
            self.close()
            if tells_damage(error):
                raise Damaged from None
            raise

    def _failed(self, verb: str, reason: str) -> KeptFailed:
        return KeptFailed(
            f"The kept answers in {self.path} cannot be {verb}: {reason}. See to the disk and the folder's owner and mode, or"
            " set CHATGPT_LOCAL_HOME to another folder."
        )
