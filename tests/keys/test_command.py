"""`chatmock keys`, in this process and as one of its own."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.logger import eventAsText, globalLogPublisher
from twisted.python import usage

from chatmock import jsontext
from chatmock.admission.client import Key
from chatmock.cli import main
from chatmock.keys.command import KeysOptions, expiry, keys
from chatmock.keys.database import KEYS_FILE, KeysFailed
from chatmock.keys.entries import digest_of
from chatmock.keys.live import LiveKeys
from chatmock.keys.store import KeyStore
from tests.test_starting import ROOT, environment

TOKEN = re.compile(r"sk-chatmock-[A-Za-z0-9_-]{43}")
DAY = 86_400.0


class Machine:
    """The commands over one state folder."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"CHATGPT_LOCAL_HOME": str(folder / "state")}
        self.store = KeyStore(folder / "state" / KEYS_FILE)

    def run(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        """Exit status, and what is told on standard output and standard error."""
        out: list[str] = []
        err: list[str] = []
        options = KeysOptions()
        try:
            options.parseOptions(arguments)
            status = keys(options, self.environ, out.append, err.append)
        except usage.UsageError as error:
            return 2, out, [*err, str(error)]
        return status, out, err

    def add(self, *arguments: str) -> str:
        """The token."""
        status, out, _ = self.run("add", *arguments)
        assert (status, len(out)) == (0, 1)
        return out[0]

    def live(self) -> LiveKeys:
        live = LiveKeys(self.store.path, Clock(), lambda function: succeed(function()))
        live.load()
        return live


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_key_is_added_listed_and_revoked(machine: Machine) -> None:
    token = machine.add("laptop")
    assert TOKEN.fullmatch(token)
    assert machine.live().find(token.encode()) == Key("laptop")
    status, [text], err = machine.run("list")
    assert (status, err) == (0, [])
    head, line = text.splitlines()
    assert head.split()[:3] == ["NAME", "STATE", "CREATED"]
    assert line.split()[:2] == ["laptop", "active"]
    assert machine.run("revoke", "laptop")[0] == 0
    assert machine.live().find(token.encode()) is None
    assert "revoked" in machine.run("list")[1][0]
    status, out, [err_line] = machine.run("revoke", "laptop")
    assert (status, out) == (1, [])
    assert "no key called laptop" in err_line
    assert machine.add("laptop") != token


@pytest.mark.parametrize("name_first", [True, False])
def test_every_option_is_kept(machine: Machine, name_first: bool) -> None:
    given = ["--rpm", "30", "--concurrency=2", "--models", "qwen*,gpt-5*", "--models", "demo"]
    given += ["--priority", "low", "--expires", "30d", "--admin"]
    before = time.time()
    token = machine.add(*(["tv", *given] if name_first else [*given, "tv"]))
    key = Key("tv", 30, 2, ("qwen*", "gpt-5*", "demo"), -1, admin=True)
    [entry] = machine.store.entries()
    assert entry.key == key
    assert entry.digest == digest_of(token.encode())
    assert entry.expires is not None
    assert before <= entry.expires - 30 * DAY == entry.created <= time.time()
    assert "tv" in machine.run("list")[1][0]


def test_the_list_for_programs(machine: Machine) -> None:
    machine.add("laptop", "--models", "qwen*", "--priority=high", "--rpm=5")
    machine.add("phone", "--expires=2098-12-31")
    machine.run("revoke", "phone")
    _, [text], _ = machine.run("list", "--json")
    laptop, phone = jsontext.loads_object(text)["keys"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", laptop.pop("created"))
    assert laptop == {
        "name": "laptop",
        "state": "active",
        "expires": None,
        "revoked": None,
        "rpm": 5,
        "concurrency": None,
        "models": ["qwen*"],
        "priority": "high",
        "admin": False,
    }
    assert (phone["state"], phone["expires"][:4]) == ("revoked", "2099" if time.timezone >= 0 else "2098")
    assert phone["revoked"] is not None


def test_no_keys(machine: Machine) -> None:
    assert machine.run("list") == (0, ["There are no client keys. Make one: chatmock keys add NAME"], [])
    assert jsontext.loads(machine.run("list", "--json")[1][0]) == {"keys": []}
    assert machine.run("revoke", "laptop")[0] == 1
    assert not machine.store.path.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "chatmock keys list"),
        (["nonsense"], "Unknown command"),
        (["add"], "give one name"),
        (["add", "a", "b"], "give one name"),
        (["add", "a b"], "cannot be called 'a b'"),
        (["add", "access-token"], "CHATMOCK_ACCESS_TOKEN"),
        (["add", "192.168.0.7"], "addresses"),
        (["add", "a", "--rpm", "0"], "--rpm=0 is not allowed: give a whole number from 1"),
        (["add", "a", "--rpm"], "rpm"),
        (["add", "a", "--concurrency", "-1"], "--concurrency=-1 is not allowed"),
        (["add", "a", "--priority", "urgent"], "one of low, normal, high"),
        (["add", "a", "--models", ""], "--models='' is not allowed"),
        (["add", "a", "--models", "a b"], "--models='a b' is not allowed"),
        (["add", "a", "--models", "a,,b"], "is not allowed"),
        (["add", "a", "--expires", "tomorrow"], "--expires=tomorrow is not allowed"),
        (["add", "a", "--expires", "0d"], "is not allowed"),
        (["add", "a", "--expires", "2020-01-01"], "a day to come"),
        (["add", "a", "--expires", "2027-02-30"], "is not allowed"),
        (["add", "a", "--expires", "9999-12-31"], "is not allowed"),
        (["add", "a", "--expires", "99999d"], "is not allowed"),
        (["add", "a", "--nonsense"], "nonsense"),
        (["list", "a"], "Wrong number"),
        (["revoke"], "give one name"),
        (["revoke", "a", "b"], "give one name"),
    ],
)
def test_what_makes_no_sense_is_told_and_does_nothing(
    machine: Machine, arguments: list[str], said: str
) -> None:
    status, out, [err] = machine.run(*arguments)
    assert (status, out) == (2, [])
    assert said in err
    assert "\n" not in err
    assert not machine.store.path.parent.exists()


