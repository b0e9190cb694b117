"""The calls that an answer of Qwen's web chat takes: a chat, its pictures, the answer, and a stop where it is left.

History lives at the site: a conversation that goes on is recognised and gets one new message; any other opens a chat and
tells it everything at once. There is one answer at a time in a chat. A conversation that is being answered already opens
another chat, if all of it fits into one message; a chat that was chosen by its id is waited for (spec upstreams.md, A1.3,
A1.5).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IResponse

from chatmock.account import Account, Opening
from chatmock.conversation import ChatRequest, Image, Resumption, ToolCall
from chatmock.errors import Kind, Refusal
from chatmock.events import Failed, Finished
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.conversations import Conversations, Place
from chatmock.providers.qwen.decoder import QwenDecoder
from chatmock.providers.qwen.provider import Message, Qwen, Wanted
from chatmock.providers.qwen.token import expiry_note
from chatmock.providers.qwen.tool_prompt import INVALID_TOOL_CALL, NO_TOOL_CALL
from chatmock.providers.qwen.transcript import Prompt
from chatmock.providers.recording_decoder import RecordingDecoder
from chatmock.qwen_stops import Stops
from chatmock.qwen_turns import Turns
from chatmock.qwen_uploads import Uploads
from chatmock.upstream import ERROR_BODY_LIMIT, is_answer, read_start, response_headers

_READ_SECONDS = 15.0


class QwenCalls:
    """The :class:`~chatmock.account.Calls` of one Qwen account.

    :param wall_clock: Unix time in seconds.
    """

    log = Logger()

    def __init__(
        self, provider: Qwen, uploads: Uploads, clock: IReactorTime, wall_clock: Callable[[], float]
    ) -> None:
        self.provider = provider
        self.uploads = uploads
        self.clock = clock
        self.wall_clock = wall_clock
        self.conversations = Conversations()
        self.turns = Turns(clock)
        self.stops = Stops(provider, clock)
        self.open_answers: set[_Answer] = set()

    async def open(self, account: Account, chat: ChatRequest) -> Opening:
        """Make the calls; the response is an event stream.

        What is refused by us is refused before the first call. A refusal tells where its answer stood, so that another
        try goes on there.

        :raises Refusal: when one of the calls fails.
        """
        wanted = self.provider.wanted(chat)
        place, prompt = self._choose(chat, wanted)
        answer = _Answer(self, account, chat, wanted, place)
        return await answer.open(chat, wanted, prompt)

    async def stop(self) -> None:
        """Leave what is being answered, and wait until the site knows: no chat stays locked."""
        for answer in list(self.open_answers):
            answer.leave()
        await self.stops.finish()

    def explain(self, refusal: Refusal) -> None:
        """Add what is known of the token where that is what was not accepted."""
        token = self.provider.token
        if refusal.kind is Kind.UNAUTHENTICATED and token is not None:
            note = expiry_note(token, self.wall_clock())
            refusal.message = f"{refusal.message} (By its own words the token {note}.)"

    def _choose(self, chat: ChatRequest, wanted: Wanted) -> tuple[Place | None, Prompt]:
        """Where *chat* goes on, None for a new chat, and what is said there.

        :raises Refusal: bad request, for what the site does not take.
        """
        provider, again = self.provider, chat.resume
        if again is not None:
            place = Place(again.chat_id, again.parent_id, again.start)
            return place, provider.repair(chat) if again.answered else provider.prompt(
                chat, wanted, again.start
            )
        chosen = provider.chosen(chat)
        found = self.conversations.find(chat)
        if chosen is not None and (found is None or found.chat_id != chosen):
            return Place(chosen, None, 0), provider.prompt(chat, wanted)
        if found is None:
            return None, provider.prompt(chat, wanted)
        if chosen is None and self.turns.answering(found.chat_id):
            try:
                return None, provider.prompt(chat, wanted)
            except Refusal:
                self.log.debug("a conversation that is too long to be told at once waits for its chat")
        return found, provider.prompt(chat, wanted, found.start)


class _Answer:
    """One answer in one chat, from the first call to its end."""

    def __init__(
        self, calls: QwenCalls, account: Account, chat: ChatRequest, wanted: Wanted, place: Place | None
    ) -> None:
        self._calls = calls
        self._account = account
        self._place = place
        self._question = calls.conversations.begin(chat)
        self._tries = 0 if chat.resume is None else chat.resume.tries
        self._chat_id = ""
        """The chat whose turn is ours; empty before and after."""
        self._may_be_written = False
        """Whether the site may be writing an answer."""
        self._stream = QwenDecoder(contract.TITLE, contract.RECORD_LIMIT)
        prefix = f"call_{uuid.uuid4().hex[:16]}_"
        self._said = RecordingDecoder(calls.provider.answer_decoder(self._stream, chat, wanted, prefix))

    async def open(self, chat: ChatRequest, wanted: Wanted, prompt: Prompt) -> Opening:
        """Make the calls up to the head of the answer."""
        calls, place = self._calls, self._place
        calls.open_answers.add(self)
        try:
            chat_id = await self._new_chat(chat.model) if place is None else place.chat_id
            await calls.turns.take(chat_id)
            self._chat_id = chat_id
            if place is not None and not place.start and not self._tries:
                # It tells everything anew, so it goes on from whatever was said there while it waited.
                place = self._place = attrs.evolve(place, parent_id=calls.conversations.last(chat_id))
            files = await self._upload(prompt.images)
            parent = None if place is None else place.parent_id
            asking, response = await self._ask(chat, wanted, Message(chat_id, parent, prompt.text, files))
        except Refusal as refusal:
            self._refused(refusal)
            raise
        except BaseException:
            self.leave()
            raise
        return Opening(asking, response, self._said, self.close)

    def close(self, outcome: Finished | Failed | None) -> None:
        """The answer is over, or was left."""
        if isinstance(outcome, Failed):
            self._refused(outcome.refusal)
            return
        said, conversations = self._said, self._calls.conversations
        if self._chat_id and self._stream.response_id:
            if isinstance(outcome, Finished) and not outcome.cut:
                calls = [ToolCall(call.id, call.name, "".join(call.arguments)) for call in said.calls]
                conversations.remember(
                    self._question, said.text, calls, self._chat_id, self._stream.response_id
                )
            else:
                conversations.note(self._chat_id, self._stream.response_id)
        self.leave()

    def leave(self) -> None:
        """Give the turn back; what the site may still be writing is stopped first. Once."""
        calls, chat_id = self._calls, self._chat_id
        self._chat_id = ""
        calls.open_answers.discard(self)
        if not chat_id:
            return
        if not self._may_be_written or self._stream.finished:
            calls.turns.free(chat_id)
            return
        calls.turns.stopping(chat_id)
        calls.stops.begin(self._account, chat_id, self._stream.response_id, lambda: calls.turns.free(chat_id))

    def _refused(self, refusal: Refusal) -> None:
        """Note where the answer stood, for another try, and leave."""
        self._calls.explain(refusal)
        if refusal.code == contract.CHAT_NOT_FOUND:
            self._calls.conversations.forget(self._chat_id)
        elif self._chat_id:
            refusal.resume = self._resumption(refusal)
        if self._tries:
            refusal.retryable = False  # the site is asked once more, not again and again
        if refusal.code == contract.CHAT_BUSY:
            self._may_be_written = True  # somebody else's answer, which is in the way
        self.leave()

    def _resumption(self, refusal: Refusal) -> Resumption:
        """Where another try goes on: after an answer without the call it was to make, else where this one did."""
        place, response_id = self._place, self._stream.response_id
        answered = bool(response_id) and refusal.code in (NO_TOOL_CALL, INVALID_TOOL_CALL)
        start, parent = (0, None) if place is None else (place.start, place.parent_id)
        return Resumption(
            self._chat_id, response_id if answered else parent, start, answered, self._tries + 1
        )

    async def _new_chat(self, model: str) -> str:
        calls = self._calls

        def request(credential: Credential) -> UpstreamRequest:
            return calls.provider.new_chat_request(model, credential, calls.wall_clock())

        _, response = await self._account.ask(request)
        body = await self._body(response)
        if response.code != 200:
            raise calls.provider.refusal(response.code, response_headers(response), body)
        return calls.provider.read_new_chat(body)

    async def _upload(self, images: Sequence[Image]) -> list[dict[str, Any]]:
        """The files of *images*, uploaded side by side; none is left out."""
        if not images:
            return []
        calls = self._calls
        headers = calls.provider.headers(await self._account.credentials.current(), "application/json")
        uploads = [
            Deferred.fromCoroutine(calls.uploads.file_of(image, headers, calls.provider.base_url))
            for image in images
        ]
        files: list[dict[str, Any]] = []
        try:
            for upload in uploads:
                files.append(await upload)
        finally:
            for upload in uploads[len(files) :]:
                upload.addErrback(lambda failure: failure.trap(CancelledError, Refusal))
                upload.cancel()
        return files

    async def _ask(
        self, chat: ChatRequest, wanted: Wanted, message: Message
    ) -> tuple[UpstreamRequest, IResponse]:
        calls = self._calls

        def request(credential: Credential) -> UpstreamRequest:
            now = calls.wall_clock()
            return calls.provider.completion_request(chat, wanted, message, credential, now)

        self._may_be_written = True
        asking, response = await self._account.ask(request)
        if is_answer(response, stream=True):
            return asking, response
        self._may_be_written = False
        body = await self._body(response)
        raise calls.provider.refusal(response.code, response_headers(response), body)

    def _body(self, response: IResponse) -> Deferred[bytes]:
        return read_start(response, self._calls.clock, ERROR_BODY_LIMIT, _READ_SECONDS)
