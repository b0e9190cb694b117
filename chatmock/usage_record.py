"""Keeps what the upstream tells of the plan's limits: in memory, and now and then in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.usage_windows import (
    Snapshot,
    from_json,
    merge,
    read_windows,
    tells_usage,
    to_json,
)
from chatmock.state_files import read_bounded, write_private

_MOST_BYTES = 1024 * 1024
_PAUSE_SECONDS = 5.0
"""The file is written at most so often: it is for people to look at, not for every answer."""


class UsageRecord:
    """The newest snapshot of the limits, and its file *path*.

    :param account_id: tells the account that is logged in now; another one's limits are not its own.
    :param wall_clock: the Unix time in seconds. *clock* only measures pauses.
    :param in_thread: runs a blocking call elsewhere, as ``deferToThread`` does.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        account_id: Callable[[], str],
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._path = path
        self._account_id = account_id
        self._clock = clock
        self._wall_clock = wall_clock
        self._in_thread = in_thread
        self._latest: Snapshot | None = None
        self._loaded = False
        self._unwritten = False
        self._failing = False
        self._stopped = False
        self._next_write_at = float("-inf")
        self._timer: IDelayedCall | None = None
        self._lock = DeferredLock()

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot of the account that is logged in, at first the file's; None when nothing is known."""
        if not self._loaded:
            self._loaded = True
            self._latest = self._load()
        return None if self._latest is None else self._latest.of(self._account_id())

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's *headers* (names in lower case); the file follows within a few seconds."""
        if not tells_usage(headers) or (windows := read_windows(headers)) is None:
            return
        self._latest = merge(self.latest, Snapshot(windows, self._wall_clock(), self._account_id()))
        self._unwritten = True
        self._schedule()

    async def stop(self) -> None:
        """Write what is not yet in the file, after a write that is running; nothing is written later."""
        self._stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        await self._write()

    def _schedule(self) -> None:
        if self._timer is None and not self._lock.locked and not self._stopped:
            wait = self._next_write_at - self._clock.seconds()
            self._timer = self._clock.callLater(max(wait, 0.0), self._write_soon)

    def _write_soon(self) -> None:
        self._timer = None
        written = Deferred.fromCoroutine(self._write())
        written.addErrback(lambda failure: self.log.failure("the usage limits are not kept", failure))

    async def _write(self) -> None:
        await self._lock.acquire()
        snapshot = self._latest
        try:
            if self._unwritten and snapshot is not None:
                await self._write_file(snapshot)
        finally:
            self._lock.release()
        # What failed waits for the next observation; one may have come during the write.
        if self._latest is not snapshot:
            self._schedule()

    async def _write_file(self, snapshot: Snapshot) -> None:
        self._unwritten = False
        self._next_write_at = self._clock.seconds() + _PAUSE_SECONDS
        data = to_json(snapshot)
        try:
            await self._in_thread(write_private, self._path, data)
        except OSError as error:
            self._unwritten = True
            self._failed(error)
        else:
            self._failing = False

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            self.log.warn(
                "{path} cannot be written: {why}. The usage limits are kept in memory only until it can be.",
                path=str(self._path),
                why=error.strerror or type(error).__name__,
            )
        self._failing = True

    def _load(self) -> Snapshot | None:
        try:
            return from_json(read_bounded(self._path, _MOST_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror or type(error).__name__
        except JSONError as error:
            why = str(error)
        self.log.warn(
            "{path} cannot be used: {why}. The usage limits are known again after the next answer.",
            path=str(self._path),
            why=why,
        )
        return None