@pytest.mark.parametrize(
    ("zone", "text", "ends"),
    [
        ("UTC", "2027-01-31", "2027-02-01T00:00:00+00:00"),
        ("Europe/Berlin", "2027-01-31", "2027-01-31T23:00:00+00:00"),
        ("Europe/Berlin", "2027-03-27", "2027-03-27T23:00:00+00:00"),
        ("Europe/Berlin", "2027-03-28", "2027-03-28T22:00:00+00:00"),
        ("America/New_York", "2027-12-31", "2028-01-01T05:00:00+00:00"),
    ],
)
def test_a_day_ends_at_midnight_here(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, ends: str
) -> None:
    import datetime as dt

    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        at = expiry(text, 0.0)
    time.tzset()
    assert at == dt.datetime.fromisoformat(ends).timestamp()


def test_never_and_days() -> None:
    assert expiry("never", 5.0) is None
    assert expiry("1d", 5.0) == 5.0 + DAY


def test_a_key_that_nobody_was_shown_is_taken_back(machine: Machine) -> None:
    options = KeysOptions()
    options.parseOptions(["add", "laptop"])

    def fail(text: str) -> None:
        raise OSError("nobody there")

    with pytest.raises(OSError, match="nobody there"):
        keys(options, machine.environ, fail, fail)
    assert machine.store.entries() == ()


def test_a_file_that_cannot_be_used_is_told_in_one_line(machine: Machine) -> None:
    machine.add("laptop")
    machine.store.path.chmod(0o666)
    for arguments in (["list"], ["add", "phone"], ["revoke", "laptop"]):
        status, out, [err] = machine.run(*arguments)
        assert (status, out) == (1, [])
        assert "mode 666" in err


# --- secrecy


def runs(secret: bytes) -> set[str]:
    """Twelve characters in a row of *secret*, in every form in which it might be written."""
    forms = [
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode(),
        repr(secret)[2:-1],
    ]
    return {form[at : at + 12] for form in forms for at in range(len(form) - 11)}


