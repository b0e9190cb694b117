"""Files of the state folder: private from their creation, replaced whole or not at all, locked between processes.

Everything here blocks for a moment (fsync, a lock's system call): daemons call it from a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from chatmock.settings import SettingError

_STALE_SECONDS = 60.0
"""No write takes so long: what is older was left by a process that was killed."""
_TAG_BYTES = 8


def expanded(path: Path) -> Path | None:
    """*path* with ``~`` expanded; None where nobody knows that home folder."""
    found = os.path.expanduser(path)  # noqa: PTH111  # Path.expanduser raises for users nobody knows
    return None if found.startswith("~") else Path(found)


def state_folder(home: Path) -> Path:
    """The folder *home* with ``~`` expanded; not made yet.

    :raises SettingError: when it cannot be expanded: a folder called ``~`` wherever chatmock was started would be
        meant by nobody.
    """
    found = expanded(home)
    if found is None:
        raise SettingError(
            f"{home} is not known, for this user has no home folder. Set CHATGPT_LOCAL_HOME to the whole path of a"
            " folder for the ChatGPT login, or set HOME."
        )
    return found


def read_bounded(path: Path, most: int) -> bytes:
    """The content of the regular file *path*; never waits for a writer, as reading a pipe would.

    :raises OSError: when it cannot be read, is no regular file, or is larger than *most* bytes.
    """
    return read_known(path, most)[0]


def read_known(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """As :func:`read_bounded`, with what the system says of the very file that was read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
        told = os.fstat(descriptor)
        _require_file(told.st_mode, path)
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return data, told


def require_private(told: os.stat_result, path: Path) -> None:
    """That the file *path* is its owner's alone, who is this user or the system's (uid 0); only a file of the system's
    may be open to a group, which is how an administrator gives it to a service (spec security.md, P34).

    :raises OSError: when it is not; what is wrong, and what to do, is its ``strerror``.
    """
    own, mode = os.geteuid(), stat.S_IMODE(told.st_mode)
    if told.st_uid not in (own, 0):
        raise PermissionError(errno.EPERM, f"it belongs to another user (uid {told.st_uid})", str(path))
    if mode & ~(0o700 if told.st_uid == own else 0o740):
        raise PermissionError(errno.EPERM, f"others may read or write it; do: chmod 600 {path}", str(path))


def linked_file(path: Path) -> Path:
    """The file to write for *path*: the target where that is a link, which may not be there yet.

    :raises OSError: when the link leads nowhere that could be a file.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))  # Path.resolve has its own error for links in a circle
    with suppress(FileNotFoundError):
        _require_file(target.stat().st_mode, target)
    return target


def _require_file(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def make_private_folder(folder: Path) -> None:
    """Make *folder*, for its owner alone, where it is not there yet.

    :raises OSError: when it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Replace *path* by *data*, readable for its owner alone; a crash leaves the old content or the new, whole.

    A link stays, and its target is replaced.

    :raises OSError: when it cannot be written; the old content is then untouched.
    """
    path = linked_file(path)
    make_private_folder(path.parent)
    new = path.with_name(f".{path.name}.{secrets.token_hex(_TAG_BYTES)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    _sync_folder(path.parent)
    remove_leftovers(path, _STALE_SECONDS)


def remove_leftovers(path: Path, age: float = float("-inf")) -> None:
    """Remove what writes of *path* left beside it, or its target, when they were killed: it may hold secrets.

    :param age: seconds; younger ones stay. Without it nobody else may be writing *path*.
    """
    born_before = time.time() - age
    with suppress(OSError):
        path = linked_file(path)
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _TAG_BYTES}}}")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name):
                with suppress(OSError):  # another process may be quicker
                    if entry.stat(follow_symlinks=False).st_mtime <= born_before:
                        (path.parent / entry.name).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLock:
    """A lock between processes, which the system takes back from one that dies.

    The file stays: removing it would let two processes hold two locks of one name.

    :param guarded: the file that is written under this lock only. What killed writers left of it goes when the
        lock is taken.
    """

    def __init__(self, path: Path, guarded: Path | None = None) -> None:
        self._path = path
        self._guarded = guarded
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free.

        :raises OSError: when the lock's file cannot be made.
        """
        make_private_folder(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        if self._guarded is not None:
            remove_leftovers(self._guarded)
        return True

    def release(self) -> None:
        """Give the lock back, if it is held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
