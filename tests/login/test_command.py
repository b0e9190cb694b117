"""``chatmock login`` and ``chatmock logout`` as processes of their own, against a fake issuer."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.python import usage

from chatmock.login.command import PORT_IN_USE, LoginOptions, LogoutOptions
from chatmock.login.store import forget_login, keep_login
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import issued, read_tokens
from chatmock.state_files import FileLock
from tests.conftest import settle
from tests.login.trial import has_ipv6, visit
from tests.test_starting import environment
from tests.upstreams.openai_issuer import OpenAIIssuer

SECONDS = 30.0
ROOT = Path(__file__).parents[2]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/oauth/authorize\S+")


class Command:
    """A command that runs, with pipes to it; `finish` waits for its end."""

    def __init__(self, home: Path, *arguments: str, stdin: Any = subprocess.PIPE, **more: str) -> None:
        screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "CHATGPT_LOCAL_", "CODEX_HOME")
        kept = {k: v for k, v in environment().items() if not k.startswith(screens)}
        given = {
            "HOME": str(home),
            "CHATGPT_LOCAL_HOME": str(home / "state"),
            "PYTHONPATH": str(ROOT),
            **more,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatmock", *arguments],
            cwd=home,
            env={**kept, **given},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what readline() took too much would be lost for communicate()
        )
        self.said = ""

    async def address(self) -> str:
        """What it tells to open."""
        return str(await deferToThread(self._address))

    def _address(self) -> str:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.said += line.decode()
            if found := ADDRESS.search(line.decode()):
                return found[0]
        raise AssertionError(f"it tells no address: {self.said}{self.finished()}")

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def finish(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        status, out, err = await deferToThread(self.finished)
        return int(status), str(out), str(err)

    def finished(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end: {self.said} {out!r} {err!r}") from None
        self.said += out.decode()
        return self.process.returncode, self.said, err.decode()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process.wait()


class Room:
    """A machine for itself: a home folder, a fake issuer, and the commands that run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.issuer = OpenAIIssuer(reactor)
        self.running: list[Command] = []

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def file(self) -> Path:
        return self.state / "auth.json"

    def run(self, *arguments: str, **more: Any) -> Command:
        command = Command(self.home, *arguments, **{"CHATGPT_LOCAL_ISSUER": self.issuer.url, **more})
        self.running.append(command)
        return command

    def kept(self) -> Any:
        return json.loads(self.file.read_bytes())