@given(
    names=st.lists(
        st.sampled_from(["laptop", "phone", "tv", "access-token", "no name"]), min_size=1, max_size=6
    ),
    steps=st.lists(
        st.sampled_from(
            ["list", "json", "revoke", "again", "wide", "broken", "find"],
        ),
        max_size=8,
    ),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the list of faults is emptied each time
def test_no_token_nor_digest_shows_up_again(
    names: Sequence[str],
    steps: Sequence[str],
    tmp_path_factory: pytest.TempPathFactory,
    logged_faults: list[Any],
) -> None:
    machine = Machine(tmp_path_factory.mktemp("keys"))
    told: list[str] = []
    tokens: list[str] = []
    observe = lambda event: told.append(eventAsText(event) + repr(event))  # noqa: E731
    shown = machine.store.path.parent
    for name in names:
        status, out, err = machine.run("add", name)
        tokens += [text for text in out if TOKEN.fullmatch(text)]
        told += [text for text in (*out, *err) if not TOKEN.fullmatch(text)]
        assert len(out) == (1 if status == 0 else 0)
    globalLogPublisher.addObserver(observe)
    try:
        for step, name in zip(steps, [*names] * len(steps), strict=False):
            told += told_by(machine, step, name, tokens)
    finally:
        globalLogPublisher.removeObserver(observe)
    logged_faults.clear()
    said = "\n".join(told)
    for token in tokens:
        secret = token.removeprefix("sk-chatmock-")
        assert not any(secret[at : at + 12] in said for at in range(len(secret) - 11))
        assert not any(run in said for run in runs(digest_of(token.encode())))
        held = b"".join(path.read_bytes() for path in shown.iterdir())
        assert secret.encode() not in held
    assert tokens or not shown.exists()


def told_by(machine: Machine, step: str, name: str, tokens: list[str]) -> list[str]:
    """What anybody is told in one *step*."""
    path = machine.store.path
    told: list[str] = []
    if step in ("list", "revoke", "json"):
        more = {"list": ["list"], "json": ["list", "--json"], "revoke": ["revoke", name]}[step]
        _, out, err = machine.run(*more)
        told += out + err
    elif step == "again" and name in ("laptop", "phone", "tv"):
        _, out, err = machine.run("add", name)
        tokens += [text for text in out if TOKEN.fullmatch(text)]
        told += [text for text in (*out, *err) if not TOKEN.fullmatch(text)]
    elif step in ("wide", "broken") and path.exists():
        held, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
        if step == "wide":
            path.chmod(0o644)
        else:
            path.write_bytes(held[:100] + b"\xff" * (len(held) - 100))
        for arguments in (["list"], ["add", "more"], ["revoke", name]):
            _, out, err = machine.run(*arguments)
            told += out + err
        try:
            machine.store.entries()
        except KeysFailed as failed:
            told += [repr(failed), str(failed)]
        machine.live()
        path.write_bytes(held)
        path.chmod(mode)
    else:
        live = machine.live()
        told += [repr(live), *(repr(live.find(token.encode())) for token in tokens)]
        told += [repr(entry) for entry in machine.store.entries()]
    return told


# --- as people run it


def chatmock(home: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    ours = {"HOME": str(home), "PYTHONPATH": str(ROOT), "CHATGPT_LOCAL_HOME": ""}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(
        [sys.executable, "-m", "chatmock", *arguments],
        cwd=home,
        env=environment(**ours),
        text=True,
        timeout=60,
        check=False,
        **streams,
    )


def test_as_processes(tmp_path: Path) -> None:
    added = chatmock(tmp_path, "keys", "add", "laptop", "--rpm", "5")
    assert added.returncode == 0
    assert TOKEN.fullmatch(added.stdout.removesuffix("\n")), "a script can take it as it is"
    assert added.stderr.startswith("chatmock: this is the key of laptop")
    assert (added.stderr.count("\n"), TOKEN.search(added.stderr)) == (1, None)
    listed = chatmock(tmp_path, "keys", "list", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [each["name"] for each in jsontext.loads_object(listed.stdout)["keys"]] == ["laptop"]
    again = chatmock(tmp_path, "keys", "add", "laptop")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("chatmock: There is a key called laptop.")
    revoked = chatmock(tmp_path, "keys", "revoke", "laptop")
    assert (revoked.returncode, revoked.stderr) == (0, "")
    assert {path.name for path in (tmp_path / ".chatgpt-local").iterdir()} == {KEYS_FILE, f"{KEYS_FILE}.lock"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
def test_an_output_that_is_full_leaves_no_key(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ran = chatmock(tmp_path, "keys", "add", "laptop", stdout=full)
    assert ran.returncode == 1
    assert ran.stderr == "chatmock: the standard output cannot be written: No space left on device.\n"
    assert KeyStore(tmp_path / ".chatgpt-local" / KEYS_FILE).entries() == ()


def test_an_output_that_nobody_reads_leaves_no_key(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = chatmock(tmp_path, "keys", "add", "laptop", stdout=writing)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")
    assert KeyStore(tmp_path / ".chatgpt-local" / KEYS_FILE).entries() == ()


def test_help_names_the_command_and_its_options() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "chatmock", "keys", "add", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.startswith("Usage: chatmock keys add NAME [options]\n")
    for option in ("rpm", "concurrency", "models", "priority", "expires", "admin"):
        assert f"--{option}" in ran.stdout


def test_settings_and_home_are_told_as_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPT_LOCAL_HOME", "~nobody-knows-me/state")
    assert main(["keys", "list"]) == 2
    assert capsys.readouterr().err.startswith("chatmock: ~nobody-knows-me/state is not known")
    monkeypatch.setenv("CHATMOCK_PORT", "x")
    assert main(["keys", "list"]) == 2
    assert "CHATMOCK_PORT=x" in capsys.readouterr().err
