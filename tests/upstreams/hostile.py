"""A fake upstream that breaks every rule, each fault by name, byte for byte over TCP or TLS (spec security.md, 4).

The model that is asked for names the fault, and after a dot the moment: ``cut_mid.first`` before the first delta of the
answer, ``cut_mid.later`` after it. So requests with different faults can be under way at the same time. What comes later
waits until whoever asks says that the first delta has arrived.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

from tests.chunks import DONE, chunk, completion, usage

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "
SSE = b"text/event-stream"
JSON = b"application/json"
SAID = "before the fault"
"""The text of the delta that comes before a fault."""
COOKIE = b"tracking=you"
PAGE = b"<html><body>Please log in to the network.</body></html>"


@cache
def _bomb() -> bytes:
    """64 MiB of text, compressed."""
    packer = zlib.compressobj(wbits=31)
    piece = b"x" * 65536
    return b"".join([*(packer.compress(piece) for _ in range(1024)), packer.flush()])


@attrs.define
class Talk:
    """One request, and the means to answer it in any way."""

    wire: Wire
    name: str
    later: bool
    """Whether the fault comes after the first delta."""
    stream: bool
    key: str
    """What the request was authorised with."""
    _held: list[Callable[[], None]] | None = None

    def _do(self, step: Callable[[], None]) -> None:
        """Take *step* now, or when what comes later is let go."""
        if self._held is None:
            step()
        else:
            self._held.append(step)

    def hold(self) -> None:
        """All that comes from here on waits until the first delta has arrived."""
        self._held = []
        self.wire.server.held[self.wire.model] = self

    def let_go(self) -> None:
        """The first delta has arrived."""
        steps, self._held = self._held, None
        for step in steps or ():
            if self.wire in self.wire.server.open:
                step()

    @property
    def kind(self) -> bytes:
        """The right content type."""
        return SSE if self.stream else JSON

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._do(lambda: self.wire.transport.write(data))

    def close(self) -> None:
        """Close politely once everything is sent."""
        self._do(self.wire.transport.loseConnection)

    def reset(self) -> None:
        """Close with a RST."""
        self._do(self.wire.transport.abortConnection)

    def endless(self, piece: bytes) -> None:
        """Send *piece* again and again, as fast as it is taken, for as long as the connection is there."""
        self._do(lambda: self.wire.transport.registerProducer(_Endless(self.wire, piece), False))

    def chunked(self, *fields: bytes) -> None:
        """The head of a good answer in chunks; then, where the fault comes later, what comes before it."""
        self.write(HEAD + self.kind + b"\r\nTransfer-Encoding: chunked\r\n")
        self.write(b"".join(field + b"\r\n" for field in fields) + b"\r\n")
        if self.later:
            self.piece(self.opening)
            self.hold()

    def piece(self, data: bytes) -> None:
        """One chunk."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def sized(self, status: bytes, kind: bytes, body: bytes, *fields: bytes) -> None:
        """A whole answer with its length."""
        lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *fields]
        self.write(b"\r\n".join([*lines, b"", b""]) + body)

    def end(self) -> None:
        """The last chunk."""
        self.write(b"0\r\n\r\n")

    @property
    def opening(self) -> bytes:
        """The first delta with text."""
        return chunk({"role": "assistant", "content": ""}) + chunk({"content": SAID})

    @property
    def closing(self) -> bytes:
        """All that makes an answer complete."""
        return chunk({"role": "assistant", "content": " end"}, finish="stop") + usage() + DONE

    @property
    def whole(self) -> bytes:
        """A good answer that is no stream."""
        return json.dumps(completion()).encode()


@implementer(IPullProducer)
class _Endless:
    def __init__(self, wire: Wire, piece: bytes) -> None:
        self._wire = wire
        self._piece = piece

    def resumeProducing(self) -> None:
        self._wire.server.sent += len(self._piece)
        self._wire.transport.write(self._piece)

    def stopProducing(self) -> None:
        self._wire.transport.unregisterProducer()


