"""Providers that refuse are left alone, tried again and cleared: the daemon over real sockets, the commands as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
import trustme
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import Entry, digest_of
from chatmock.keys.store import KeyStore
from chatmock.owner_key import owner_key_file
from chatmock.settings import Secret
from tests.chunks import completion, text_stream
from tests.conftest import KEY, Daemon, Start, until, write_login
from tests.test_admitting import http
from tests.test_lifetimes import post
from tests.upstreams.chatgpt_backend import LIMITS, ChatGPTBackend, Script, sse
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply
from tests.upstreams.qwen_server import QwenServer

ROOT = Path(__file__).parents[1]
STALL: Any = [{"role": "user", "content": "demo: stall first"}]
HELLO: Any = [{"role": "user", "content": "Hello"}]
DENIED = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
USED_UP = {
    "type": "usage_limit_reached",
    "message": "The usage limit has been reached",
    "plan_type": "plus",
    "resets_in_seconds": 3 * 86_400,
}


async def ask(daemon: Daemon, model: str = "m", **more: Any) -> Any:
    return await daemon.ask(
        lambda sdk: sdk.chat.completions.create(model=model, messages=HELLO, **more), timeout=20.0
    )


async def refused(daemon: Daemon, model: str = "m") -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(daemon, model)
    return caught.value


def watched(daemon: Daemon, name: str) -> tuple[Any, Clock]:
    """The watch over a provider, and the clock that it has from now on."""
    watch: Any = daemon.service.accounts.by_name[name].watch
    watch._clock = clock = Clock()
    clock.advance(1000)
    return watch, clock


def owner_key_of(daemon: Daemon) -> Path:
    """The file by which the commands are the owner's."""
    return owner_key_file(Path.home() / ".chatgpt-local", int(daemon.url.rpartition(":")[2]))


def give_out_a_key() -> None:
    """Have a named key, as whoever requires one has."""
    folder = Path.home() / ".chatgpt-local"
    folder.mkdir(mode=0o700)
    KeyStore(folder / KEYS_FILE).add(Entry(Key("box"), digest_of(b"sk-box"), created=0.0))


async def readyz(daemon: Daemon) -> tuple[int, Any]:
    answer = await http(daemon, "GET", "/readyz")
    return answer.status, json.loads(answer.body)


