"""The calls that an answer of Qwen's web chat takes, and in which chat they are made.

History lives at the site: a conversation that goes on is recognised and gets one new message; any other opens a chat and
tells it everything at once. There is one answer at a time in a chat. A conversation that is being answered already opens
another chat, if all of it fits into one message; a chat that was chosen by its id is waited for (spec upstreams.md, A1.3,
A1.5).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatmock.account import Account, Opening
from chatmock.conversation import ChatRequest
from chatmock.errors import Refusal
from chatmock.providers.qwen.conversations import Conversations, Place
from chatmock.providers.qwen.provider import Qwen, Wanted
from chatmock.providers.qwen.transcript import Prompt
from chatmock.qwen_answer import QwenAnswer, Shared
from chatmock.qwen_stops import Stops
from chatmock.qwen_turns import Turns
from chatmock.qwen_uploads import Uploads


class QwenCalls:
    """The :class:`~chatmock.account.Calls` of one Qwen account.

    :param wall_clock: Unix time in seconds.
    """

    log = Logger()

    def __init__(
        self, provider: Qwen, uploads: Uploads, clock: IReactorTime, wall_clock: Callable[[], float]
    ) -> None:
        self._shared = Shared(
            provider, uploads, clock, wall_clock, Conversations(), Turns(clock), Stops(provider, clock)
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, waited for, or stopped."""
        shared = self._shared
        return not shared.answers and not shared.stops.running and not len(shared.turns)

    async def open(self, account: Account, chat: ChatRequest) -> Opening:
        """Make the calls; the response is an event stream.

        What is refused by us is refused before the first call. A refusal tells where its answer stood, so that another
        try goes on there.

        :raises Refusal: when one of the calls fails.
        """
        shared = self._shared
        shared.go_on()
        wanted = shared.provider.wanted(chat)
        chosen = shared.provider.chosen(chat) or ""
        place, prompt = self._choose(chat, wanted, chosen)
        return await QwenAnswer(shared, account, chat, wanted, place, chosen).open(chat, wanted, prompt)

    async def stop(self) -> None:
        """Ask nothing more, leave what is being answered, and wait until the site knows: no chat stays locked."""
        shared = self._shared
        shared.ending = True
        for answer in list(shared.answers):
            answer.leave()
        await shared.stops.finish()

    def _choose(self, chat: ChatRequest, wanted: Wanted, chosen: str) -> tuple[Place | None, Prompt]:
        """Where *chat* goes on, None for a new chat, and what is said there.

        :raises Refusal: bad request, for what the site does not take.
        """
        provider, again = self._shared.provider, chat.resume
        if again is not None and again.chat_id:
            place = Place(again.chat_id, again.parent_id, again.start)
            return place, provider.repair(chat) if again.answered else provider.prompt(
                chat, wanted, again.start
            )
        found = self._shared.conversations.find(chat, chosen)
        if found is None:
            return Place(chosen, None, 0) if chosen else None, provider.prompt(chat, wanted)
        if not chosen and self._shared.turns.answering(found.chat_id):
            try:
                return None, provider.prompt(chat, wanted)
            except Refusal:
                self.log.debug("a conversation that is too long to be told at once waits for its chat")
        return found, provider.prompt(chat, wanted, found.start)
