"""The kept answers as the daemon has them: usable at once, written behind whatever goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from chatmock.kept_answers.database import KEPT_FILE, KeptFailed
from chatmock.kept_answers.entries import Bounds, KeptAnswer
from chatmock.kept_answers.packing import packed
from chatmock.kept_answers.store import AnswerFile
from chatmock.settings import Settings
from chatmock.state_files import state_folder

InThread = Callable[..., Deferred[Any]]
"""Runs a function that blocks: :class:`chatmock.threads.Threads`."""
_LOOK_SECONDS: Final = 3600.0
"""How often is looked for what has become too old."""
MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes of answers that wait to be written; the oldest are lost when a disk takes none."""
_LONG_BYTES: Final = 128 * 1024
"""What is shorter is compressed in some milliseconds, which a change of threads would not save."""


class KeptAnswers:
    """The answers in the file *path*.

    While the file cannot be used, the newest answers are kept in memory only, and that is logged once.

    :param clock: for the pauses between looks.
    :param in_thread: runs a function that blocks.
    :param wall: Unix seconds now: answers grow old by the calendar.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        bounds: Bounds,
        clock: IReactorTime,
        in_thread: InThread,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = AnswerFile(path, bounds, self._warn)
        self._bounds = bounds
        self._in_thread = in_thread
        self._wall = wall
        self._waiting: dict[tuple[str, str], KeptAnswer] = {}
        """Not yet in the file, the oldest first."""
        self._waiting_bytes = 0
        self._lock = DeferredLock()
        self._writing: Deferred[None] | None = None
        self._trouble = ""
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = clock
        self._looked: Deferred[LoopingCall] | None = None
        self._stopped = False

    @classmethod
    def of(cls, settings: Settings, clock: IReactorTime, in_thread: InThread) -> KeptAnswers:
        """The answers in the state folder of *settings*.

        :raises SettingError: when nobody knows the home folder that it is in.
        """
        return cls(state_folder(settings.home) / KEPT_FILE, Bounds.of(settings), clock, in_thread)

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""
        return self._bounds.seconds > 0

    def holds(self, size: int) -> bool:
        """Whether an answer is kept that takes *size* bytes, its conversation included."""
        return self.keeps and size <= self._bounds.share

    async def pack(self, text: bytes) -> bytes:
        """*text*, JSON, as it is kept; a long one is compressed in a thread."""
        if len(text) <= _LONG_BYTES:
            return packed(text)
        done: bytes = await _patiently(self._in_thread(packed, text))
        return done

    def now(self) -> float:
        """Unix seconds."""
        return self._wall()

    def start(self) -> None:
        """Forget from now on what becomes too old."""
        self._looked = self._looking.start(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Write what waits, after what is being written; nothing is kept later."""
        if self._stopped:
            return
        self._stopped = True
        looked, self._looked = self._looked, None
        if looked is not None:
            self._looking.stop()
            await looked
        if self._writing is not None:
            await self._writing
        await self._write()
        await self._alone(self._file.close)

    def keep(self, answer: KeptAnswer) -> None:
        """Keep *answer*: it can be found from now on, and is in the file soon."""
        if self._stopped or not self.holds(answer.size):
            return
        key = (answer.owner, answer.id)
        self._drop(key)
        self._waiting[key] = answer
        self._waiting_bytes += answer.size
        while self._waiting_bytes > MOST_WAITING:
            self._drop(next(iter(self._waiting)))
        if self._writing is None:
            self._writing = Deferred.fromCoroutine(self._write())
            self._writing.addErrback(lambda failure: self.log.failure("answers are not kept", failure))
            self._writing.addCallback(self._written)

    async def find(self, owner: str, id: str) -> KeptAnswer | None:
        """The answer *id* of *owner*; None where there is none, and where the file cannot be read."""
        waiting = self._waiting.get((owner, id))
        if waiting is not None and waiting.created > self._wall() - self._bounds.seconds:
            return waiting
        try:
            found: KeptAnswer | None = await self._alone(self._file.find, owner, id, self._wall())
        except KeptFailed as failed:
            self._tell(str(failed))
            return None
        return found

    async def forget(self, owner: str, id: str) -> bool:
        """Forget the answer *id* of *owner*; whether there was one.

        :raises KeptFailed: when it is in the file, and cannot be taken out of it.
        """
        if (owner, id) in self._waiting and self._writing is not None:
            await _patiently(self._writing)
        was_waiting = self._drop((owner, id))
        was_kept: bool = await self._alone(self._file.forget, owner, id, self._wall())
        return was_kept or was_waiting

    async def _look(self) -> None:
        try:
            await self._alone(self._file.forget_old, self._wall())
        except KeptFailed as failed:
            self._tell(str(failed))
        except Exception:  # noqa: BLE001  # a fault of ours must not end the looking
            self.log.failure("old answers are not forgotten")

    async def _write(self) -> None:
        """Write all that waits, also what comes meanwhile; what cannot be written waits for the next answer."""
        while self._waiting:
            batch = list(self._waiting.values())
            try:
                await self._alone(self._file.write, batch)
            except KeptFailed as failed:
                self._tell(str(failed))
                return
            if self._trouble:
                self.log.info("answers are kept again")
            self._trouble = ""
            for each in batch:
                if self._waiting.get((each.owner, each.id)) is each:
                    self._drop((each.owner, each.id))

    def _written(self, _: object) -> None:
        self._writing = None

    def _drop(self, key: tuple[str, str]) -> bool:
        """Let what waits under *key* wait no more; whether there was anything."""
        dropped = self._waiting.pop(key, None)
        if dropped is None:
            return False
        self._waiting_bytes -= dropped.size
        return True

    def _alone(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run *function* in a thread while no other one uses the file. Whoever cancels it only waits no longer."""
        return _patiently(self._lock.run(self._in_thread, function, *arguments))

    def _tell(self, trouble: str) -> None:
        """Log *trouble* when it comes, not with every answer; there is an end of it once something could be written."""
        if not self._trouble:
            self._trouble = trouble
            self.log.warn(
                "answers are kept in memory only, as far as there is room: {trouble}", trouble=trouble
            )

    def _warn(self, words: str) -> None:
        self.log.warn("{words}", words=words)


def _patiently(running: Deferred[Any]) -> Deferred[Any]:
    """What fires as *running* does, and can be cancelled without it."""
    waiting: Deferred[Any] = Deferred()

    def passed(result: Any) -> Any:
        waiting.callback(result)  # nothing happens where it was cancelled
        return result

    def failed(failure: Any) -> None:
        waiting.errback(failure)

    running.addCallbacks(passed, failed)
    return waiting
