"""A daemon with a canary in the place of every secret, and everything that can go wrong: none is found anywhere, whole or
in part (spec security.md, P40-P44)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import PREFIX
from chatmock.keys.store import KeyStore
from tests.conftest import write_login
from tests.keys.making import entry_of
from tests.security.leaks import leaked
from tests.test_starting import ROOT, SECONDS, environment
from tests.upstreams.hostile import HostileServer
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.playing_site import Asked, PlayingSite, Reply

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc as it is read here")


def chance(name: str) -> bytes:
    """Bytes that look like chance."""
    return hashlib.sha256(name.encode()).digest()


def canary(name: str, prefix: str = "") -> str:
    """A secret of 43 characters, and its prefix."""
    return prefix + base64.urlsafe_b64encode(chance(name)).decode().rstrip("=")


def token(name: str) -> str:
    """Like a JSON Web Token."""
    parts = ({"alg": "HS256"}, {"id": chance(name).hex(), "exp": 4_000_000_000})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    ) + ("." + canary(name))


ACCESS = canary("access")
NAMED = canary("named", PREFIX)
WRONG = canary("wrong")
KEYS = {
    "XAI_API_KEY": canary("xai", "xai-"),
    "OPENROUTER_API_KEY": "sk-or-v1-" + chance("openrouter").hex(),
    "DASHSCOPE_API_KEY": "sk-" + chance("dashscope").hex(),
    "CHATMOCK_COMPATIBLE_API_KEY": "swordfish-and-other-words-of-the-owner",
    "QWEN_AUTH_TOKEN": token("qwen"),
    "QWEN_COOKIES": f"cna={canary('cookie')}; token={token('qwen')}; acw_tc={chance('tc').hex()}",
    "QWEN_HEADERS": json.dumps({"bx-ua": canary("header")}),
    "CHATMOCK_ACCESS_TOKEN": ACCESS,
}
PROMPT = "Zebras quarrel over 17 violet marzipan anvils; my sister's diagnosis is gout."
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + chance("picture") * 3).decode()
COOKIE = canary("client cookie")
SAID = {"prompt": PROMPT.encode(), "picture": PICTURE.encode()[16:], "client's cookie": COOKIE.encode()}
"""What a client says: nothing of it stays, but it may be told to the client itself."""
VARIANTS = ("plain", "bearer", "quoted", "code", "param", "raw", "page", "stream", "event", "headers")
STATUSES = {"400": VARIANTS, "403": VARIANTS, "404": ("plain", "code"), "429": ("plain",), "500": ("bearer", "code"), "401": VARIANTS}  # fmt: skip
MODELS = [f"echo-{status}-{variant}" for status, variants in STATUSES.items() for variant in variants]
_ECHO = re.compile(rb"echo-(\d+)-(\w+)")
HOSTILE = [
    "close_at_once",
    "half_header_cut",
    "garbage_status",
    "status_400",
    "status_401",
    "status_403",
    "status_404",
    "status_429_sane",
    "status_500",
    "redirect_302",
    "redirect_307",
    "page_200",
    "page_401",
    "wrong_type",
    "cut_mid",
    "bad_chunk",
    "no_finish",
    "until_close",
    "short_body",
    "stall_mid",
    "bad_json",
    "not_json",
    "bad_utf8",
    "wrong_choices",
    "wrong_text",
    "error_record",
    "error_event",
    "set_cookie",
    "data_after_end",
    "fine",
]
FAULTS = ("KeyError", "ValueError", "TypeError", "RuntimeError", "unhandled", "decoder")
"""Faults of our own, that say all they know."""

BOOT = """
import gc
import sys
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import log as older
from chatmock import exchange, service

route, made = exchange.Exchange._route, service.make_service

