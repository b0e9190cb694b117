"""What a Responses request goes on from, and what is kept of its answer (spec upstreams.md, D3; chatgpt.md, 3.9).

The conversation is put together here, so that every upstream can answer: none of them has to know of earlier answers,
and the next one may be another one's. What is kept is the client's alone; a stranger's id is as unknown as a made-up one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.dialects.reading import read_object
from chatmock.dialects.responses_parse import parse_object
from chatmock.jsontext import JSONError
from chatmock.kept_answers.entries import KeptAnswer
from chatmock.kept_answers.items import as_items, conversation, nothing_is_kept, previous_not_found
from chatmock.kept_answers.live import KeptAnswers

_NOTHING_SAID: Final = {"role": "user", "content": ""}
MOST_RECENT: Final = 64 * 1024 * 1024
"""Bytes of answers of all sockets together."""


class RecentAnswers:
    """The last answers of each socket, in memory, whether they are kept or not: the client of a socket goes on from the
    answer before (chatgpt.md, 3.9). Bounded over all sockets, the oldest go first.

    :param most_bytes: of all answers together.
    :param most_of_one: answers of one socket.
    """

    def __init__(self, most_bytes: int = MOST_RECENT, most_of_one: int = 4) -> None:
        self._most_bytes = most_bytes
        self._most_of_one = most_of_one
        self._answers: OrderedDict[tuple[int, str], KeptAnswer] = OrderedDict()
        self.bytes = 0
        """Of all answers that are remembered."""

    def find(self, socket: int, id: str) -> KeptAnswer | None:
        """The answer *id* that *socket* was given, if it is still there."""
        return self._answers.get((socket, id))

    def keep(self, socket: int, answer: KeptAnswer) -> None:
        """Remember *answer* of *socket*."""
        self._drop((socket, answer.id))
        self._answers[socket, answer.id] = answer
        self.bytes += answer.size
        own = [key for key in self._answers if key[0] == socket]
        for key in own[: -self._most_of_one]:
            self._drop(key)
        while self.bytes > self._most_bytes:
            self._drop(next(iter(self._answers)))

    def forget(self, socket: int) -> None:
        """*socket* is closed."""
        for key in [key for key in self._answers if key[0] == socket]:
            self._drop(key)

    def delete(self, owner: str, id: str) -> bool:
        """Forget the answer *id* of *owner*, whichever socket it was given; whether there was one."""
        found = [key for key, answer in self._answers.items() if key[1] == id and answer.owner == owner]
        for key in found:
            self._drop(key)
        return bool(found)

    def _drop(self, key: tuple[int, str]) -> None:
        dropped = self._answers.pop(key, None)
        if dropped is not None:
            self.bytes -= dropped.size


@attrs.frozen
class SocketAnswers:
    """The :class:`RecentAnswers` of one socket."""

    recent: RecentAnswers
    socket: int


class ResponsesMemory:
    """The :class:`~chatmock.exchange.Memory` of one request.

    :param owner: whose request it is, see :func:`~chatmock.kept_answers.entries.owner_of`.
    :param beside: the answers of the socket that it comes by.
    """

    def __init__(self, kept: KeptAnswers, owner: str, beside: SocketAnswers | None = None) -> None:
        self._kept = kept
        self._owner = owner
        self._beside = beside
        self._stores = False
        self._input = b""
        """Packed: it is here as long as the answer lasts."""

    async def read(self, body: bytes) -> ChatRequest:
        """Read a request's JSON text.

        :raises Refusal: bad request; ``previous_response_not_found`` where there is no such answer of this client's.
        """
        return await self.take(read_object(body))

    async def take(self, asked: Mapping[str, Any], *, asks: bool = True) -> ChatRequest:
        """Read a request's decoded JSON; see :meth:`read`. ``instructions`` are those of this request alone.

        :param asks: whether an answer is wanted; else the conversation may still be empty.
        """
        body = dict(asked)
        store = body.get("store")
        if store is None or isinstance(store, bool):  # else it is refused as it is
            self._stores = store is not False and self._kept.keeps
            body["store"] = self._stores
        previous = body.get("previous_response_id")
        earlier = 0
        if isinstance(previous, str) and isinstance(body.get("input"), str | list | None):
            before = await self._before(previous)
            earlier = len(before)
            body["input"] = [*before, *as_items(body.get("input"))]
        is_empty = not asks and body.get("input") in (None, "", [])
        read = {**body, "input": [_NOTHING_SAID]} if is_empty else body
        chat = parse_object(read, earlier)
        if self._stores or self._beside is not None:
            self._input = await self._kept.pack(jsontext.dumps(as_items(body.get("input"))))
        if self._stores and not self._kept.holds(len(self._input)):
            self._stores = False
            chat = parse_object({**read, "store": False}, earlier)  # the answer says so from its beginning
        return attrs.evolve(chat, keep=self._stores or self._beside is not None)

    def keep(self, answer: bytes) -> None:
        """Keep the *answer*, a Response object as JSON, under its id."""
        id = jsontext.loads_object(answer).get("id")
        if not isinstance(id, str):
            return
        kept = KeptAnswer(self._owner, id, self._kept.now(), self._input, answer)
        if self._beside is not None:
            self._beside.recent.keep(self._beside.socket, kept)
        if self._stores:
            self._kept.keep(kept)

    async def _before(self, id: str) -> list[Any]:
        """The conversation up to and with the answer *id*."""
        found = None
        if self._beside is not None:
            found = self._beside.recent.find(self._beside.socket, id)
        if found is None:
            if not self._kept.keeps:
                raise previous_not_found(id) if self._beside is not None else nothing_is_kept()
            found = await self._kept.find(self._owner, id)
        if found is None:
            raise previous_not_found(id)
        try:
            return conversation(found)
        except JSONError:
            raise previous_not_found(id) from None