class Wire(Protocol):
    """One connection from the daemon."""

    transport: Any

    def __init__(self, server: HostileServer) -> None:
        self.server = server
        self.model = ""
        self._received = b""

    def connectionMade(self) -> None:
        self.server.connections += 1
        self.server.open.add(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.server.open.discard(self)
        self.server.held.pop(self.model, None)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        while (parted := _request(self._received)) is not None:
            head, body, self._received = parted
            self.server.asked.append((head, body))
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET") and self.server.moved:
            where = self.server.elsewhere.encode()
            self.transport.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % where)
            return
        if head.startswith(b"GET"):
            self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        asked = json.loads(body)
        self.model = asked["model"]
        name, moment = ("fine", "first") if self.server.anything else self.model.split(".")[:2]
        key = next(
            (line[22:] for line in head.split(b"\r\n") if line.lower().startswith(b"authorization:")), b""
        )
        talk = Talk(self, name, moment == "later", bool(asked.get("stream")), key.decode())
        FAULTS[name](talk)


def _request(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head and body of the first request in *data*, and the rest; None while it is not complete."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    lengths = [
        line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    ]
    length = int(lengths[0]) if lengths else 0
    return (head, rest[:length], rest[length:]) if len(rest) >= length else None


class HostileServer:
    """The fake.

    :param certificate: what it shows; None for plain TCP.
    """

    def __init__(self, reactor: Any, certificate: CertificateOptions | None = None) -> None:
        self._reactor = reactor
        self._certificate = certificate
        self.asked: list[tuple[bytes, bytes]] = []
        """Head and body of every request."""
        self.connections = 0
        self.open: set[Wire] = set()
        self.held: dict[str, Talk] = {}
        """By the model that was asked for: what waits for its first delta to arrive."""
        self.moved = False
        """Whether the list of models is said to be elsewhere."""
        self.anything = False
        """Whether every model is fine."""
        self.elsewhere = ""
        """Where redirects point to."""
        self.sent = 0
        """Bytes of what has no end that were handed to the sockets."""
        self.port: Any = None

    def listen(self) -> None:
        """Open the port, on the loopback."""
        factory = Factory.forProtocol(lambda: Wire(self))
        factory.noisy = False
        if self._certificate is None:
            self.port = self._reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self.port = self._reactor.listenSSL(0, factory, self._certificate, interface="127.0.0.1")

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://localhost:{self.port.getHost().port}/v1"

    @property
    def chats(self) -> list[bytes]:
        """The heads of the requests for an answer."""
        return [head for head, _ in self.asked if head.startswith(b"POST")]

    def let_go(self, model: str) -> None:
        """The first delta of the answer that *model* was asked for has arrived."""
        talk = self.held.pop(model, None)
        if talk is not None:
            talk.let_go()


Play = Callable[[Talk], None]
FAULTS: dict[str, Play] = {}
"""Every fault by its name; each plays from the complete request on."""


def _fault(play: Play) -> Play:
    FAULTS[play.__name__.removeprefix("_")] = play
    return play


# Before there is a head.


@_fault
def _close_at_once(talk: Talk) -> None:
    talk.close()


@_fault
def _reset_at_once(talk: Talk) -> None:
    talk.reset()


@_fault
def _never_answer(talk: Talk) -> None:
    pass


@_fault
def _half_header(talk: Talk) -> None:
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Ty")


@_fault
def _half_header_cut(talk: Talk) -> None:
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    talk.close()


@_fault
def _garbage_status(talk: Talk) -> None:
    talk.write(b"\x00\xff lorem ipsum 200\r\n\r\n")


@_fault
def _endless_headers(talk: Talk) -> None:
    talk.write(b"HTTP/1.1 200 OK\r\n")
    talk.endless(b"X-More: yes\r\n" * 1000)


@_fault
def _endless_continue(talk: Talk) -> None:
    talk.endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


@_fault
def _huge_header(talk: Talk) -> None:
    talk.write(b"HTTP/1.1 200 OK\r\nX-Huge: ")
    talk.endless(b"x" * 16384)