async def faulty(self):
    chat, request = self._chat, self._request
    if not chat.model.startswith("fault-"):
        return await route(self)
    headers = list(request.requestHeaders.getAllRawHeaders())
    Logger().debug("{chat!r} {request!r} {request} {desk!r}", chat=chat, request=request, desk=self._desk)
    said = f"{[list(message.texts()) for message in chat.messages]} {chat.source.body} {headers} {request.uri}"
    kind = chat.model[len("fault-"):]
    if kind == "unhandled":
        unhandled = Deferred()
        unhandled.addCallback(lambda _: {}[said])
        unhandled.callback(None)
        del unhandled
        gc.collect()
        try:
            {}[said]
        except KeyError:
            older.err(None, "as Klein does")
        kind = "KeyError"
    raise {"KeyError": KeyError, "ValueError": ValueError, "TypeError": TypeError, "RuntimeError": RuntimeError}[kind](said)

def make(settings, *more):
    Logger().debug("{settings!r} {settings}", settings=settings)
    return made(settings, *more)

exchange.Exchange._route = faulty
service.make_service = make

from chatmock.providers.openai_compatible import OpenAICompatible

passage = OpenAICompatible.passage

class Broken:
    outcome = usage = answer = None
    records = 0
    folds = False

    def __init__(self, chat):
        self.said = chat.source.body

    def feed(self, data):
        raise ValueError(f"{data} is no answer to {self.said}")

    whole = feed

OpenAICompatible.passage = lambda self, chat, identity: (
    Broken(chat) if chat.source.body.get("user") == "decoder" else passage(self, chat, identity))

if sys.argv[1] == "serve":
    from chatmock.cli import main
    sys.exit(main(sys.argv[1:]))
else:
    from twisted.scripts.twistd import run
    run()
