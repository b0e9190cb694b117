"""How a stream that has begun says that its answer has failed: it goes on from the records that its client has."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from chatmock.dialects.interface import Dialect
from chatmock.events import Announced, Failed
from chatmock.transcoding import Transcoder


@runtime_checkable
class Continues(Protocol):
    """A :class:`~chatmock.transcoding.Transcoder` that writes its stream's records itself, and so knows how it goes on."""

    def fail(self, failed: Failed) -> bytes:
        """The records that say, after those that the client has, that the answer has failed."""


@runtime_checkable
class Carries(Protocol):
    """A :class:`~chatmock.transcoding.Transcoder` of records that are numbered upstream."""

    @property
    def announced(self) -> Announced | None:
        """How far the client is; None as long as it has had nothing."""


@runtime_checkable
class Numbers(Protocol):
    """A :class:`~chatmock.dialects.interface.Dialect` that numbers the records of its streams."""

    def fail(self, failed: Failed, announced: Announced) -> bytes:
        """The records that say, to a client that is as far as *announced* says, that the answer has failed."""


def failing(way: Transcoder, dialect: Dialect, failed: Failed) -> bytes | None:
    """The end of the stream that *way* has begun, which says that it has failed; None where it is the same whatever the
    client has had."""
    if isinstance(way, Continues):
        return way.fail(failed)
    if isinstance(way, Carries) and isinstance(dialect, Numbers) and way.announced is not None:
        return dialect.fail(failed, way.announced)
    return None
