"""Where the ChatGPT login and what goes with it are kept, and keeping it (spec chatgpt.md, 1.7)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.tokens import Tokens, read_tokens, write_tokens
from chatmock.settings import Settings
from chatmock.state_files import (
    FileLock,
    expanded,
    linked_file,
    read_known,
    require_private,
    state_folder,
    write_private,
)

LOGIN_FILE: Final = "auth.json"
USAGE_FILE: Final = "usage_limits.json"
MODELS_FILE: Final = "chatmock_models_cache.json"
MOST_BYTES: Final = 1024 * 1024
"""Of a file that may hold a login, or the usage limits; they take a few kilobytes."""
MOST_MODELS_BYTES: Final = 32 * 1024 * 1024
"""Of the list of models: more than the upstream's may have."""
InThread = Callable[..., Deferred[Any]]
"""``deferToThread``, or what stands for it."""
_SAVE_AGAIN_SECONDS: Final = 60.0
_LOCK_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_LOCK_PAUSE: Final = 0.05
_CODEX_FOLDER: Final = Path("~/.codex")


@attrs.frozen
class LoginFiles:
    """The files that may hold a login."""

    own: Path | None
    """Ours: read, refreshed and written. None where it is the Codex program's, be it by a link."""
    foreign: Sequence[Path] = ()
    """Those of other programs, used while ours has no login and for as long as they last; never written."""


@attrs.frozen
class FoundLogin:
    """The login that is used."""

    tokens: Tokens | None
    path: Path | None = None
    foreign: bool = False
    trouble: str = ""
    """What is wrong with a file that was passed over; empty for nothing."""


def login_files(settings: Settings) -> LoginFiles:
    """The files for *settings*. One that is the Codex program's own is not ours to write.

    :raises SettingError: when nobody knows the home folder that the state folder is in.
    """
    own, codex = state_folder(settings.home) / LOGIN_FILE, expanded(_CODEX_FOLDER / LOGIN_FILE)
    if codex is None:
        return LoginFiles(own)
    foreign = _same(own.parent, codex.parent) or (own.is_symlink() and _same(own, codex))
    return LoginFiles(None if foreign else own, (codex,))


def login_lock(own: Path) -> FileLock:
    """The lock that whoever writes our login holds."""
    with suppress(OSError):  # a link that leads nowhere is told by who writes
        own = linked_file(own)
    return FileLock(own.with_name(f"{own.name}.lock"), own)