@_fault
def _cl_te(talk: Talk) -> None:
    talk.write(HEAD + talk.kind + b"\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


# A head that is no success.


def _status(line: bytes, *fields: bytes, code: str | None = None) -> Play:
    def play(talk: Talk) -> None:
        told = f"It is so. The key was {talk.key}."
        error = {"message": told, "type": "t", "param": None, "code": code}
        talk.sized(line, JSON, json.dumps({"error": error}).encode(), *fields)

    return play


def _redirect(line: bytes) -> Play:
    def play(talk: Talk) -> None:
        talk.sized(line, b"text/html", PAGE, b"Location: " + talk.wire.server.elsewhere.encode())

    return play


def _page(line: bytes) -> Play:
    return lambda talk: talk.sized(line, b"text/html", PAGE)


FAULTS["status_400"] = _status(b"400 Bad Request")
FAULTS["status_401"] = _status(b"401 Unauthorized")
FAULTS["status_403"] = _status(b"403 Forbidden")
FAULTS["status_404"] = _status(b"404 Not Found")
FAULTS["status_429"] = _status(b"429 Too Many Requests")
FAULTS["status_429_sane"] = _status(b"429 Too Many Requests", b"Retry-After: 17")
FAULTS["status_429_insane"] = _status(b"429 Too Many Requests", b"Retry-After: 99999999999999999999999")
FAULTS["status_429_negative"] = _status(b"429 Too Many Requests", b"Retry-After: -5")
FAULTS["status_500"] = _status(b"500 Internal Server Error")
FAULTS["status_503"] = _status(b"503 Service Unavailable")
FAULTS["redirect_302"] = _redirect(b"302 Found")
FAULTS["redirect_303"] = _redirect(b"303 See Other")
FAULTS["redirect_307"] = _redirect(b"307 Temporary Redirect")
FAULTS["page_200"] = _page(b"200 OK")
FAULTS["page_400"] = _page(b"400 Bad Request")
FAULTS["page_401"] = _page(b"401 Unauthorized")
FAULTS["page_403"] = _page(b"403 Forbidden")
FAULTS["page_404"] = _page(b"404 Not Found")
FAULTS["page_500"] = _page(b"500 Internal Server Error")


@_fault
def _wrong_type(talk: Talk) -> None:
    talk.sized(b"200 OK", b"text/plain", b"Everything is fine.")


@_fault
def _endless_error(talk: Talk) -> None:
    talk.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n")
    talk.endless(b'{"error": ' * 1000)


@_fault
def _gzip_bomb(talk: Talk) -> None:
    talk.sized(b"200 OK", talk.kind, _bomb(), b"Content-Encoding: gzip")


# A body that ends where it should not.


@_fault
def _cut_mid(talk: Talk) -> None:
    talk.chunked()
    talk.piece(b'data: {"id' if talk.stream else talk.whole[:40])
    talk.close()


@_fault
def _reset_mid(talk: Talk) -> None:
    talk.chunked()
    talk.piece(b'data: {"id' if talk.stream else talk.whole[:40])
    talk.reset()


@_fault
def _bad_chunk(talk: Talk) -> None:
    talk.chunked()
    talk.write(b"-5\r\nhello\r\n")


@_fault
def _endless_chunk_line(talk: Talk) -> None:
    talk.chunked()
    talk.write(b"5;")
    talk.endless(b"a" * 4096)


@_fault
def _no_finish(talk: Talk) -> None:
    """The HTTP is complete, the answer is not."""
    talk.chunked()
    talk.piece(b": hello\n\n" if talk.stream else talk.whole[:40])
    talk.end()


@_fault
def _empty(talk: Talk) -> None:
    talk.chunked()
    talk.end()


@_fault
def _until_close(talk: Talk) -> None:
    """A body that ends with the connection, in the middle."""
    talk.write(HEAD + talk.kind + b"\r\n\r\n")
    _half(talk)
    talk.close()


@_fault
def _short_body(talk: Talk) -> None:
    talk.write(HEAD + talk.kind + b"\r\nContent-Length: 100000\r\n\r\n")
    _half(talk)
    talk.close()


def _half(talk: Talk) -> None:
    talk.write((talk.opening if talk.later else b": hello\n\n") if talk.stream else talk.whole[:40])
    if talk.later:
        talk.hold()


@_fault
def _stall_mid(talk: Talk) -> None:
    talk.chunked()
    talk.piece(b'data: {"id' if talk.stream else talk.whole[:40])


@_fault
def _stall_at_head(talk: Talk) -> None:
    talk.chunked()


# A body without end.


@_fault
def _endless_text(talk: Talk) -> None:
    talk.chunked()
    text = b"x" * 60_000
    if not talk.stream:
        talk.piece(b'{"choices":[{"message":{"content":"')
    _endless_pieces(talk, chunk({"content": text.decode()}) if talk.stream else text)


@_fault
def _endless_line(talk: Talk) -> None:
    talk.chunked()
    talk.piece(b"data: " if talk.stream else b'{"')
    _endless_pieces(talk, b"y" * 60_000)


@_fault
def _endless_comments(talk: Talk) -> None:
    talk.chunked()
    _endless_pieces(talk, (b": " + b"c" * 20_000 + b"\n\n") * 3 if talk.stream else b" " * 60_000)


@_fault
def _endless_silent_records(talk: Talk) -> None:
    """Records that say nothing, one after the other."""
    talk.chunked()
    _endless_pieces(
        talk, b'data: {"choices":[],"x":"%b"}\n\n' % (b"x" * 60_000) if talk.stream else b"\n" * 60_000
    )


def _endless_pieces(talk: Talk, data: bytes) -> None:
    talk.endless(b"%x\r\n%b\r\n" % (len(data), data))


# Records that are none.


def _record(stream: bytes, whole: bytes) -> Play:
    """A record in a stream that else is good, or a whole answer."""

    def play(talk: Talk) -> None:
        if not talk.stream:
            talk.sized(b"200 OK", JSON, whole)
            return
        talk.chunked()
        talk.piece(stream)
        talk.piece(talk.closing)
        talk.end()

    return play


def _both(record: bytes) -> Play:
    """The same as a record and as a whole answer."""
    return _record(b"data: " + record + b"\n\n", record)


def _spoiled(*, text: bytes = b'"x"', more: bytes = b"", choice: bytes = b"") -> Play:
    """JSON for the text of a good record or answer, and more fields at its top and in its choice."""
    record = b'{"id":"chatcmpl-1","created":1700000000,"model":"m","object":"chat.completion.chunk"%b,"choices":[{"index":0,"%b":{"content":%b},"finish_reason":%b%b}]}'
    return _record(
        b"data: " + record % (more, b"delta", text, b"null", choice) + b"\n\n",
        record % (more, b"message", text, b'"stop"', choice),
    )


FAULTS["bad_json"] = _both(b'{"id":"c","choices":[{"index":0,"delta":{"content":"x"}')
FAULTS["not_json"] = _both(b"Segmentation fault (core dumped)")
FAULTS["bad_utf8"] = _spoiled(text=b'"a\xff\xc0\xaf\xed\xa0\x80b"')
FAULTS["bad_utf8_elsewhere"] = _spoiled(more=b',"system_fingerprint":"\xff\xfe"')
FAULTS["lone_surrogate"] = _spoiled(text=b'"a\\ud800b"')
FAULTS["lone_surrogate_elsewhere"] = _spoiled(more=b',"system_fingerprint":"a\\udc00b"')
FAULTS["not_a_number"] = _spoiled(more=b',"score":NaN')
FAULTS["bad_logprobs"] = _spoiled(choice=b',"logprobs":{"content":[{"token":1e999}]}')
FAULTS["bad_logprobs_type"] = _spoiled(choice=b',"logprobs":{"content":7}')
FAULTS["large_number"] = _spoiled(more=b',"score":1e999')
FAULTS["long_number"] = _spoiled(more=b',"score":' + b"9" * 5000)
FAULTS["deep_json"] = _spoiled(text=b"[" * 100_000 + b"]" * 100_000)
FAULTS["deep_json_elsewhere"] = _spoiled(more=b',"extra":' + b"[" * 2000 + b"]" * 2000)
FAULTS["line_breaks"] = _spoiled(text=b'"x\\ndata: {\\"error\\": 1}\\n\\nevent: error\\n\\n"')
FAULTS["wrong_top"] = _both(b"[1, 2]")
FAULTS["wrong_choices"] = _both(b'{"id":"c","choices":{"0":"x"}}')
FAULTS["wrong_choice"] = _both(b'{"id":"c","choices":["x"]}')
FAULTS["wrong_message"] = _both(b'{"id":"c","choices":[{"index":0,"message":5,"delta":5}]}')
FAULTS["wrong_text"] = _spoiled(text=b"5")
FAULTS["wrong_calls"] = _both(
    b'{"id":"c","choices":[{"index":0,"message":{"tool_calls":5},"delta":{"tool_calls":5}}]}'
)
FAULTS["wrong_call"] = _both(
    b'{"id":"c","choices":[{"index":0,"message":{"tool_calls":[5]},"delta":{"tool_calls":[5]}}]}'
)
FAULTS["wrong_finish"] = _both(
    b'{"id":"c","choices":[{"index":0,"message":{"content":"x"},"delta":{"content":"x"},"finish_reason":[7]}]}'
)
FAULTS["wrong_index"] = _both(
    b'{"id":"c","choices":[{"index":-4000000000,"message":{"content":"x"},"delta":{"content":"x"},"finish_reason":"stop"}]}'
)
FAULTS["wrong_usage"] = _spoiled(more=b',"usage":{"prompt_tokens":"many","completion_tokens":[]}')
FAULTS["wrong_usage_type"] = _spoiled(more=b',"usage":7')
FAULTS["wrong_head"] = _both(
    b'{"id":{},"created":"now","model":[],"object":7,"choices":[{"index":0,"message":{"content":"x"},"delta":{"content":"x"},"finish_reason":"stop"}]}'
)


@_fault
def _error_record(talk: Talk) -> None:
    error = json.dumps({"error": {"message": f"It broke. The key was {talk.key}.", "code": 500}}).encode()
    _both(error)(talk)


@_fault
def _error_event(talk: Talk) -> None:
    error = json.dumps({"message": f"It broke. The key was {talk.key}."}).encode()
    _record(b"event: error\ndata: " + error + b"\n\n", b'{"error":' + error + b"}")(talk)


# More than there should be.


def _complete(talk: Talk) -> bytes:
    return (b"" if talk.later else talk.opening) + talk.closing if talk.stream else talk.whole


@_fault
def _fine(talk: Talk) -> None:
    """Nothing is wrong."""
    talk.chunked()
    talk.piece(_complete(talk))
    talk.end()


@_fault
def _set_cookie(talk: Talk) -> None:
    talk.chunked(b"Set-Cookie: " + COOKIE + b"; Path=/")
    talk.piece(_complete(talk))
    talk.end()


@_fault
def _data_after_end(talk: Talk) -> None:
    """More records behind the last, more bytes behind a whole answer."""
    talk.chunked()
    talk.piece(_complete(talk))
    if talk.stream:
        talk.piece(chunk({"content": "ghost"}) + DONE)
    talk.end()
    talk.write(b"ghost" * 100)


@_fault
def _data_after_length(talk: Talk) -> None:
    body = talk.opening + talk.closing if talk.stream else talk.whole
    talk.sized(b"200 OK", talk.kind, body)
    talk.write(b"ghost" * 100)


@_fault
def _second_response(talk: Talk) -> None:
    talk.chunked()
    talk.piece(_complete(talk))
    talk.end()
    talk.sized(b"200 OK", JSON, b'{"ghost": true}')


@_fault
def _endless_after_end(talk: Talk) -> None:
    talk.chunked()
    talk.piece(_complete(talk))
    if not talk.stream:
        talk.end()
        talk.endless(b"ghost" * 1000)
    else:
        _endless_pieces(talk, chunk({"content": "ghost"}) * 20)
