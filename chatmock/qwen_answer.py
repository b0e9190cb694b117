"""One answer of Qwen's web chat, from its first call to its end: a chat, its turn, pictures, the answer, perhaps a stop."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
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
_MOST_CHAT_BYTES = 32 * 1024 * 1024
_ANEW = frozenset([contract.CHAT_NOT_FOUND, contract.PARENT_NOT_FOUND])
"""The codes after which nothing of the chat can be gone on from."""


@attrs.define(eq=False)
class Shared:
    """What all answers of one account share."""

    provider: Qwen
    uploads: Uploads
    clock: IReactorTime
    wall_clock: Callable[[], float]
    """Unix time in seconds."""
    conversations: Conversations
    turns: Turns
    stops: Stops
    answers: set[QwenAnswer] = attrs.field(factory=set)
    """Those that have begun and are not over."""
    ending: bool = False
    """Whether the daemon ends: nothing more is asked."""

    def go_on(self) -> None:
        """See that something may still be asked.

        :raises Refusal: overloaded, when the daemon ends.
        """
        if self.ending:
            raise Refusal(
                Kind.OVERLOADED, "chatmock is being stopped. Ask again in a while.", code="shutdown"
            )


class _State(enum.Enum):
    """How far an answer has come."""

    BEFORE = "before its turn"
    TURN = "its turn has come"
    ASKED = "the site may be writing"
    OVER = "the turn is given back"


class QwenAnswer:
    """The answer.

    :param place: where it goes on; None for a chat of its own.
    :param chosen: the chat that the client or the owner chose; empty for none.
    """

    def __init__(
        self,
        shared: Shared,
        account: Account,
        chat: ChatRequest,
        wanted: Wanted,
        place: Place | None,
        chosen: str,
    ) -> None:
        self._shared = shared
        self._account = account
        self._place = place
        self._chosen = chosen
        self._model = chat.model
        self._question = shared.conversations.begin(chat, chosen)
        self._resumed = chat.resume
        self._state = _State.BEFORE
        self._chat_id = "" if place is None else place.chat_id
        self._stream = QwenDecoder(contract.TITLE, contract.RECORD_LIMIT)
        prefix = f"call_{uuid.uuid4().hex[:16]}_"
        self._said = RecordingDecoder(shared.provider.answer_decoder(self._stream, chat, wanted, prefix))

    async def open(self, chat: ChatRequest, wanted: Wanted, prompt: Prompt) -> Opening:
        """Make the calls up to the head of the answer."""
        shared = self._shared
        shared.answers.add(self)
        try:
            if self._place is None:
                self._chat_id = await self._new_chat()
            await shared.turns.take(self._chat_id)
            self._state = _State.TURN
            parent = await self._parent()
            files = await self._upload(prompt.images)
            asking, response = await self._ask(
                chat, wanted, Message(self._chat_id, parent, prompt.text, files)
            )
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
        said, response_id = self._said, self._stream.response_id
        if self._state is _State.ASKED and response_id:
            conversations = self._shared.conversations
            if isinstance(outcome, Finished) and not outcome.cut:
                calls = [ToolCall(call.id, call.name, "".join(call.arguments)) for call in said.calls]
                conversations.remember(self._question, said.text, calls, self._chat_id, response_id)
            else:
                conversations.note(self._chat_id, response_id)
        self.leave()

    def leave(self, stopped_id: str | None = None) -> None:
        """Give the turn back; what the site may still be writing is stopped first. Once.

        :param stopped_id: the answer to stop, where it is not this one; empty for whichever it is.
        """
        shared, chat_id = self._shared, self._chat_id
        state, self._state = self._state, _State.OVER
        shared.answers.discard(self)
        if state is _State.TURN or (state is _State.ASKED and self._stream.finished):
            shared.turns.free(chat_id)
        elif state is _State.ASKED:
            shared.turns.stopping(chat_id)
            stopped = self._stream.response_id if stopped_id is None else stopped_id
            shared.stops.begin(self._account, chat_id, stopped, lambda: shared.turns.free(chat_id))

    def _refused(self, refusal: Refusal) -> None:
        """Note where the answer stood, for another try, and leave."""
        self._explain(refusal)
        if refusal.code in _ANEW:
            self._shared.conversations.forget(self._chat_id)
        refusal.resume = resumption = self._resumption(refusal)
        if resumption.tries > 1:
            refusal.retryable = False  # the site is asked once more, not again and again
        if refusal.code == contract.CAPTCHA and self._state is _State.ASKED:
            self._state = _State.TURN  # a stop would meet the same gateway
        if refusal.code == contract.CHAT_BUSY and self._state is not _State.OVER:
            self._state = _State.ASKED  # somebody else's answer, which is in the way
            self.leave(stopped_id="")
        else:
            self.leave()

    def _explain(self, refusal: Refusal) -> None:
        """Add what is known of the token where that is what was not accepted."""
        token = self._shared.provider.token
        if refusal.kind is Kind.UNAUTHENTICATED and token is not None:
            note = expiry_note(token, self._shared.wall_clock())
            refusal.message = f"{refusal.message} (By its own words the token {note}.)"

    def _resumption(self, refusal: Refusal) -> Resumption:
        """Where another try goes on: after an answer without the call it was to make, else where this one did."""
        place, response_id, before = self._place, self._stream.response_id, self._resumed
        tries = 1 if before is None else before.tries + 1
        if refusal.code in _ANEW or self._state is _State.BEFORE:
            return Resumption("", None, 0, False, tries)
        answered = bool(response_id) and refusal.code in (NO_TOOL_CALL, INVALID_TOOL_CALL)
        start, parent = (0, None) if place is None else (place.start, place.parent_id)
        return Resumption(self._chat_id, response_id if answered else parent, start, answered, tries)

    async def _new_chat(self) -> str:
        shared = self._shared
        body = await self._read(
            lambda credential: shared.provider.new_chat_request(self._model, credential, shared.wall_clock())
        )
        return shared.provider.read_new_chat(body)

    async def _parent(self) -> str | None:
        """The answer to go on from, now that nobody else is answered in the chat."""
        place, again, shared = self._place, self._resumed, self._shared
        if place is None or place.start or (again is not None and again.answered):
            return None if place is None else place.parent_id
        # Everything is told anew, so it goes on from whatever was said there last, by others too.
        parent = shared.conversations.last(self._chat_id)
        if parent is None and self._chosen:
            body = await self._read(
                lambda credential: shared.provider.chat_request(self._chat_id, credential)
            )
            parent = shared.provider.read_leaf(body)
        self._place = attrs.evolve(place, parent_id=parent)
        return parent

    async def _read(self, request: Callable[[Credential], UpstreamRequest]) -> bytes:
        """The body of a call that is not the answer."""
        self._shared.go_on()
        _, response = await self._account.ask(request)
        if response.code == 200:
            return await self._body(response, _MOST_CHAT_BYTES)
        raise await self._fault(response)

    async def _upload(self, images: Sequence[Image]) -> list[dict[str, Any]]:
        """The files of *images*, uploaded side by side; none is left out."""
        if not images:
            return []
        shared = self._shared
        headers = shared.provider.headers(await self._account.credentials.current(), "application/json")
        uploads = [
            Deferred.fromCoroutine(shared.uploads.file_of(image, headers, shared.provider.base_url))
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
        shared = self._shared

        def request(credential: Credential) -> UpstreamRequest:
            shared.go_on()
            asking = shared.provider.completion_request(
                chat, wanted, message, credential, shared.wall_clock()
            )
            self._state = _State.ASKED
            return asking

        asking, response = await self._account.ask(request)
        if is_answer(response, stream=True):
            return asking, response
        self._state = _State.TURN if self._state is _State.ASKED else self._state
        raise await self._fault(response)

    async def _fault(self, response: IResponse) -> Refusal:
        """What a response says that is not what was asked for."""
        body = await self._body(response, ERROR_BODY_LIMIT)
        return self._shared.provider.refusal(response.code, response_headers(response), body)

    def _body(self, response: IResponse, limit: int) -> Deferred[bytes]:
        return read_start(response, self._shared.clock, limit, _READ_SECONDS)
