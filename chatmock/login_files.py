"""Where the ChatGPT login and what goes with it are kept (spec chatgpt.md, 1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.tokens import Tokens, read_tokens
from chatmock.settings import Settings
from chatmock.state_files import FileLock, state_folder

LOGIN_FILE: Final = "auth.json"
USAGE_FILE: Final = "usage_limits.json"
MODELS_FILE: Final = "chatmock_models_cache.json"
_CODEX_FOLDER: Final = Path("~/.codex")


@attrs.frozen
class LoginFiles:
    """The files that may hold a login."""

    own: Path | None
    """Ours: read, refreshed and written. None where the state folder is the Codex program's."""
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
    """The files for *settings*. A state folder that is the Codex program's own is not ours to write."""
    own, codex = state_folder(settings.home), state_folder(_CODEX_FOLDER)
    if _same(own, codex):
        return LoginFiles(None, (codex / LOGIN_FILE,))
    return LoginFiles(own / LOGIN_FILE, (codex / LOGIN_FILE,))


def login_lock(own: Path) -> FileLock:
    """The lock that whoever writes our login holds."""
    return FileLock(own.with_name(f"{own.name}.lock"))


def find_login(files: LoginFiles) -> FoundLogin:
    """The first login there is: ours, else another program's."""
    trouble = ""
    for path in (files.own, *files.foreign):
        if path is None:
            continue
        try:
            tokens = read_tokens(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, JSONError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            trouble = trouble or f"The login in {path} cannot be read: {why}."
            continue
        if tokens is not None:
            return FoundLogin(tokens, path, path != files.own, trouble)
    return FoundLogin(None, trouble=trouble)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
