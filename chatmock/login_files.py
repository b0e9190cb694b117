"""Where the ChatGPT login and what goes with it are kept (spec chatgpt.md, 1.7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.tokens import Tokens, read_tokens, write_tokens
from chatmock.settings import Settings
from chatmock.state_files import FileLock, expanded, linked_file, read_bounded, state_folder, write_private

LOGIN_FILE: Final = "auth.json"
USAGE_FILE: Final = "usage_limits.json"
MODELS_FILE: Final = "chatmock_models_cache.json"
MOST_BYTES: Final = 1024 * 1024
"""Of a file that may hold a login, or the usage limits; they take a few kilobytes."""
MOST_MODELS_BYTES: Final = 32 * 1024 * 1024
"""Of the list of models: more than the upstream's may have."""
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
            tokens = read_tokens(read_bounded(path, MOST_BYTES))
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
        """Use *tokens*, which take the place of those in our file: to be followed by :meth:`write`."""
        if self._behind is None:
            self._behind = self.found.tokens
        self.found = FoundLogin(tokens, self.files.own)

    def write(self, tokens: Tokens) -> None:
        """Write *tokens* to our file; blocks, under :func:`login_lock`. To be followed by :meth:`written`.

        :raises OSError: when it cannot be written.
        """
        assert self.files.own is not None, "there is a file of ours"
        write_private(self.files.own, write_tokens(tokens))

    def written(self) -> None:
        """What is used is in our file."""
        self._behind = None


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
    return os.path.realpath(one) == os.path.realpath(
        other
    )  # Path.resolve fails where links go round in a circle