async def command(daemon: Daemon, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run ``chatmock`` beside *daemon*."""
    env = {
        "PATH": os.defpath,
        "HOME": os.environ["HOME"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CHATMOCK_PORT": daemon.url.rpartition(":")[2],
        **environ,
    }

    def run() -> tuple[int, str, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "chatmock", *arguments],
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        return ran.returncode, ran.stdout, ran.stderr

    found: tuple[int, str, str] = await deferToThread(run)
    return found


# --- what shuts, and what opens again


async def test_who_would_be_refused_does_not_wait_for_a_permit(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret("wrong")
    )
    first = await refused(daemon)
    stalled = await post(daemon, model="demo/demo", stream=True, messages=STALL)
    await until(lambda: daemon.service.slots.held == 1)
    second = await refused(daemon)
    assert second.code == first.code
    assert "chatmock heal compatible" in second.message
    assert daemon.service.slots.held == 1
    stalled.leave()
    await until(lambda: daemon.service.slots.held == 0)


async def test_a_login_that_is_refused_is_not_shown_again_until_there_is_another(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, login_file: Path
) -> None:
    daemon = start_chatgpt()
    backend.stream(*Script().text("Hi").end())
    honours, backend.honours = backend.honours, lambda token: False
    first = await refused(daemon, "gpt-5.6-sol")
    asked = len(backend.asks())
    second = await refused(daemon, "gpt-5.6-sol")
    assert (second.status_code, second.code) == (first.status_code, first.code) == (401, "login_required")
    assert "chatmock heal chatgpt" in second.message
    assert "chatmock heal" not in first.message
    assert len(backend.asks()) == asked, "nobody is asked meanwhile"
    status, told = await readyz(daemon)
    assert (status, told["status"]) == (503, "degraded")
    assert told["providers"]["chatgpt"]["state"] == "cooling"
    assert told["providers"]["chatgpt"]["reason"] == "login_required"
    assert 0 < told["providers"]["chatgpt"]["until"] <= 60

    backend.honours = honours
    write_login(login_file, issuer.issue())
    watch: Any = daemon.service.accounts.by_name["chatgpt"].watch
    await until(lambda: not watch.conditions())
    assert (await ask(daemon, "gpt-5.6-sol")).choices[0].message.content == "Hi"
    assert (await readyz(daemon))[0] == 200


async def test_a_usage_limit_lasts_until_fresh_headers_tell_of_room(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()

    def answer(asked: Asked) -> Reply:
        if "slow" in json.dumps(asked.body["input"]):
            return Reply([sse(e) for e in Script().text("Hi").end()], headers=LIMITS, before=1.0, pause=0.5)
        return Reply([json.dumps({"error": USED_UP}).encode()], 429, b"application/json")

    backend.answer = answer
    slow = Deferred.fromCoroutine(
        daemon.ask(
            lambda sdk: sdk.chat.completions.create(
                model="gpt-5.6-sol", messages=[{"role": "user", "content": "slow"}]
            )
        )
    )
    await until(lambda: len(backend.asks()) == 1)
    first = await refused(daemon, "gpt-5.6-sol")
    second = await refused(daemon, "gpt-5.4-mini")
    assert (second.status_code, second.code, second.type) == (429, first.code, "usage_limit_reached")
    assert 890 <= int(second.response.headers["retry-after"]) <= 900, "no longer than CHATMOCK_MAX_COOLDOWN"
    assert len(backend.asks()) == 2
    assert daemon.service.accounts.default == "chatgpt", "no other account is spent instead"
    watch: Any = daemon.service.accounts.by_name["chatgpt"].watch
    assert watch.exhausted
    await until(lambda: not watch.conditions())
    assert backend.active == 1, "the headers were enough"
    await slow


async def test_headers_that_tell_of_no_room_clear_nothing(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()
    backend.reply_json({"error": USED_UP}, status=429)
    await refused(daemon, "gpt-5.6-sol")
    account: Any = daemon.service.accounts.by_name["chatgpt"]
    full = {name.decode(): value.decode() for name, value in LIMITS.items()}
    account.observe({**full, "x-codex-secondary-used-percent": "100"})
    account.observe({"content-type": "text/plain"})
    assert account.watch.exhausted
    account.observe(full)
    assert not account.watch.exhausted


async def test_faults_in_a_row_then_one_probe_at_a_time(compatible: Daemon, upstream: OpenAIServer) -> None:
    _, clock = watched(compatible, "compatible")
    upstream.reply_json({"error": {"message": "broken"}}, status=500, headers={b"retry-after": b"0"})
    for _ in range(2):
        assert "chatmock heal" not in (await refused(compatible)).message
    assert len(upstream.chats()) == 6, "each was tried three times, and counts once"
    for _ in range(2):
        shut = await refused(compatible)
        assert (shut.status_code, shut.code) == (502, "upstream_error")
        assert "chatmock heal compatible" in shut.message
        assert len(upstream.chats()) == 7, "once it is shut nothing is tried again"
    upstream.reply_json(completion(), before=0.5)
    await ask(compatible, "another")

    clock.advance(5)
    probe = Deferred.fromCoroutine(ask(compatible))
    await until(lambda: len(upstream.chats()) == 9)
    assert "chatmock heal" in (await refused(compatible)).message
    assert len(upstream.chats()) == 9
    assert (await probe).choices
    assert (await ask(compatible)).choices
    assert (await readyz(compatible))[1]["status"] == "ok"


async def test_a_probe_whose_client_leaves_makes_room_for_the_next(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    from tests.test_lifetimes import post

    _, clock = watched(compatible, "compatible")
    upstream.reply_json(DENIED, status=401)
    await refused(compatible)
    clock.advance(60)
    upstream.reply([], before=60)
    client = await post(compatible, stream=True)
    await until(lambda: len(upstream.chats()) == 2)
    client.leave()
    await until(lambda: upstream.active == 0 and compatible.service.slots.held == 0)
    upstream.reply_json(completion())
    assert (await ask(compatible)).choices


async def test_one_models_limit_silences_no_other(compatible: Daemon, upstream: OpenAIServer) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.body["model"] == "m":
            return Reply([b"{}"], 429, b"application/json", {b"retry-after": b"50"})
        return Reply([json.dumps(completion()).encode()], content_type=b"application/json")

    upstream.answer = answer
    await refused(compatible)
    shut = await refused(compatible)
    assert len(upstream.chats()) == 1
    assert 1 <= int(shut.response.headers["retry-after"]) <= 50
    assert (await ask(compatible, "n")).choices
    status, told = await readyz(compatible)
    assert (status, told["status"]) == (200, "degraded")
    assert told["providers"]["compatible"]["state"] == "ok"
    assert told["providers"]["compatible"]["models"]["m"]["state"] == "cooling"


@pytest.mark.parametrize("status", [400, 404, 413])
async def test_what_is_the_clients_own_fault_shuts_nothing(
    compatible: Daemon, upstream: OpenAIServer, status: int
) -> None:
    upstream.reply_json({"error": {"message": "you"}}, status=status)
    for _ in range(4):
        await refused(compatible)
    assert len(upstream.chats()) == 4


async def test_a_stream_that_fails_in_its_middle_counts(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi")[:2], ending="cut")
    for _ in range(3):
        with pytest.raises(openai.APIError):
            await compatible.ask(
                lambda sdk: list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))
            )
    assert "chatmock heal" in (await refused(compatible)).message
    assert len(upstream.chats()) == 3


async def test_qwens_token_shuts_qwen(start_qwen: Start, site: QwenServer) -> None:
    daemon = start_qwen(qwen_auth_token=Secret("another"))
    first = await refused(daemon, "qwen")
    asked = len(site.asked)
    second = await refused(daemon, "qwen")
    assert (first.status_code, second.status_code) == (401, 401)
    assert "chatmock heal qwen" in second.message
    assert len(site.asked) == asked


async def test_the_demo_fails_where_it_is_told_to_and_nowhere_else(start: Start) -> None:
    daemon = start()

    def call(text: str) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return lambda sdk: sdk.chat.completions.create(model="demo", messages=messages)

    for _ in range(2):
        with pytest.raises(openai.AuthenticationError):
            await daemon.ask(call("demo: fail 401"))
    assert (await daemon.ask(call("demo: pace 0\nHi"))).choices


# --- the commands


async def test_heal_as_a_process(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json(DENIED, status=401)
    await refused(compatible)
    assert "chatmock heal compatible" in (await refused(compatible)).message
    status, out, _ = await command(compatible, "info")
    assert status == 0
    assert f"Daemon\n  Running at {compatible.url}\n  compatible: not asked for " in out
    assert "(invalid_api_key)" in out
    status, out, err = await command(compatible, "heal", "compatible")
    assert (status, err) == (0, "")
    assert out.startswith("compatible: cleared; it had refused for ")
    upstream.reply_json(completion())
    assert (await ask(compatible)).choices
    assert await command(compatible, "heal", "compatible") == (
        0,
        "compatible: there was nothing to clear\n",
        "",
    )
    assert (await command(compatible, "heal"))[1] == "There is nothing to clear: no provider is left alone.\n"


async def test_heal_without_a_name_clears_models_too(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json({}, status=429, headers={b"retry-after": b"50"})
    await refused(compatible)
    status, out, _ = await command(compatible, "heal")
    assert status == 0
    assert out.startswith("compatible, m: cleared; ")
    upstream.reply_json(completion())
    assert (await ask(compatible)).choices


async def test_heal_says_what_is_wrong(compatible: Daemon) -> None:
    status, out, err = await command(compatible, "heal", "nobody/../else")
    assert (status, out) == (1, "")
    assert "There is no" in err
    status, out, err = await command(compatible, "heal", CHATMOCK_PORT="1")
    assert (status, out) == (1, "")
    assert err == (
        "chatmock: no daemon answers: http://127.0.0.1:1 cannot be reached (Connection refused)."
        " Start it with: chatmock serve\n"
    )


async def test_the_commands_show_the_access_token(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    owner_key_of(daemon).unlink()
    assert (await command(daemon, "heal", "demo"))[0] == 1
    assert (await command(daemon, "heal", "demo", CHATMOCK_ACCESS_TOKEN="s3cret"))[0] == 0
    out = (await command(daemon, "info", "--json", CHATMOCK_ACCESS_TOKEN="s3cret"))[1]
    told = json.loads(out)["daemon"]
    assert (told["running"], told["status"]) == (True, "ok")
    assert told["providers"]["demo"]["state"] == "ok"


async def test_the_commands_need_no_key_of_their_own_where_named_ones_are_needed(
    start: Start, upstream: OpenAIServer
) -> None:
    give_out_a_key()
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        require_auth=True,
        trusted_proxies=("127.0.0.1",),
    )
    path = owner_key_of(daemon)
    assert path.stat().st_mode & 0o777 == 0o600
    healed = "compatible: there was nothing to clear\n"
    assert await command(daemon, "heal", "compatible") == (0, healed, "")
    assert (await command(daemon, "heal", "compatible", CHATMOCK_ACCESS_TOKEN="old"))[1] == healed
    assert "  compatible: ok\n" in (await command(daemon, "info"))[1]

    kept = path.read_text()
    answer = await http(
        daemon, "POST", "/api/providers/compatible/heal", b"", authorization=f"Bearer {kept}", via="1.1 proxy"
    )
    assert answer.status == 200
    path.chmod(0o640)
    assert (await command(daemon, "heal", "compatible"))[0] == 1, (
        "others have read it, or could have written it"
    )
    path.chmod(0o600)
    path.write_text("A" * len(kept))
    assert (await command(daemon, "heal", "compatible"))[0] == 1


async def test_the_commands_key_lasts_as_long_as_the_daemon(start: Start) -> None:
    give_out_a_key()
    first = start(require_auth=True)
    path, kept = owner_key_of(first), owner_key_of(first).read_text()
    await first.service.stopService()
    assert not path.exists()
    with capturedLogs() as logged:
        second = start(require_auth=True)
        answer = await http(second, "GET", "/readyz", authorization=f"Bearer {kept}")
        assert answer.status == 401
        kept = owner_key_of(second).read_text()
        answer = await http(second, "GET", "/readyz", authorization=f"Bearer {kept}")
        assert answer.status == 200
    assert "(owner) GET /readyz" in str(logged)
    assert kept not in str(logged)


async def test_a_key_that_cannot_be_written_stops_nothing(
    start: Start, home: Path, logged_faults: list[str]
) -> None:
    (home / "file").touch()
    with capturedLogs() as logged:
        daemon = start(home=home / "file")
    assert (await readyz(daemon))[0] == 200
    assert "their key cannot be written" in str(logged)
    assert logged_faults == ["the client keys stay as they were: {trouble}"]
    logged_faults.clear()


async def test_a_listener_that_is_silent_does_not_hold_the_command_up(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        status, out, _ = await command(compatible, "info", CHATMOCK_PORT=port)
    assert status == 0
    assert f"Not running: http://127.0.0.1:{port} does not answer within 2 s" in out
    other = upstream.url.removesuffix("/v1").rpartition(":")[2]
    out = (await command(compatible, "info", CHATMOCK_PORT=other))[1]
    assert "is not chatmock" in out


async def test_the_commands_over_tls(start: Start, tmp_path: Path) -> None:
    cert = trustme.CA().issue_cert("box.lan")
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(pem.bytes() for pem in cert.cert_chain_pems))
    cert.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    daemon = start(tls_cert=chain, tls_key=key)
    tls = {"CHATMOCK_TLS_CERT": str(chain), "CHATMOCK_TLS_KEY": str(key)}
    assert await command(daemon, "heal", "demo", **tls) == (0, "demo: there was nothing to clear\n", "")
    other = tmp_path / "other.pem"
    other.write_bytes(trustme.CA().issue_cert("box.lan").cert_chain_pems[0].bytes())
    status, _, err = await command(daemon, "heal", "demo", **{**tls, "CHATMOCK_TLS_CERT": str(other)})
    assert status == 1
    assert "does not show the certificate" in err
    status, _, err = await command(daemon, "heal", "demo")
    assert status == 1
    assert "if it speaks TLS, set CHATMOCK_TLS_CERT" in err


# --- who may


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "via", "x_real_ip"])
async def test_only_who_sits_at_the_machine_heals(
    compatible: Daemon, upstream: OpenAIServer, header: str
) -> None:
    upstream.reply_json(DENIED, status=401)
    await refused(compatible)
    path = "/api/providers/compatible/heal"
    answer = await http(compatible, "POST", path, b"", **{header: "192.168.1.7"})
    assert (answer.status, answer.error["code"]) == (403, "owner_only")
    assert (await readyz(compatible))[1]["providers"]["compatible"]["state"] == "cooling"
    assert (await http(compatible, "POST", path, b"")).status == 200
    assert (await http(compatible, "POST", "/api/providers/nobody/heal", b"")).status == 404


def test_who_is_the_owner() -> None:
    from ipaddress import ip_network

    from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
    from twisted.web.http_headers import Headers

    from chatmock.admission.client import Client
    from chatmock.admission.owner import check_owner
    from chatmock.admission.proxies import Proxies
    from chatmock.errors import Refusal

    class Asking:
        def __init__(self, peer: Any, own: Any, key: Key | None = None, **headers: str) -> None:
            self.requestHeaders = Headers({name: [value] for name, value in headers.items()})
            self.getClientAddress = lambda: peer
            self.getHost = lambda: own
            self.client = Client("x", key)

    def lan(last: int) -> IPv4Address:
        return IPv4Address("TCP", f"192.168.1.{last}", 80)

    admin, plain = Key("a", admin=True), Key("p")
    local = IPv4Address("TCP", "127.0.0.2", 80)
    mapped = IPv6Address("TCP", "::ffff:127.0.0.1", 80)
    for good in (
        Asking(local, local),
        Asking(mapped, lan(1)),
        Asking(IPv6Address("TCP", "::1", 80), lan(1)),
        Asking(lan(1), lan(1)),
        Asking(lan(2), lan(1), admin),
        Asking(lan(2), lan(1), admin, via="1.1 proxy"),
        Asking(local, local, plain),
    ):
        check_owner(good, Proxies())
    for bad in (
        Asking(lan(2), lan(1)),
        Asking(lan(2), lan(1), plain),
        Asking(local, local, forwarded="for=192.168.1.2"),
        Asking(UNIXAddress("/run/x"), UNIXAddress("/run/x")),
    ):
        with pytest.raises(Refusal):
            check_owner(bad, Proxies())
    with pytest.raises(Refusal):
        check_owner(Asking(local, local, plain), Proxies((ip_network("127.0.0.0/8"),)))
    check_owner(Asking(local, local, admin), Proxies((ip_network("127.0.0.0/8"),)))


async def test_a_healthy_daemon_is_told_as_one(start: Start) -> None:
    ok = {"state": "ok", "until": None, "reason": None}
    assert await readyz(start()) == (200, {"status": "ok", "providers": {"demo": ok}})


async def test_a_default_without_a_login_is_not_ready(start_chatgpt: Start) -> None:
    status, told = await readyz(start_chatgpt(provider="chatgpt"))
    assert (status, told["status"]) == (503, "degraded")
    assert told["providers"]["chatgpt"] == {"state": "unready", "until": None, "reason": "no_credential"}
