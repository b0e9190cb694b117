"""What the clients of all SDKs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from tests.matrix.door import Door
from tests.matrix.scenario import Fault, Seen, Wish


class SDKClient(ABC):
    """One client of one daemon; see :class:`~tests.matrix.clients.Client`.

    :param url: the daemon's address, without a path.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    """What the SDK raises."""

    def __init__(self, url: str) -> None:
        self._door = Door()
        self._sdk = self.connect(url, {"event_hooks": dict(self._door.hooks)})

    def ask(self, wish: Wish) -> Seen:
        """Ask, and read the answer to its end, or to its fault."""
        seen = Seen()
        try:
            self.read(wish, seen)
        except self.errors as error:
            seen.fault = self.fault(error)
        return seen

    def begin(self, wish: Wish) -> str:
        """Ask for a stream, read its first text, and leave."""
        texts = self.texts(wish)
        try:
            return next(text for text in texts if text)
        finally:
            texts.close()

    def shut(self) -> None:
        """Close its connections under it."""
        self._door.shut()

    def close(self) -> None:
        """Give back what it holds."""
        self._sdk.close()

    @abstractmethod
    def connect(self, url: str, http: dict[str, Any]) -> Any:
        """The SDK's own client of *url*; *http* is for the httpx client that it is made with."""

    @abstractmethod
    def fault(self, error: Any) -> Fault:
        """What *error*, one of `errors`, tells."""

    @abstractmethod
    def read(self, wish: Wish, seen: Seen) -> None:
        """Ask, and write the answer into *seen* as it comes."""

    @abstractmethod
    def texts(self, wish: Wish) -> Iterator[str]:
        """Ask for a stream, and give its texts as they come; closing it leaves."""