@pytest_twisted.async_yield_fixture()
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path)
    room.issuer.listen()
    yield room
    for command in room.running:
        command.kill()
    await room.issuer.port.stopListening()
    await settle()


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other test process uses the callback's port."""
    with (Path(tempfile.gettempdir()) / f"chatmock-test-1455-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest_twisted.async_yield_fixture()
async def callback_port() -> AsyncIterator[None]:
    """The real callback port, for this test alone."""
    lock = alone()
    await deferToThread(lock.__enter__)
    yield
    lock.__exit__(None, None, None)


async def redirect(address: str) -> str:
    """Where the issuer sends the browser that goes to *address*."""
    page = await visit(address)
    assert page.status == 302, page.text
    return page.headers["location"]


def one_line(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("chatmock: ")
    return lines[0]


@pytest.mark.usefixtures("callback_port")
async def test_a_login_by_the_pasted_address(room: Room) -> None:
    room.issuer.callback_ports = {1455}
    command = room.run("login", "--no-browser")
    address = await redirect(await command.address())
    assert address.startswith("http://localhost:1455/auth/callback?")
    command.type("what is this")
    command.type(address)
    status, out, err = await command.finish()
    assert (status, err) == (0, "")
    assert "Logged in as owner@example.com, plan plus." in out
    assert "paste it here" in out
    assert "ssh -L 1455:localhost:1455" in out
    assert "has no state" in out
    assert room.file.stat().st_mode & 0o777 == 0o600
    assert room.state.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in room.state.iterdir()} == {"auth.json", "auth.json.lock"}
    tokens = room.kept()["tokens"]
    assert room.issuer.honours(tokens["access_token"])
    assert room.issuer.honours_refresh(tokens["refresh_token"])
    assert tokens["account_id"] == "account-1"
    assert not any(tokens[name] in out for name in ("id_token", "access_token", "refresh_token"))


@pytest.mark.usefixtures("callback_port")
async def test_a_login_with_the_browser(room: Room) -> None:
    shown = room.home / "shown"
    script = room.home / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {shown}.new && mv {shown}.new {shown}\n')
    script.chmod(0o700)
    command = room.run("login", "--verbose", stdin=subprocess.DEVNULL, BROWSER=f"{script} %s")
    address = await command.address()
    page = await visit(await redirect(address))
    status, out, err = await command.finish()
    assert (page.status, status, err) == (200, 0, "")
    assert "You are logged in" in page.text
    assert " GET /auth/callback 200" in out
    assert "code=ac_" not in out
    assert "paste" not in out
    assert shown.read_text() == address


@pytest.mark.usefixtures("callback_port")
@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
async def test_a_port_that_is_taken(room: Room, taken: str) -> None:
    if taken == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with socket.create_server((taken, 1455), family=socket.AF_INET6 if ":" in taken else socket.AF_INET):
        status, out, err = await room.run("login").finish()
    assert status == PORT_IN_USE == 13
    assert "port 1455 is in use" in one_line(err)
    assert out == ""
    assert not room.file.exists()


@pytest.mark.usefixtures("callback_port")
async def test_a_refusal(room: Room) -> None:
    room.issuer.denial = {"error": "access_denied", "error_description": "You said no."}
    command = room.run("login", "--no-browser")
    page = await visit(await redirect(await command.address()))
    status, _, err = await command.finish()
    assert (page.status, status) == (403, 1)
    assert "You said no (access_denied)" in one_line(err)
    assert not room.file.exists()


@pytest.mark.usefixtures("callback_port")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt(room: Room, number: signal.Signals) -> None:
    command = room.run("login", "--no-browser")
    await command.address()
    command.process.send_signal(number)
    status, _, err = await command.finish()
    assert status == 1
    assert one_line(err) == "chatmock: the login was interrupted."


@pytest.mark.usefixtures("callback_port")
async def test_the_time_is_up(room: Room) -> None:
    status, _, err = await room.run("login", "--no-browser", "--timeout", "1").finish()
    assert status == 1
    assert "Nobody logged in within 1 seconds" in one_line(err)


@pytest.mark.usefixtures("callback_port")
async def test_a_console_that_is_closed(room: Room) -> None:
    command = room.run("login", "--no-browser", stdin=subprocess.DEVNULL)
    page = await visit(await redirect(await command.address()))
    assert page.status == 200
    assert (await command.finish())[0] == 0


async def test_a_login_with_a_code_keeps_what_else_is_in_the_file(room: Room) -> None:
    room.state.mkdir(mode=0o700)
    before = {
        "OPENAI_API_KEY": "k",
        "tokens": {"access_token": "old", "extra": 1},
        "login_needed": "refresh_token_reused",
    }
    room.file.write_text(json.dumps(before))
    status, out, err = await room.run("login", "--headless").finish()
    assert (status, err) == (0, "")
    assert "ABCD-12345" in out
    kept = room.kept()
    assert kept["OPENAI_API_KEY"] == "k"
    assert kept["tokens"]["extra"] == 1
    assert "login_needed" not in kept
    assert room.issuer.honours(kept["tokens"]["access_token"])
    assert room.file.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_read_is_put_aside(room: Room) -> None:
    room.state.mkdir()
    room.file.write_text("{broken")
    status, out, _ = await room.run("login", "--headless").finish()
    assert status == 0
    (aside,) = room.state.glob("auth.json.broken-*")
    assert aside.read_text() == "{broken"
    assert str(aside) in out
    assert room.issuer.honours(room.kept()["tokens"]["access_token"])


@pytest.mark.parametrize(
    ("arguments", "variable", "way"),
    [
        (("login", "--headless"), "CHATGPT_LOCAL_HOME", "~/.codex"),
        (("login",), "CODEX_HOME", "link"),
        (("logout",), "CHATGPT_LOCAL_HOME", "link"),
    ],
)
async def test_the_folder_of_the_codex_program_is_left_alone(
    room: Room, arguments: tuple[str, ...], variable: str, way: str
) -> None:
    codex = room.home / ".codex"
    codex.mkdir()
    (codex / "auth.json").write_text("{}")
    (room.home / "link").symlink_to(codex)
    named = way if way.startswith("~") else str(room.home / way)
    status, out, err = await room.run(*arguments, **{"CHATGPT_LOCAL_HOME": "", variable: named}).finish()
    assert (status, out) == (1, "")
    assert "CHATGPT_LOCAL_HOME" in one_line(err)
    assert [path.name for path in codex.iterdir()] == ["auth.json"]
    assert (codex / "auth.json").read_text() == "{}"
    assert room.issuer.asked == []


async def test_a_folder_that_cannot_be_is_told_before_anybody_logs_in(room: Room) -> None:
    room.state.write_text("a file")
    status, out, err = await room.run("login", "--headless").finish()
    assert (status, out) == (1, "")
    assert str(room.state) in one_line(err)
    assert room.issuer.asked == []


async def test_a_bad_setting_is_told_in_one_line(room: Room) -> None:
    status, _, err = await room.run("login", CHATMOCK_PORT="x").finish()
    assert status == 1
    assert "CHATMOCK_PORT" in one_line(err)


async def test_no_network_is_told_in_one_line(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    status, _, err = await room.run("login", "--headless", CHATGPT_LOCAL_ISSUER=url).finish()
    assert status == 1
    assert "cannot be reached" in one_line(err)


async def test_logout(room: Room) -> None:
    room.state.mkdir()
    room.file.write_text("{}")
    other = room.state / "usage_limits.json"
    other.write_text("{}")
    assert await room.run("logout").finish() == (0, f"Logged out: {room.file} is deleted.\n", "")
    assert not room.file.exists()
    assert other.exists()
    assert await room.run("logout").finish() == (0, f"Nobody was logged in: there is no {room.file}.\n", "")


async def test_logout_tells_whose_login_is_used_from_now_on(room: Room) -> None:
    codex = room.home / ".codex" / "auth.json"
    codex.parent.mkdir()
    codex.write_text('{"tokens": {"access_token": "theirs"}}')
    codex.chmod(0o600)
    room.state.mkdir()
    room.file.write_text("{}")
    status, out, err = await room.run("logout").finish()
    assert (status, err) == (0, "")
    deleted, line = out.splitlines()
    assert deleted == f"Logged out: {room.file} is deleted."
    assert line == f"From now on chatmock uses another program's login, for as long as that lasts: {codex}."
    codex.write_text('{"tokens": null}')
    assert (await room.run("logout").finish())[1].count("\n") == 1


async def test_logout_makes_no_folder(room: Room) -> None:
    assert (await room.run("logout").finish())[0] == 0
    assert not room.state.exists()


# --- the file and the options, in this process


def test_who_writes_the_file_waits_for_who_holds_its_lock(tmp_path: Path) -> None:
    tokens = issued(OpenAIIssuer(reactor).issue(), 0.0)
    lock = FileLock(tmp_path / "auth.json.lock")
    assert lock.try_acquire()
    writer = threading.Thread(target=keep_login, args=(tmp_path, tokens, 0.0))
    writer.start()
    writer.join(0.1)
    assert writer.is_alive()
    assert not (tmp_path / "auth.json").exists()
    lock.release()
    writer.join(SECONDS)
    assert read_tokens((tmp_path / "auth.json").read_bytes()) == tokens


def test_a_lock_that_is_never_given_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.login.store._LOCK_SECONDS", 0.05)
    (tmp_path / "auth.json").write_text("{}")
    lock = FileLock(tmp_path / "auth.json.lock")
    assert lock.try_acquire()
    with pytest.raises(LoginFailed, match="locked"):
        forget_login(tmp_path)
    lock.release()
    assert forget_login(tmp_path)


def test_a_file_with_a_key_alone_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"OPENAI_API_KEY": "k", "tokens": null, "last_refresh": "x"}')
    tokens = issued(OpenAIIssuer(reactor).issue(), 0.0)
    assert keep_login(tmp_path, tokens, 0.0) is None
    kept = json.loads((tmp_path / "auth.json").read_bytes())
    assert (kept["OPENAI_API_KEY"], kept["last_refresh"]) == ("k", "1970-01-01T00:00:00Z")


@pytest.mark.parametrize("seconds", ["x", "0", "-1", "nan", "inf", "86401"])
def test_a_time_that_makes_no_sense(seconds: str) -> None:
    with pytest.raises(usage.UsageError):
        LoginOptions().parseOptions(["--timeout", seconds])


def test_options() -> None:
    options = LoginOptions()
    options.parseOptions([])
    assert dict(options) == {"no-browser": 0, "headless": 0, "verbose": 0, "timeout": 900.0}
    options.parseOptions(["--headless", "--timeout", "1.5"])
    assert (options["headless"], options["timeout"]) == (1, 1.5)
    with pytest.raises(usage.UsageError):
        LogoutOptions().parseOptions(["now"])