def find_login(files: LoginFiles) -> FoundLogin:
    """The first login there is: ours, else another program's."""
    trouble = ""
    for path in (files.own, *files.foreign):
        if path is None:
            continue
        try:
            data, told = read_known(path, MOST_BYTES)
            tokens = read_tokens(data)
            if tokens is not None:
                require_private(told, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, JSONError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            trouble = trouble or f"The login in {path} cannot be read: {why}."
            continue
        if tokens is not None:
            return FoundLogin(tokens, path, path != files.own, trouble)
    return FoundLogin(None, trouble=trouble)


class FollowedLogin:
    """The login in use: follows the *files*, and is ahead of ours while a successor is not written."""

    def __init__(self, files: LoginFiles) -> None:
        self.files = files
        self.found = FoundLogin(None)
        """What is used."""
        self._stamps: Sequence[object] | None = None
        self._behind: Tokens | None = None

    @property
    def unsaved(self) -> bool:
        """Whether what is used is not in our file yet."""
        return self._behind is not None

    def look(self) -> bool:
        """Read the files if one has changed, and say whether that was so.

        What is not saved yet stays in use, unless somebody has logged in or out: the successor of what the file
        still holds is nowhere else.
        """
        files = self.files
        stamps = [None if path is None else _stamp(path) for path in (files.own, *files.foreign)]
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        found = find_login(files)
        if self._behind is not None and stamps[0] is not None:
            held = None if found.foreign or found.tokens is None else found.tokens
            if held is None or held.access_token == self._behind.access_token:
                return True
        self.found, self._behind = found, None
        return True

    def use(self, tokens: Tokens) -> None:
        """Use *tokens*, which take the place of those in our file: to be written, then :meth:`written`."""
        if self._behind is None:
            self._behind = self.found.tokens
        self.found = FoundLogin(tokens, self.files.own)

    def written(self) -> None:
        """What is used is in our file."""
        self._behind = None


class KeptLogin(FollowedLogin):
    """A followed login that is written to our file: under the lock, and later where that cannot be done at once.

    :param clock: for waits and pauses.
    :param in_thread: runs a function that blocks.
    """

    log = Logger()

    def __init__(self, files: LoginFiles, clock: IReactorTime, in_thread: InThread) -> None:
        super().__init__(files)
        self._clock = clock
        self._in_thread = in_thread
        self._timer: IDelayedCall | None = None
        self._stopping = False

    async def locked(self, seconds: float = _LOCK_SECONDS) -> FileLock:
        """The lock of our file, which there must be, taken within *seconds*.

        :raises Refusal: when that is not possible.
        """
        lock = login_lock(self._own)
        until = self._clock.seconds() + seconds
        while not await self._tried(lock):
            if self._clock.seconds() >= until:
                message = f"Another process has kept the ChatGPT login locked for {seconds:g} s: is it stuck?"
                raise Refusal(Kind.UPSTREAM_TIMED_OUT, message, code="login_locked")
            await deferLater(self._clock, _LOCK_PAUSE)
        return lock

    def _tried(self, lock: FileLock) -> Deferred[bool]:
        """Whether *lock* could be taken. Who is cancelled meanwhile has not got it, whatever the thread does."""
        left = False

        def leave(_: object) -> None:
            nonlocal left
            left = True

        def told(result: bool | Failure) -> None:
            if left:
                lock.release()
            else:
                waiter.callback(result)

        waiter: Deferred[bool] = Deferred(leave)
        self._in_thread(_try, lock).addBoth(told)
        return waiter

    async def save(self) -> None:
        """Write what is used, under the lock; if that fails it stays in use, and is written when it can be."""
        tokens = self.found.tokens
        assert tokens is not None, "there is a login to save"
        try:
            await self._in_thread(write_private, self._own, write_tokens(tokens))
        except OSError as error:
            self.log.critical(
                "the refreshed ChatGPT login cannot be written ({why}); it will be lost if chatmock ends before it can",
                why=error.strerror or type(error).__name__,
            )
            self._save_soon()
            return
        self.written()

    async def stop(self) -> None:
        """Write what could not be written, if it can be now; it is not tried again."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.unsaved:
            await self._save_late()

    @property
    def _own(self) -> Path:
        assert self.files.own is not None, "only our own login is refreshed"
        return self.files.own

    def _save_soon(self) -> None:
        if self._timer is None and not self._stopping:
            self._timer = self._clock.callLater(_SAVE_AGAIN_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        saving = Deferred.fromCoroutine(self._save_late())
        saving.addErrback(lambda failure: self.log.failure("the ChatGPT login is not written", failure))

    async def _save_late(self) -> None:
        """Write what could not be written, unless somebody has logged in or out since."""
        try:
            lock = await self.locked(_STOP_SECONDS)
        except Refusal as refusal:
            self.log.warn("the ChatGPT login is not written: {why}", why=refusal.message)
            self._save_soon()
            return
        try:
            self.look()
            if self.unsaved:
                await self.save()
        finally:
            lock.release()


def _try(lock: FileLock) -> bool:
    try:
        return lock.try_acquire()
    except OSError as error:
        message = (
            f"The folder of the ChatGPT login cannot be written ({error.strerror}): check its owner and mode."
        )
        raise Refusal(Kind.INTERNAL, message, code="login_folder") from None


def _stamp(path: Path) -> object:
    """What changes with the file, its owner or its mode; None for no file."""
    try:
        told = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.errno
    return told.st_ino, told.st_size, told.st_ctime_ns


def _same(one: Path, other: Path) -> bool:
    # Path.resolve fails where links go round in a circle.
    return os.path.realpath(one) == os.path.realpath(other)
