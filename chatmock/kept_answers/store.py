"""The file of the kept answers, for one thread at a time. Everything here blocks: the daemon calls it from a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from chatmock.kept_answers.database import (
    Damaged,
    KeptFailed,
    OtherVersion,
    connect,
    discard,
    discard_aside,
    remove,
    set_aside,
    tells_damage,
)
from chatmock.kept_answers.entries import Bounds, KeptAnswer
from chatmock.kept_answers.totals import Totals

T = TypeVar("T")
_INSERT: Final = (
    "INSERT INTO kept_answer (owner, id, created, expires, size, input, answer) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FIND: Final = "SELECT created, input, answer FROM kept_answer WHERE owner = ? AND id = ? AND expires > ? AND created > ?"
_OLD: Final = "DELETE FROM kept_answer WHERE expires <= ? OR created <= ?"
_ONE: Final = "SELECT number, size FROM kept_answer WHERE owner = ? AND id = ?"
_OLDEST: Final = "SELECT number, size FROM kept_answer WHERE owner = ? ORDER BY number LIMIT 1"
_TOTALS: Final = "SELECT owner, count(*), sum(size) FROM kept_answer GROUP BY owner ORDER BY max(number)"


class AnswerFile:
    """The answers in the file *path*, which the first one makes.

    A file that is damaged, or is none of ours, is set aside for as long as answers are kept, and another one begun. One of
    another version of chatmock is removed: whoever goes on from an answer in it sends the conversation once more.

    :param warn: is told of either, in a thread.
    """

    def __init__(self, path: Path, bounds: Bounds, warn: Callable[[str], object]) -> None:
        self.path = path
        self._bounds = bounds
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        self._totals: Totals | None = None
        """What is in the file, as far as nobody else has written in it since :attr:`_version`."""
        self._version = 0

    def write(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep *answers*, compressed, and forget what is too much then. What has grown old is :meth:`forget_old`'s.

        :raises KeptFailed: when that cannot be done; nothing is changed then.
        """
        until = self._bounds.seconds
        kept = [each.packed() for each in answers]

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                totals = self._count(connection)
                for a in kept:
                    self._drop(connection, a.owner, _ONE, (a.owner, a.id))
                    row = (a.owner, a.id, a.created, a.created + until, a.size, a.input, a.answer)
                    connection.execute(_INSERT, row)
                    totals.add(a.owner, a.size)
                self._make_room(connection, totals, {each.owner for each in kept})

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
                connection.execute("BEGIN IMMEDIATE")
                self._count(connection)
                self._drop(connection, owner, _ONE, (owner, id))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still has it
            return True

        return self._do(work, "written")

    def forget_old(self, now: float) -> None:
        """Forget what is too old at *now*; all of it, and the file, where nothing is kept.

        :raises KeptFailed: when that cannot be done.
        """
        try:
            if not self._bounds.seconds:
                self.close()
                remove(self.path)
                return
            discard_aside(self.path, now - self._bounds.seconds)
        except OSError as error:
            raise self._failed("removed", error.strerror or type(error).__name__) from None
        if not self.path.exists():
            return

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                # By the setting of now, too: who shortens it means what is there already.
                connection.execute(_OLD, (now, now - self._bounds.seconds))
            self._totals = None

        self._do(work, "written")

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        connection, self._connection = self._connection, None
        self._totals = None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _count(self, connection: sqlite3.Connection) -> Totals:
        """What is in the file in this transaction; it is counted again only where another daemon has written in it."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._totals is None or version != self._version:
            self._totals = Totals(connection.execute(_TOTALS))
            self._version = version
        return self._totals

    def _make_room(self, connection: sqlite3.Connection, totals: Totals, owners: Iterable[str]) -> None:
        for owner in owners:
            while totals.is_over(owner, self._bounds):
                self._drop(connection, owner, _OLDEST, (owner,))
        while (loser := totals.loser(self._bounds)) is not None:
            self._drop(connection, loser, _OLDEST, (loser,))

    def _drop(self, connection: sqlite3.Connection, owner: str, which: str, of: tuple[str, ...]) -> None:
        """Forget the answer of *owner* that the query *which* finds, if there is one; what is kept was counted."""
        found = connection.execute(which, of).fetchone()
        if found is None:
            return
        number, size = found
        connection.execute("DELETE FROM kept_answer WHERE number = ?", (number,))
        if self._totals is not None:
            self._totals.remove(owner, size)

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
            except OtherVersion:
                discard(self.path)
                self._warn(
                    f"{self.path} is of another version of chatmock. It is removed, and another one is begun: clients cannot go"
                    " on from the answers in it."
                )
                return self._try(work)
        except sqlite3.Error as error:
            reason = str(error)
        except (Damaged, OtherVersion):
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