"""


class Echo(PlayingSite):
    """An upstream that refuses, and tells everybody what it was sent: as the model's name says."""

    def read(self, asked: Asked) -> Any:
        return None

    def respond(self, asked: Asked) -> Reply:
        sent = asked.headers.get("authorization", "").removeprefix("Bearer ")
        more = " ".join(value for name, value in asked.headers.items() if name in ("cookie", "bx-ua"))
        named = _ECHO.search(asked.content)
        status, variant = (int(named[1]), named[2].decode()) if named else (500, "plain")
        said = asked.content.decode("utf-8", "replace")
        told = {
            "plain": f"I got {sent} {more} and {said}",
            "bearer": f"I got Bearer {sent} {more} and {said}",
            "quoted": f"I got '{sent}', \"{sent}\", key={sent}, {more} and {said}",
            "raw": said,
        }.get(variant, f"refused {sent}")
        error: dict[str, Any] = {"message": told, "type": sent, "code": "no", "param": None}
        if variant in ("code", "param"):
            error[variant] = sent
        if variant == "raw":
            error["metadata"] = {"raw": f"{sent} {said}", "provider_name": sent}
        body, kind = json.dumps({"error": error, "detail": told}).encode(), b"application/json"
        if variant == "page":
            body, kind = f"<html><title>{sent}</title>{more} {said}</html>".encode(), b"text/html"
        if variant == "stream":
            return Reply([b"data: " + body + b"\n\n"])
        if variant == "event":
            return Reply([b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"])
        headers = (
            {b"Set-Cookie": f"k={sent}".encode(), b"X-Request-Id": sent.encode()}
            if variant == "headers"
            else {}
        )
        return Reply([body], status=status, content_type=kind, headers=headers)


@attrs.define
class Upstreams:
    """Those of the daemon, on the test's reactor."""

    echo: Echo
    hostile: HostileServer
    issuer: OpenAIIssuer


@pytest_twisted.async_yield_fixture()
async def upstreams(issuer: OpenAIIssuer) -> AsyncIterator[Upstreams]:
    servers = Upstreams(Echo(reactor), HostileServer(reactor), issuer)
    servers.echo.listen()
    servers.hostile.listen()
    servers.hostile.elsewhere = servers.echo.url
    yield servers
    await servers.echo.port.stopListening()
    await servers.hostile.port.stopListening()


@attrs.define
class Place:
    """A running daemon, and where it keeps and writes things."""

    process: subprocess.Popen[bytes]
    state: Path
    log: Path
    cwd: Path
    secrets: dict[str, bytes]
    answers: list[bytes] = attrs.field(factory=list)

    def ports(self) -> tuple[int, int]:
        """The plain one and that of TLS, once it says so."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            said = self.log.read_text()
            plain, tls = (
                re.search(rf"{scheme}://127\.0\.0\.1:(\d+)/v1", said) for scheme in ("http", "https")
            )
            if plain and tls:
                return int(plain[1]), int(tls[1])
            assert self.process.poll() is None, said
            time.sleep(0.02)
        raise AssertionError(said)

    def ask(self, data: bytes, port: int, tls: bool = False) -> bytes:
        """Send *data*, and read to the end."""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(plain) if tls else plain
            received = b""
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    received += piece
            except (ConnectionError, ssl.SSLError):
                pass
            finally:
                connection.close()
        self.answers.append(received)
        return received


def request(method: str, target: str, *fields: str, body: bytes = b"", key: str | None = ACCESS) -> bytes:
    """A request, with what a client may send besides."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *(() if any(field.startswith("Host") for field in fields) else ("Host: localhost",)),
        "Connection: close",
        f"Cookie: session={COOKIE}",
        f"Referer: http://localhost/?from={COOKIE}",
        f"User-Agent: {COOKIE}",
        f"X-Session-Id: {COOKIE}",
        *(() if key is None else (f"Authorization: Bearer {key}",)),
        *fields,
        *((f"Content-Length: {len(body)}",) if body else ()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chat(
    model: str, provider: str = "", *, stream: bool = False, key: str | None = ACCESS, **more: Any
) -> bytes:
    """A chat with the prompt and the picture."""
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
    ]
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": content}], **more}
    target = f"/v1/chat/completions?provider={provider}&api_key={WRONG}"
    return request("POST", target, "Content-Type: application/json", body=json.dumps(body).encode(), key=key)


def refused() -> Iterable[bytes]:
    """Requests of which none is answered as it wishes."""
    path, body = (
        "/v1/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": PROMPT}]}).encode(),
    )
    for key in (None, WRONG, WRONG + "x", ACCESS[:-1], ACCESS + "x", NAMED[:-1], "é" + WRONG):
        yield request("POST", path, body=body, key=key)
    basic = base64.b64encode(f"user:{WRONG}".encode()).decode()
    for field in (f"Authorization: Basic {basic}", f"x-api-key: {WRONG}", f"Authorization: {WRONG}"):
        yield request("GET", f"/v1/models?key={WRONG}", field, key=None)
    yield request("GET", "/v1/models", f"Authorization: Bearer {ACCESS}")  # twice
    yield request("GET", "/v1/models", f"Host: {WRONG}.example.com")
    yield request("GET", "/v1/models", f"Origin: https://{WRONG.lower()}.example.com")
    yield request("GET", f"/v1/%ff{'x' * 10}?key={WRONG}")
    yield request("GET", f"/nowhere?key={WRONG}&prompt={PICTURE}")
    yield request("TRACE", f"/v1/models?key={WRONG}")
    yield request("POST", path, "Content-Encoding: gzip", body=body)
    yield request("POST", path, "Transfer-Encoding: chunked", f"X-Key: {WRONG}") + b"nonsense\r\n" + body
    yield request("GET", "/v1/models", f"X-Key: {WRONG}\x00")
    yield request("GET", "/v1/models", f"X Key: {WRONG}")
    yield request("GET", "/v1/models", f"X-Key: {WRONG * 1000}")
    yield f"GET / HTTP/9.9\r\nX-Key: {WRONG}\r\n\r\n".encode()
    yield f"{WRONG} {PROMPT}\r\n\r\n".encode()
    for spoiled in (
        body[:-2],
        body[:-1] + b',"x":NaN}',
        body[:-1] + b',"messages":1}',
        b"\xff" + body,
        b"[" * 100 + body,
    ):
        yield request("POST", path, body=spoiled)
    for messages in (
        [{"role": PROMPT, "content": PROMPT}],
        [{"role": "user", "content": PROMPT * 400}],
        PROMPT,
        [PROMPT],
    ):
        yield request("POST", path, body=json.dumps({"model": "m", "messages": messages}).encode())
    for fields in (
        {"temperature": PROMPT},
        {"tools": [PROMPT]},
        {"response_format": PROMPT},
        {"stop": [5, PROMPT]},
    ):
        yield chat("m", "compatible", **fields)
    yield chat("m", PROMPT.partition(" ")[0])
    yield chat("no-such-model", "demo")
    yield request("POST", path, body=PROMPT.encode() * 600_000)
    for target in (
        "/v1/models",
        "/v1/usage",
        "/api/queue",
        "/readyz",
        "/health",
        "/metrics",
        "/ca",
        "/openapi.json",
    ):
        yield request("GET", target)
        yield request("GET", target, key=None)
        yield request("GET", target, key=NAMED)
    yield request("POST", "/api/providers/grok/heal")


