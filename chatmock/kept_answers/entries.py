"""What is kept of one answer, whose it is, and how much is kept in all. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from chatmock.admission.client import Client
from chatmock.kept_answers.packing import packed, unpacked
from chatmock.settings import Settings

DAY: Final = 86_400.0
"""Seconds."""
_MOST_OF_ONE: Final = 2_000
_MOST: Final = 20_000
_SHARES: Final = 4


@attrs.frozen
class KeptAnswer:
    """One answer, with what it was given to."""

    owner: str
    """Whose it is: see :func:`owner_of`."""
    id: str
    """The answer's own, ``resp_…``."""
    created: float
    """Unix seconds."""
    input: bytes = attrs.field(repr=False)
    """The items of the conversation before it, as a JSON array, perhaps packed: see :attr:`items`."""
    answer: bytes = attrs.field(repr=False)
    """The Response object, as JSON, perhaps packed: see :attr:`response`."""

    @property
    def size(self) -> int:
        """The bytes it takes."""
        return len(self.input) + len(self.answer)

    @property
    def items(self) -> bytes:
        """The items as a JSON array.

        :raises JSONError: when they are damaged.
        """
        return unpacked(self.input)

    @property
    def response(self) -> bytes:
        """The Response object as JSON.

        :raises JSONError: when it is damaged.
        """
        return unpacked(self.answer)

    def packed(self) -> KeptAnswer:
        """The same, compressed."""
        return attrs.evolve(self, input=packed(self.input), answer=packed(self.answer))


@attrs.frozen
class Bounds:
    """How much is kept: who comes first goes first, and who has more than its share before others."""

    seconds: float
    """How long; 0 where nothing is kept."""
    most_bytes: int
    """Of all, as they are kept."""
    most_of_one: int = _MOST_OF_ONE
    """Answers of one client."""
    most: int = _MOST
    """Answers of all."""

    @property
    def share(self) -> int:
        """The most bytes of one client; nothing larger is kept."""
        return self.most_bytes // _SHARES

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Those of *settings*."""
        return cls(settings.responses_days * DAY, settings.responses_max_mb * 1024 * 1024)


def owner_of(client: Client) -> str:
    """Whose the answers of *client* are: its key's, another key of the same name not included.

    Clients without a key are one owner: the address of a device changes, and each of them might call itself another.
    What they ask has ids that nobody can guess.
    """
    key = client.key
    return "" if key is None else f"{key.name} {key.id}"
