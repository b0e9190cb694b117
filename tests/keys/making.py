"""Keys for tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import Entry, digest_of, new_token
from chatmock.keys.store import KeyStore


def entry_of(name: str, token: bytes = b"", *, expires: float | None = None, **limits: Any) -> Entry:
    """A key called *name* with *token*, or a new one."""
    token = token or new_token(os.urandom).reveal().encode()
    return Entry(Key(name, **limits), digest_of(token), created=1_000.0, expires=expires)


def store_in(folder: Path) -> KeyStore:
    """A store in a state folder inside *folder*, which is not made yet."""
    return KeyStore(folder / "state" / KEYS_FILE)


def names(store: KeyStore) -> list[str]:
    """Of all keys that are not revoked, the oldest first."""
    return [entry.key.name for entry in store.entries() if entry.revoked is None]
