"""The frames of a Responses WebSocket, and one of them as a request (spec chatgpt.md, 3.9).

A client sends ``{"type": "response.create", …}`` with the fields of a request beside ``type``, and gets the records of the
stream, one a frame. What is refused is ``{"type": "error", "status": 429, "status_code": 429, "error": {…}}``; Codex reads
``status``, others ``status_code``.
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
from chatmock.events import Finished, Opened
from chatmock.exchange import Desk
from chatmock.framing import SSEParser
from chatmock.heads import query_argument, refuse
from chatmock.identities import new_identity
from chatmock.responses_memory import ResponsesMemory
from chatmock.transcoding import WHOLE_ANSWER_LIMIT

CREATE: Final = "response.create"
CANCEL: Final = "response.cancel"
NOTICES: Final = frozenset({"response.processed"})
"""What Codex tells without wanting an answer."""
_ENVELOPE: Final = frozenset({"type", "generate", "stream_id"})
"""Fields of a frame that are none of the request's."""
_DONE: Final = b"[DONE]"

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

    def setResponseCode(self, code: int) -> None:
        """Its answer has this status."""
        self.code = code

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Its answer has this header, as far as frames have any."""
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def write(self, records: bytes) -> None:
        """Send whole records of the stream, each in a frame of its own."""
        for record in self._parser.feed(records):
            if record.data != _DONE:
                self.sentLength += len(record.data)
                self._send(record.data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have *producer* paused while the client takes nothing."""
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """There is nothing to pause any more."""
        self._consumer.unregisterProducer()

    def refuse(self, refusal: Refusal) -> None:
        """Send *refusal*."""
        self.send_error(refuse(self, DIALECT, refusal))  # type: ignore[arg-type]  # as much of a request as it needs

    def send_error(self, body: bytes) -> None:
        """Send the error that :meth:`setResponseCode` and *body*, in the dialect, tell."""
        error = {
            "type": "error",
            "status": self.code,
            "status_code": self.code,
            **jsontext.loads_object(body),
        }
        if "retry-after" in self.headers:
            error["headers"] = {"retry-after": self.headers["retry-after"]}
        data = jsontext.dumps(error)
        self.sentLength += len(data)
        self._send(data)


class FrameMemory:
    """A :class:`~chatmock.exchange.Memory` that knows already what was asked."""

    def __init__(self, memory: ResponsesMemory, frame: Frame) -> None:
        self._memory = memory
        self._asked = {**{key: value for key, value in frame.items() if key not in _ENVELOPE}, "stream": True}
        self._asks = frame.get("generate") is not False

    async def read(self, _: bytes) -> ChatRequest:
        """Read the frame."""
        asked, self._asked = self._asked, {}
        return await self._memory.take(asked, asks=self._asks)

    def keep(self, answer: bytes) -> None:
        """Keep the *answer*."""
        self._memory.keep(answer)


async def prepare(desk: Desk, request: FrameRequest, memory: FrameMemory) -> None:
    """Answer a frame with ``"generate": false``: nothing is asked upstream, but the client may go on from its answer, which
    is empty. Codex sends its instructions and tools so, with an empty conversation, before it has a question.

    :raises Refusal: where the request would be refused before it is asked upstream.
    """
    desk.guard.spend(request.client)
    chat, _ = desk.limits.apply(await memory.read(b""))
    provider = query_argument(request, b"provider")  # type: ignore[arg-type]  # as much of a request as it needs
    to = await desk.router.route(chat.model, chat.otherwise, provider, request.client.key)
    chat = attrs.evolve(chat, model=to.model, asked_model=to.asked, details=to.details)
    encoder = DIALECT.encoder(chat, new_identity())
    records = encoder.encode([Opened(), Finished(("stop",))])
    if encoder.answer is not None:
        memory.keep(encoder.answer)
    request.write(records)
