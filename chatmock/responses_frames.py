"""The frames of a Responses WebSocket, and one of them as a request (spec chatgpt.md, 3.9).

A client sends ``{"type": "response.create", …}`` with the fields of a request beside ``type``, and gets the records of the
stream, one a frame. What is refused is ``{"type": "error", "status": 429, "status_code": 429, "error": {…}}``; Codex reads
``status``, others ``status_code``. What was changed about a request is told before its first record, in the form in which
ChatGPT's backend tells headers there (chatgpt.md, 2.11): ``{"type": "codex.response.metadata", "headers": {…}}``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.dialects import OpenAIResponses
from chatmock.errors import Refusal
from chatmock.events import Announced, Failed, Finished, Opened
from chatmock.exchange import Desk
from chatmock.framing import WHOLE_ANSWER_LIMIT, SSEParser
from chatmock.heads import query_argument, refuse, set_notes
from chatmock.identities import new_identity
from chatmock.responses_memory import ResponsesMemory

CREATE: Final = "response.create"
CANCEL: Final = "response.cancel"
NOTICES: Final = frozenset({"response.processed"})
"""What Codex tells without wanting an answer."""
_ENVELOPE: Final = frozenset({"type", "generate", "stream_id"})
"""Fields of a frame that are none of the request's."""
_DONE: Final = b"[DONE]"
_METADATA: Final = "codex.response.metadata"
_NOTE: Final = "x-chatmock-"

Frame = Mapping[str, Any]


@attrs.frozen
class FramedResponses(OpenAIResponses):
    """The dialect in frames: there are no comments between them, and pings instead."""

    def comment(self, text: str) -> bytes:
        """Nothing."""
        return b""


DIALECT: Final = FramedResponses()


class FrameRequest:
    """One request that came in a frame, for those who answer HTTP's: it has the head that the socket began with.

    :param head: the request that the socket began with.
    :param consumer: has ``registerProducer`` and ``unregisterProducer``.
    :param send: sends one text frame.
    :param arrived: when it came, in the seconds of the site's clock.
    """

    method = b"WS"
    refused = False
    content: Any

    def __init__(self, head: Any, consumer: Any, send: Callable[[bytes], object], arrived: float) -> None:
        self.client = head.client
        self.args = head.args
        self.path = head.path
        self.requestHeaders = head.requestHeaders
        self.content = BytesIO()  # what was asked is decoded already
        self.request_id = f"req_{secrets.token_hex(12)}"
        self.arrived = arrived
        self.code = 200
        self.sentLength = 0
        self.headers: dict[str, str] = {}
        self._consumer = consumer
        self._send = send
        self._parser = SSEParser(2 * WHOLE_ANSWER_LIMIT)
        self._first = self._last = b""
        """Records that were sent."""

    def setResponseCode(self, code: int) -> None:
        """Its answer has this status."""
        self.code = code

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Its answer has this header, as far as frames have any."""
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def write(self, records: bytes) -> None:
        """Send whole records of the stream, each in a frame of its own."""
        for record in self._parser.feed(records):
            if record.data == _DONE:
                continue
            if not self._first:
                self._first = record.data
                self._tell_notes()
            self._last = record.data
            self._send_frame(record.data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have *producer* paused while the client takes nothing."""
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """There is nothing to pause any more."""
        self._consumer.unregisterProducer()

    def refuse(self, refusal: Refusal) -> None:
        """Send *refusal*: in a frame of its own, or as the end of the stream that has begun."""
        begun = self._announced()
        if begun is not None:
            self.code = refusal.status  # for the log
            self.write(DIALECT.fail(Failed(refusal), begun))
            return
        self.send_error(refuse(self, DIALECT, refusal))  # type: ignore[arg-type]  # as much of a request as it needs

    def send_error(self, body: bytes) -> None:
        """Send the error that :meth:`setResponseCode` and *body*, in the dialect, tell."""
        error = {
            "type": "error",
            "status": self.code,
            "status_code": self.code,
            **jsontext.loads_object(body),
        }
        headers = self._headers_told()
        if headers:
            error["headers"] = headers
        self._send_frame(jsontext.dumps(error))

    def _announced(self) -> Announced | None:
        """How far the client is; None as long as it has no record."""
        if not self._first:
            return None
        answer = jsontext.loads_object(self._first).get("response")
        number = jsontext.loads_object(self._last).get("sequence_number")
        return Announced(
            answer if isinstance(answer, dict) else {}, number + 1 if isinstance(number, int) else 0
        )

    def _tell_notes(self) -> None:
        headers = self._headers_told()
        if headers:
            self._send_frame(jsontext.dumps({"type": _METADATA, "headers": headers}))

    def _headers_told(self) -> dict[str, str]:
        """The headers that say something of this request, rather than of HTTP's answer."""
        return {
            name: value
            for name, value in self.headers.items()
            if name == "retry-after" or name.startswith(_NOTE)
        }

    def _send_frame(self, data: bytes) -> None:
        self.sentLength += len(data)
        self._send(data)


class FrameMemory:
    """A :class:`~chatmock.exchange.Memory` that knows already what was asked, and lets go of it when it is read."""

    def __init__(self, frame: Frame) -> None:
        self._asked = {**{key: value for key, value in frame.items() if key not in _ENVELOPE}, "stream": True}
        self.asks = frame.get("generate") is not False
        """Whether an answer is wanted."""
        self._memory: ResponsesMemory | None = None

    def of(self, memory: ResponsesMemory) -> FrameMemory:
        """Read the frame and keep its answer by *memory*, now that its client is known."""
        self._memory = memory
        return self

    async def read(self, _: bytes) -> ChatRequest:
        """Read the frame."""
        assert self._memory is not None, "its client is known before it is read"
        asked, self._asked = self._asked, {}
        return await self._memory.take(asked, asks=self.asks)

    def keep(self, answer: bytes) -> None:
        """Keep the *answer*."""
        assert self._memory is not None, "it was read"
        self._memory.keep(answer)


async def prepare(desk: Desk, request: FrameRequest, memory: FrameMemory) -> None:
    """Answer a frame with ``"generate": false``: nothing is asked upstream, but the client may go on from its answer, which
    is empty. Codex sends its instructions and tools so, with an empty conversation, before it has a question.

    :raises Refusal: where the request would be refused before it is asked upstream.
    """
    chat, notes = desk.limits.apply(await memory.read(b""))
    set_notes(request, notes)  # type: ignore[arg-type]  # as much of a request as it needs
    provider = query_argument(request, b"provider")  # type: ignore[arg-type]  # as much of a request as it needs
    to = await desk.router.route(chat.model, chat.otherwise, provider, request.client.key)
    chat = attrs.evolve(chat, model=to.model, asked_model=to.asked, details=to.details)
    encoder = DIALECT.encoder(chat, new_identity())
    records = encoder.encode([Opened(), Finished(("stop",))])
    if encoder.answer is not None:
        memory.keep(encoder.answer)
    request.write(records)
