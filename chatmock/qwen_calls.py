"""The calls that an answer of Qwen's web chat takes: a chat, its pictures, the answer, and a stop where it is left.

History lives at the site: a conversation that goes on is recognised and gets one new message; any other opens a chat and
tells it everything at once. There is one answer at a time in a chat: a conversation that is being answered already opens
another chat, and a chat that was chosen by its id is waited for (spec upstreams.md, A1.3, A1.5).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, TimeoutError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from chatmock.account import Account, Opening
from chatmock.conversation import ChatRequest, Image, ToolCall
from chatmock.errors import Kind, Refusal
from chatmock.events import Failed, Finished
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.conversations import Conversations, Place
from chatmock.providers.qwen.decoder import QwenDecoder
from chatmock.providers.qwen.provider import Message, Qwen, Wanted
from chatmock.providers.qwen.token import expiry_note
from chatmock.providers.recording_decoder import RecordingDecoder
from chatmock.qwen_uploads import Uploads
from chatmock.upstream import ERROR_BODY_LIMIT, discard, read_start, response_headers

_READ_SECONDS = 15.0
_TURN_SECONDS = 120.0
"""How long a request waits for its turn in a chat that it has chosen."""
_STOP_SECONDS = 10.0


class QwenCalls:
    """The :class:`~chatmock.account.Calls` of one Qwen account.

    :param pinned: the chat of requests that choose none; None for one for each conversation.
    :param wall_clock: Unix time in seconds.
    """

    log = Logger()

    def __init__(
        self,
        provider: Qwen,
        uploads: Uploads,
        pinned: str | None,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
    ) -> None:
        self.provider = provider
        self.uploads = uploads
        self.clock = clock
        self.wall_clock = wall_clock
        self.conversations = Conversations()
        self._pinned = pinned
        self._turns: dict[str, DeferredLock] = {}
        """The chats with an answer being written, or with one whose stop is under way."""
        self._stops: set[Deferred[Any]] = set()

    async def open(self, account: Account, chat: ChatRequest) -> Opening:
        """Make the calls; the response is an event stream.

        A chat that is busy is stopped and asked again, or left for another one; so is one that was deleted, unless the
        request has chosen it. Once each.

        :raises Refusal: when one of the calls fails.
        """
        wanted = self.provider.wanted(chat)
        chosen = chat.upstream_chat or self._pinned
        again = {contract.CHAT_NOT_FOUND, contract.CHAT_BUSY}
        while True:
            place = self._place(chat, chosen)
            try:
                return await _Answer(self, account, chat, wanted, place).open()
            except Refusal as refusal:
                if refusal.code not in again or (chosen and refusal.code == contract.CHAT_NOT_FOUND):
                    raise await self._explained(refusal, account) from None
                again.discard(refusal.code)
                if chosen is None and place is not None:
                    self.conversations.forget(place.chat_id)
                else:
                    await deferLater(self.clock, contract.BUSY_WAIT)

    async def stop(self) -> None:
        """Wait for the stops under way, so that no chat stays locked; not for ever."""
        stops = gatherResults(list(self._stops))
        try:
            await stops.addTimeout(_STOP_SECONDS, self.clock)
        except TimeoutError:
            self.log.warn("{title} has not confirmed that its answers are stopped", title=contract.TITLE)

    def _place(self, chat: ChatRequest, chosen: str | None) -> Place | None:
        """Where *chat* goes on; None for a new chat."""
        place = self.conversations.find(chat)
        if chosen is not None:
            return place if place is not None and place.chat_id == chosen else Place(chosen, None, 0)
        return None if place is None or place.chat_id in self._turns else place

    async def take(self, chat_id: str) -> None:
        """Wait for the turn in a chat.

        :raises Refusal: rate limited, when others take too long.
        """
        turn = self._turns.setdefault(chat_id, DeferredLock())
        try:
            await turn.acquire().addTimeout(_TURN_SECONDS, self.clock)
        except TimeoutError:
            message = (
                f"This chat at {contract.TITLE} still answers others, one at a time. Ask again in a while."
            )
            wait = contract.BUSY_WAIT
            raise Refusal(Kind.RATE_LIMITED, message, code=contract.CHAT_BUSY, retry_after=wait) from None

    def free(self, chat_id: str) -> None:
        """The turn is over."""
        turn = self._turns[chat_id]
        turn.release()
        if not turn.locked:
            del self._turns[chat_id]

    def stop_and_free(self, account: Account, chat_id: str, response_id: str) -> None:
        """End an answer that nobody wants any more, behind whatever goes on, and then the turn."""
        stopping = Deferred.fromCoroutine(self._stop_answer(account, chat_id, response_id))
        self._stops.add(stopping)
        stopping.addTimeout(_STOP_SECONDS, self.clock)
        stopping.addErrback(self._not_stopped)
        stopping.addBoth(self._stopped, stopping, chat_id)

    async def _stop_answer(self, account: Account, chat_id: str, response_id: str) -> None:
        _, response = await account.ask(
            lambda credential: self.provider.stop_request(chat_id, response_id, credential)
        )
        discard(response)

    def _not_stopped(self, failure: Failure) -> None:
        failure.trap(Refusal, TimeoutError, CancelledError)
        why = failure.getErrorMessage()
        self.log.warn("an answer of {title} could not be stopped: {why}", title=contract.TITLE, why=why)

    def _stopped(self, result: object, stopping: Deferred[Any], chat_id: str) -> object:
        self._stops.discard(stopping)
        self.free(chat_id)
        return result

    async def _explained(self, refusal: Refusal, account: Account) -> Refusal:
        """*refusal*, with what is known of the token where that is what was not accepted."""
        token = (await account.credentials.current()).token
        if refusal.kind is not Kind.UNAUTHENTICATED or token is None:
            return refusal
        note = expiry_note(token, self.wall_clock())
        return attrs.evolve(refusal, message=f"{refusal.message} (By its own words the token {note}.)")


class _Answer:
    """One answer in one chat, from the first call to its end."""

    def __init__(
        self, calls: QwenCalls, account: Account, chat: ChatRequest, wanted: Wanted, place: Place | None
    ) -> None:
        self._calls = calls
        self._account = account
        self._chat = chat
        self._wanted = wanted
        self._place = place
        self._chat_id = ""
        """The chat whose turn is ours; empty before."""
        self._asked = False
        self._stream = QwenDecoder(contract.TITLE, contract.RECORD_LIMIT)
        prefix = f"call_{uuid.uuid4().hex[:16]}_"
        self._said = RecordingDecoder(calls.provider.answer_decoder(self._stream, chat, wanted, prefix))

    async def open(self) -> Opening:
        """Make the calls up to the head of the answer."""
        place = self._place
        start = None if place is None or place.parent_id is None else place.start
        prompt = self._calls.provider.prompt(self._chat, self._wanted, start)
        try:
            chat_id = await self._new_chat() if place is None else place.chat_id
            await self._calls.take(chat_id)
            self._chat_id = chat_id
            files = await self._upload(prompt.images)
            parent = None if place is None else place.parent_id
            asking, response = await self._ask(Message(chat_id, parent, prompt.text, files))
        except BaseException:
            self._leave()
            raise
        return Opening(asking, response, self._said, self.close)

    def close(self, outcome: Finished | Failed | None) -> None:
        """The answer is over, or was left."""
        if not isinstance(outcome, Finished) or outcome.cut or not self._stream.response_id:
            self._leave()
            return
        calls = [ToolCall(call.id, call.name, "".join(call.arguments)) for call in self._said.calls]
        self._calls.conversations.remember(
            self._chat, self._said.text, calls, self._chat_id, self._stream.response_id
        )
        self._calls.free(self._chat_id)

    def _leave(self) -> None:
        """Give the turn back; what the site may still be writing is stopped first."""
        if not self._chat_id:
            return
        if self._asked:
            self._calls.stop_and_free(self._account, self._chat_id, self._stream.response_id)
        else:
            self._calls.free(self._chat_id)

    async def _new_chat(self) -> str:
        calls = self._calls

        def request(credential: Credential) -> UpstreamRequest:
            return calls.provider.new_chat_request(self._chat.model, credential, calls.wall_clock())

        _, response = await self._account.ask(request)
        body = await self._body(response)
        if response.code != 200:
            raise calls.provider.refusal(response.code, response_headers(response), body)
        return calls.provider.read_new_chat(body)

    async def _upload(self, images: Sequence[Image]) -> list[dict[str, Any]]:
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

    async def _ask(self, message: Message) -> tuple[UpstreamRequest, IResponse]:
        calls = self._calls

        def request(credential: Credential) -> UpstreamRequest:
            asking = calls.provider.completion_request(
                self._chat, self._wanted, message, credential, calls.wall_clock(), lambda: str(uuid.uuid4())
            )
            self._asked = True
            return asking

        asking, response = await self._account.ask(request)
        kind = (response.headers.getRawHeaders(b"content-type") or [b""])[-1].partition(b";")[0].strip()
        if response.code == 200 and kind.lower() == b"text/event-stream":
            return asking, response
        body = await self._body(response)
        raise calls.provider.refusal(response.code, response_headers(response), body)

    def _body(self, response: IResponse) -> Deferred[bytes]:
        return read_start(response, self._calls.clock, ERROR_BODY_LIMIT, _READ_SECONDS)
