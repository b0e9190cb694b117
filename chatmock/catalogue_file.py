"""A provider's list of models on disk, so that a restart knows them before the upstream has been asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.login_files import MOST_MODELS_BYTES
from chatmock.state_files import read_bounded, write_private


class CatalogueFile:
    """The :class:`~chatmock.account.CatalogueMemory` of ChatGPT's models, which differ by account.

    :param account_id: tells the account that is logged in now.
    :param client_version: the version the list was asked for with; another one's is not used.
    :param wall_clock: Unix time in seconds.
    :param in_thread: runs a function that blocks.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        account_id: Callable[[], str],
        client_version: str,
        wall_clock: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._path = path
        self._account_id = account_id
        self._client_version = client_version
        self._wall_clock = wall_clock
        self._in_thread = in_thread
        self._written: Deferred[None] | None = None

    def recall(self) -> tuple[bytes, str] | None:
        """The list and its entity tag; None where none is kept for this account and version."""
        try:
            data = read_bounded(self._path, MOST_MODELS_BYTES)
            kept = jsontext.loads_object(data)
        except (OSError, JSONError):
            return None
        if kept.get("account_id") != self._account_id() or kept.get("client_version") != self._client_version:
            return None
        etag = kept.get("etag")
        return data, etag if isinstance(etag, str) else ""

    def keep(self, body: bytes, etag: str) -> None:
        """Write the list *body* (``{"models": […]}``) behind whatever goes on; a failure is logged."""
        kept = {
            "fetched_at": self._wall_clock(),
            "etag": etag,
            "client_version": self._client_version,
            "account_id": self._account_id(),
            "models": jsontext.loads_object(body)["models"],
        }
        self._written = self._in_thread(write_private, self._path, jsontext.dumps(kept))
        self._written.addErrback(self._not_kept)

    async def stop(self) -> None:
        """Wait for what is being written."""
        if self._written is not None:
            await self._written

    def _not_kept(self, failure: Failure) -> None:
        failure.trap(OSError)
        self.log.warn("the list of models cannot be kept: {why}", why=failure.getErrorMessage())