def asked() -> Iterable[bytes]:
    """Requests that come to an upstream which refuses, or does worse."""
    for provider in ("grok", "openrouter", "dashscope", "qwen", "chatgpt"):
        for model in MODELS:
            yield chat(model, provider, stream=model.endswith(("n", "d", "m")))
    for fault in HOSTILE:
        for moment, stream in (("first", False), ("first", True), ("later", True)):
            yield chat(f"{fault}.{moment}", "compatible", stream=stream)


def faults() -> Iterable[bytes]:
    """Requests that come to a fault of ours, after one that shows the upstream to be well."""
    for stream in (False, True):
        for fault in FAULTS:
            model = "fine.first" if fault == "decoder" else f"fault-{fault}"
            yield chat("fine.first", "compatible", stream=stream)
            yield chat(model, "compatible", stream=stream, user=fault)


def start(upstreams: Upstreams, place: Path, *command: str) -> Place:
    """Start a daemon with every secret there is."""
    state, cwd, given = place / "state", place / "cwd", place / "given"
    for folder in (state, cwd, given):
        folder.mkdir(mode=0o700)
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    (given / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (given / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (given / "key.pem").chmod(0o600)
    login = upstreams.issuer.issue()
    write_login(state / "auth.json", login)
    KeyStore(state / KEYS_FILE).add(entry_of("laptop", NAMED.encode()))
    upstreams.issuer.refuse("invalid_grant")
    echo = upstreams.echo.url
    variables = {
        **KEYS,
        "CHATMOCK_PROVIDER": "compatible",
        "CHATMOCK_COMPATIBLE_BASE_URL": upstreams.hostile.url,
        **{
            f"CHATMOCK_{name}_BASE_URL": echo
            for name in ("GROK", "OPENROUTER", "DASHSCOPE", "QWEN", "CHATGPT")
        },
        **{
            f"CHATMOCK_{name}_MODELS": ",".join(MODELS)
            for name in ("GROK", "OPENROUTER", "DASHSCOPE", "QWEN", "CHATGPT")
        },
        "CHATGPT_LOCAL_ISSUER": upstreams.issuer.url,
        "CHATGPT_LOCAL_HOME": str(state),
        "CHATMOCK_TLS_CERT": str(given / "chain.pem"),
        "CHATMOCK_TLS_KEY": str(given / "key.pem"),
        "CHATMOCK_TLS_PORT": "0",
        "CHATMOCK_PORT": "0",
        "CHATMOCK_REQUIRE_AUTH": "1",
        "CHATMOCK_LOG_LEVEL": "debug",
        "VERBOSE": "1",
        "CHATMOCK_RATE_LIMIT_RPS": "100000",
        "CHATMOCK_RATE_LIMIT_BURST": "100000",
        "CHATMOCK_MAX_CONCURRENCY": "16",
        "CHATMOCK_MAX_COOLDOWN": "0.001",
        "CHATMOCK_IDLE_TIMEOUT": "0.5",
        "CHATMOCK_FIRST_BYTE_TIMEOUT": "2",
        "HOME": str(place),
    }
    log = place / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", BOOT, *command],
            cwd=cwd,
            env=environment(PYTHONPATH=str(ROOT), **variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    secrets = {
        **{name: value.encode() for name, value in KEYS.items() if name != "QWEN_HEADERS"},
        "QWEN_HEADERS": canary("header").encode(),
        "named key": NAMED.encode(),
        "wrong key": WRONG.encode(),
        "TLS key": b"".join(issued.private_key_pem.bytes().splitlines()[1:-1])[40:],
        **{name: value.encode()[24:] for name, value in login.items() if name.endswith("token")},
    }
    return Place(process, state, log, cwd, secrets)


def provoke(place: Place) -> None:
    """Ask everything, over both ports, and end it while it answers."""
    plain, tls = place.ports()
    with ThreadPoolExecutor(12) as pool:
        for wave in (asked(), refused()):
            asks = [
                pool.submit(place.ask, data, tls if n % 2 else plain, bool(n % 2))
                for n, data in enumerate(wave)
            ]
            for each in asks:
                each.result()
        for data in faults():
            place.ask(data, plain)
        last = [
            pool.submit(place.ask, chat("stall_mid.later", "compatible", stream=True), plain)
            for _ in range(4)
        ]
        time.sleep(0.2)
        place.process.send_signal(signal.SIGTERM)
        for each in last:
            each.result()


def proc(process: subprocess.Popen[bytes]) -> Mapping[str, bytes]:
    """What the system shows of the process."""
    folder = Path(f"/proc/{process.pid}")
    return {name: (folder / name).read_bytes() for name in ("cmdline", "environ", "comm", "status", "maps")}


@LINUX
@pytest.mark.parametrize("command", [("serve",), ("-n", "--pidfile=", "chatmock")], ids=["serve", "twistd"])
async def test_no_canary_is_found(upstreams: Upstreams, tmp_path: Path, command: tuple[str, ...]) -> None:
    place = start(upstreams, tmp_path, *command)
    try:
        await deferToThread(place.ports)
        shown = proc(place.process) if os.geteuid() == 0 else {}
        await deferToThread(provoke, place)
        await deferToThread(place.process.wait, SECONDS)
    finally:
        place.process.kill()
        place.process.wait()
    log = place.log.read_bytes()
    everything = {**place.secrets, **SAID}
    found = {"log": leaked(log, everything)}
    found |= {name: leaked(content, everything) for name, content in shown.items()}
    found["answers"] = leaked(b"\n".join(place.answers), place.secrets)
    for path in sorted([*place.state.rglob("*"), *place.cwd.rglob("*")]):
        if path.is_file() and path.name != "auth.json":
            found[path.name] = leaked(path.read_bytes(), everything)
    assert {where: what for where, what in found.items() if what} == {}

    # It did happen: the faults are in the log, the upstreams were asked with the secrets, and told of them.
    assert log.count(b"a request failed for a fault of chatmock") == 2 * (len(FAULTS) - 1)
    assert log.count(b"as Klein does") == log.count(b"Unhandled error in Deferred") == 2
    assert log.count(b"an answer could not be translated") == 2
    assert log.count(b"its message is withheld") == 2 * (len(FAULTS) + 2), "there are no other faults"
    assert KEYS_FILE in [path.name for path in place.state.iterdir()]
    told = {json.loads(body)["model"].partition(".")[0] for head, body in upstreams.hostile.asked if body}
    assert told >= set(HOSTILE)
    echoed = {
        (each.headers.get("authorization"), bytes(named[0]))
        for each in upstreams.echo.asked
        if (named := _ECHO.search(each.content))
    }
    assert len(echoed) > 2 * len(MODELS)
    sent = b" ".join(str(dict(each.headers)).encode() for each in upstreams.echo.asked)
    reached = {name for name in place.secrets if leaked(sent, {name: place.secrets[name]})}
    assert reached >= {
        "XAI_API_KEY",
        "OPENROUTER_API_KEY",
        "DASHSCOPE_API_KEY",
        "QWEN_AUTH_TOKEN",
        "QWEN_COOKIES",
        "access_token",
    }
    assert len(place.answers) > 300
    assert sum(b"HTTP/1.1 401" in answer for answer in place.answers) > 10
