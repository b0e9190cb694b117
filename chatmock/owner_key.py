"""The key of one run of the daemon, by which the owner's commands beside it are known: a private file in the state folder.

Who may read the file may be the owner as well. It is named for the port that it opens, so that no command shows it at
another one, and it is another key after each start.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatmock.settings import Secret
from chatmock.state_files import read_known, write_private

_BYTES: Final = 32
_MOST_BYTES: Final = 256
_KEY: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


def owner_key_file(folder: Path, port: int) -> Path:
    """Where the key of the daemon at *port* is, in the state folder *folder*."""
    return folder / f"owner-{port}.key"


def read_owner_key(folder: Path, port: int) -> Secret | None:
    """The key of the daemon at *port*; None where there is none, or its file is another user's or open to others."""
    try:
        data, told = read_known(owner_key_file(folder, port), _MOST_BYTES)
    except OSError:
        return None
    private = told.st_uid == os.geteuid() and not stat.S_IMODE(told.st_mode) & 0o077
    return Secret(data.decode()) if private and _KEY.fullmatch(data) else None


class OwnerKey:
    """The key of this run.

    :param folder: the state folder; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.secret = Secret(secrets.token_urlsafe(_BYTES))
        """Never to be logged."""
        self._folder = folder
        self._written: list[Path] = []

    def write(self, ports: Iterable[int]) -> None:
        """Leave the key for the commands that ask at *ports*, in the place of any older one.

        :raises OSError: when it cannot be written.
        """
        for port in sorted({*ports}):
            path = owner_key_file(self._folder, port)
            write_private(path, self.secret.reveal().encode())
            self._written.append(path)

    def remove(self) -> None:
        """Take it away, but not that of another daemon which has come to the same port of another address."""
        written, self._written = self._written, []
        for path in written:
            with suppress(OSError):  # it opens nothing any more
                if read_known(path, _MOST_BYTES)[0] == self.secret.reveal().encode():
                    path.unlink()
