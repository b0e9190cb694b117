"""The client keys as the daemon knows them: in memory, and following the file without a restart."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE, KeysFailed
from chatmock.keys.entries import Entry, digest_of
from chatmock.keys.watch import KeyWatch
from chatmock.settings import Settings
from chatmock.state_files import state_folder

InThread = Callable[..., Deferred[Any]]
"""Runs a function that blocks: :class:`chatmock.threads.Threads`."""
_LOOK_SECONDS: Final = 1.0


class LiveKeys:
    """The keys in the file *path*: a :class:`chatmock.admission.client.Keys`.

    While the file cannot be read the keys stay those that were read last, and that is logged once.

    :param clock: for the pauses between looks.
    :param in_thread: runs a function that blocks.
    :param wall: Unix seconds now: keys end by the calendar.
    """

    log = Logger()

    def __init__(
        self, path: Path, clock: IReactorTime, in_thread: InThread, wall: Callable[[], float] = time.time
    ) -> None:
        self._watch = KeyWatch(path)
        self._in_thread = in_thread
        self._wall = wall
        self._entries: Sequence[Entry] = ()
        self._trouble = ""
        self._any = False
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = clock
        self._stopped: Deferred[LoopingCall] | None = None

    @classmethod
    def of(cls, settings: Settings, clock: IReactorTime, in_thread: InThread) -> LiveKeys:
        """The keys in the state folder of *settings*.

        :raises SettingError: when nobody knows the home folder that it is in.
        """
        return cls(state_folder(settings.home) / KEYS_FILE, clock, in_thread)

    @property
    def any(self) -> bool:
        """Whether clients have been given keys, as far as this process has seen; then they have to show one.

        It stays true when the last key is revoked or ends, and is true where nobody can tell because the file cannot
        be read: neither may open the daemon to everybody.
        """
        return self._any or bool(self._trouble)

    def find(self, token: bytes) -> Key | None:
        """The key of *token*; None for one that nobody has, that is revoked or has ended.

        It takes as long for every token: all digests are compared, in constant time.
        """
        digest = digest_of(token)
        found: Entry | None = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        if found is None or found.state(self._wall()) != "active":
            return None
        return found.key

    def load(self) -> None:
        """Read the file now, blocking, and close it again: before the daemon listens, perhaps before it forks."""
        try:
            self._take(self._watch.look())
        except KeysFailed as failed:
            self._tell(str(failed))
        self._watch.close()

    def start(self) -> None:
        """Follow the file from now on."""
        self._stopped = self._looking.start(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Look no more; the last look is over when this returns."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            self._looking.stop()
            await stopped
        self._watch.close()

    async def _look(self) -> None:
        try:
            entries = await self._in_thread(self._watch.look)
        except KeysFailed as failed:
            self._tell(str(failed))
        except Exception:  # noqa: BLE001  # a fault of ours must not end the following
            self.log.failure("the client keys are not read")
        else:
            if self._trouble:
                self.log.info("the client keys can be read again")
            self._trouble = ""
            self._take(entries)

    def _take(self, entries: Sequence[Entry] | None) -> None:
        """Use *entries*; None for those there are."""
        if entries is not None:
            self._entries = [entry for entry in entries if entry.revoked is None]
            now = self._wall()
            self._any = self._any or any(entry.state(now) == "active" for entry in self._entries)

    def _tell(self, trouble: str) -> None:
        """Log *trouble* when it comes, not at every look."""
        if trouble != self._trouble:
            self._trouble = trouble
            self.log.error("the client keys stay as they were: {trouble}", trouble=trouble)
