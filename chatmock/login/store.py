"""Keeps a new ChatGPT login in its file, and deletes it; everything here blocks (spec chatgpt.md, 1.7, 1.11)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.login_files import LOGIN_FILE, MOST_BYTES, login_files, login_lock
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import FILE_KEYS, Tokens, read_tokens, write_tokens
from chatmock.settings import Secret, Settings
from chatmock.state_files import linked_file, read_bounded, state_folder, write_private

_LOCK_SECONDS: Final = 60.0
"""Longer than a refresh by another process takes."""
_LOCK_PAUSE: Final = 0.05


def own_folder(settings: Settings) -> Path:
    """The state folder.

    :raises LoginFailed: when the login in it is the Codex CLI's, which would end with the first refresh by chatmock.
    :raises SettingError: when nobody knows the home folder that it is in.
    """
    own = login_files(settings).own
    if own is None:
        raise LoginFailed(
            f"{state_folder(settings.home) / LOGIN_FILE} belongs to the Codex CLI, and its login works for one program only. Set"
            " CHATGPT_LOCAL_HOME to a folder of chatmock's own, such as ~/.chatgpt-local."
        )
    return own.parent


def check_writable(folder: Path) -> None:
    """See that a login could be kept in *folder*, before anybody logs in.

    :raises LoginFailed: when it could not.
    """
    with _told(folder):
        lock = login_lock(folder / LOGIN_FILE)
        lock.try_acquire()
        lock.release()
        if not os.access(linked_file(folder / LOGIN_FILE).parent, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")


def keep_login(folder: Path, tokens: Tokens, now: float) -> Path | None:
    """Write *tokens* to the file in *folder*, with whatever else is in it.

    :param now: Unix time in seconds.
    :returns: where a file that could not be read has been put, if there was one.
    :raises LoginFailed: when it cannot be written.
    """
    with _told(folder), _locked(folder):
        path = linked_file(folder / LOGIN_FILE)
        before, broken = _before(path), None
        if before is None:
            broken = path.with_name(
                f"{LOGIN_FILE}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
            )
            path.rename(broken)
            before = Tokens(tokens.id_token, tokens.access_token)
        tokens = attrs.evolve(tokens, more=before.more, more_tokens=before.more_tokens)
        write_private(path, write_tokens(tokens))
        return broken


def forget_login(folder: Path) -> bool:
    """Delete the file in *folder*, or what it links to; whether there was one.

    :raises LoginFailed: when it cannot be deleted.
    """
    path = folder / LOGIN_FILE
    if not os.path.lexists(path):
        return False
    with _told(folder), _locked(folder):
        try:
            linked_file(path).unlink()
        except FileNotFoundError:
            return False
        return True


def _before(path: Path) -> Tokens | None:
    """What is in the file, if only what is not chatmock's; None for a file that cannot be read."""
    try:
        data = read_bounded(path, MOST_BYTES)
        held, body = read_tokens(data), jsontext.loads_object(data)
    except FileNotFoundError:
        held, body = None, {}
    except (OSError, JSONError):
        return None
    others = {key: value for key, value in body.items() if key not in FILE_KEYS}
    return held or Tokens(Secret(""), Secret(""), more=others)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Tell people what the system will not let chatmock do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise LoginFailed(
            f"The login cannot be kept in {folder}: {reason}. Make that folder writable, or set CHATGPT_LOCAL_HOME to"
            " another one."
        ) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from refreshing the login meanwhile."""
    lock = login_lock(folder / LOGIN_FILE)
    until = time.monotonic() + _LOCK_SECONDS
    while not lock.try_acquire():
        if time.monotonic() > until:
            raise LoginFailed(
                f"Another program has kept the login in {folder} locked for {_LOCK_SECONDS:g} s. End the chatmock that"
                " hangs, then try again."
            )
        time.sleep(_LOCK_PAUSE)
    try:
        yield
    finally:
        lock.release()
