"""`chatmock info`, as it is run: it reads what is there, changes nothing, and never shows a secret."""

from __future__ import annotations

import base64
import os
import pty
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from chatmock import jsontext
from chatmock.providers.chatgpt.contract import AUTH_CLAIM

ROOT = Path(__file__).parents[1]
CANARY = secrets.token_hex(24)


def auth(account: str = "acct-1", expires: float = 86_400.0) -> bytes:
    def jwt(claims: dict[str, Any]) -> str:
        middle = base64.urlsafe_b64encode(jsontext.dumps(claims)).decode().rstrip("=")
        return f"{CANARY}.{middle}.{CANARY}"

    held = {
        "id_token": jwt({"email": f"{account}@example.org"}),
        "access_token": jwt({"exp": time.time() + expires, AUTH_CLAIM: {"chatgpt_plan_type": "pro"}}),
        "refresh_token": CANARY,
        "account_id": account,
    }
    return jsontext.dumps({"OPENAI_API_KEY": CANARY, "tokens": held, "last_refresh": "2026-07-26T10:00:00Z"})


def usage(used: float = 42.0) -> bytes:
    window = {"used_percent": used, "window_minutes": 300, "resets_in_seconds": 7200}
    captured = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return jsontext.dumps({"captured_at": captured, "primary": window})


def models(account: str = "acct-1") -> bytes:
    entries = [
        {"slug": "last", "visibility": "list"},
        {
            "slug": "second",
            "visibility": "list",
            "priority": 2,
            "supported_reasoning_levels": [{"effort": "low"}],
        },
        {"slug": "hidden", "visibility": "hide", "priority": 1},
        {"slug": "first", "visibility": "list", "priority": 1},
    ]
    return jsontext.dumps({"fetched_at": 1.0, "account_id": account, "models": entries})


@attrs.define
class Machine:
    """Somebody's home folder."""

    home: Path
    own: Path
    more: dict[str, str] = attrs.Factory(dict)

    @property
    def environ(self) -> dict[str, str]:
        base = {
            "HOME": str(self.home),
            "CHATGPT_LOCAL_HOME": str(self.own),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
            "CHATMOCK_PORT": "1",  # where no daemon is
        }
        return {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", **base, **self.more}

    def run(self, *arguments: str) -> tuple[int, str]:
        before = self.files()
        ran = subprocess.run(
            [sys.executable, "-m", "chatmock", "info", *arguments],
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.home,
            check=False,
        )
        assert ran.stderr == ""
        assert self.files() == before, "a file was touched"
        assert not any(CANARY[at : at + 8] in ran.stdout for at in range(len(CANARY) - 7))
        return ran.returncode, ran.stdout

    def json(self) -> tuple[int, dict[str, Any]]:
        status, text = self.run("--json")
        return status, jsontext.loads_object(text)

    def files(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in self.home.rglob("*")
        }

    def write(self, name: str, data: bytes) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, tmp_path / "own")


def test_signed_out_is_no_fault_and_makes_nothing(machine: Machine) -> None:
    status, text = machine.run()
    assert status == 0
    assert text.startswith("Account\n  Not signed in\n")
    assert "chatmock login" in text
    assert "  grok: not usable (set XAI_API_KEY)\n" in text
    assert "  demo: usable\n" in text
    assert not machine.own.exists()


def test_signed_in_tells_account_limits_models_and_providers(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    machine.write("own/usage_limits.json", usage())
    machine.write("own/chatmock_models_cache.json", models())
    machine.more["XAI_API_KEY"] = CANARY
    status, text = machine.run()
    assert status == 0
    assert "  Login: acct-1@example.org\n  Plan: Pro\n" in text
    assert "  5 hour limit\n" in text
    assert " 42.0% used |  58.0% left\n    Resets in: 1h59m at " in text
    assert "Models\n  first\n  second (low)\n  last\n" in text
    assert "  grok: usable\n" in text
    assert "\x1b" not in text


def test_json_holds_the_same(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    machine.write("own/usage_limits.json", usage())
    machine.write("own/chatmock_models_cache.json", models())
    status, found = machine.json()
    assert status == 0
    assert set(found) == {"account", "available_models", "usage_limits", "providers", "daemon"}
    assert found["account"]["login"] == "acct-1@example.org"
    assert found["account"]["read_only"] is False
    assert [each["slug"] for each in found["available_models"]["models"]] == ["first", "second", "last"]
    assert found["usage_limits"]["windows"][0]["used_percent"] == 42.0
    providers = {each["name"]: (each["usable"], each["missing"]) for each in found["providers"]}
    assert providers["grok"] == (False, "XAI_API_KEY")
    assert providers["demo"] == (True, None)
    assert "chatgpt" not in providers


def test_the_codex_login_is_used_and_left_alone(machine: Machine) -> None:
    path = machine.write(".codex/auth.json", auth("codex", expires=-60))
    before = path.read_bytes(), path.stat().st_mtime_ns
    status, text = machine.run()
    assert status == 0
    assert "Login: codex@example.org" in text
    assert "will not refresh it" in text
    assert f"File: {path}" in text
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in path.parent.iterdir()] == ["auth.json"]
    assert machine.json()[1]["account"]["read_only"] is True


def test_the_first_login_counts(machine: Machine) -> None:
    machine.write(".codex/auth.json", auth("second"))
    assert machine.json()[1]["account"]["account_id"] == "second"
    machine.write("own/auth.json", b'{"tokens": null}')
    assert machine.json()[1]["account"]["account_id"] == "second"
    machine.write("own/auth.json", auth("first"))
    found = machine.json()[1]["account"]
    assert (found["account_id"], found["read_only"]) == ("first", False)


def test_the_codex_folder_as_state_folder_is_only_read(machine: Machine) -> None:
    machine.write(".codex/auth.json", auth())
    machine.more["CHATGPT_LOCAL_HOME"] = "~/.codex"
    assert machine.json()[1]["account"]["read_only"] is True


def test_the_state_folder_is_ours_even_by_another_name(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    (machine.home / "link").symlink_to(machine.own)
    machine.more.update(CODEX_HOME=str(machine.home / "link"))
    assert machine.json()[1]["account"]["read_only"] is False


@pytest.mark.parametrize("damage", ["folder", "rubbish"])
def test_a_login_that_cannot_be_read_is_a_fault_unless_there_is_another(
    machine: Machine, damage: str
) -> None:
    path = machine.own / "auth.json"
    if damage == "folder":
        path.mkdir(parents=True)
    else:
        machine.write("own/auth.json", CANARY.encode())
    status, text = machine.run()
    assert status == 1
    assert "Not signed in" in text
    (line,) = [line for line in text.splitlines() if str(path) in line]
    assert ("Is a directory" if damage == "folder" else "damaged") in line
    status, found = machine.json()
    assert (status, found["account"]["signed_in"]) == (1, False)
    assert str(path) in found["account"]["hint"]
    machine.write(".codex/auth.json", auth("codex"))
    status, text = machine.run()
    assert status == 0
    assert str(path) in text
    assert "Login: codex@example.org" in text


def test_damaged_files_beside_the_login_are_told(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    limits = machine.write("own/usage_limits.json", b"[]")
    cache = machine.write("own/chatmock_models_cache.json", b'{"account_id": "acct-1", "models": 5}')
    status, text = machine.run()
    assert status == 0
    assert f"{limits} is damaged" in text
    assert f"{cache} is damaged: it holds no list of models" in text
    assert "make a request first" in text


def test_files_that_are_pipes_are_told_and_not_waited_for(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    for name in ("usage_limits.json", "chatmock_models_cache.json"):
        os.mkfifo(machine.own / name)
    status, text = machine.run()
    assert status == 0
    assert text.count("cannot be read: it is no regular file.") == 2


def test_models_of_another_account_are_not_shown(machine: Machine) -> None:
    machine.write("own/auth.json", auth())
    machine.write("own/chatmock_models_cache.json", models("acct-2"))
    _, found = machine.json()
    assert found["available_models"]["models"] == []
    assert found["account"]["hint"] is None


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("", True), ("1", False)])
def test_bars_are_coloured_on_a_terminal_only(machine: Machine, no_color: str | None, coloured: bool) -> None:
    machine.write("own/auth.json", auth())
    machine.write("own/usage_limits.json", usage(95.0))
    if no_color is not None:
        machine.more["NO_COLOR"] = no_color
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "chatmock", "info"], stdout=theirs, env=machine.environ, check=True
        )
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "95.0% used" in shown
    assert ("\x1b[91m" in shown) is coloured


def test_a_setting_that_is_not_allowed_is_told_as_serve_does(machine: Machine) -> None:
    machine.more["CHATMOCK_PORT"] = "x"
    command = [sys.executable, "-m", "chatmock", "info"]
    ran = subprocess.run(command, capture_output=True, text=True, env=machine.environ, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("chatmock: CHATMOCK_PORT=x is not allowed")
    assert ran.stderr.count("\n") == 1


def test_the_end_of_qwen_s_token_is_told(machine: Machine) -> None:
    middle = base64.urlsafe_b64encode(jsontext.dumps({"exp": time.time() + 90_000})).decode().rstrip("=")
    machine.more["QWEN_AUTH_TOKEN"] = f"{CANARY}.{middle}.x"
    text = machine.run()[1]
    assert "qwen: usable, the token expires in 1d" in text
    assert CANARY not in text
    [qwen] = [each for each in machine.json()[1]["providers"] if each["name"] == "qwen"]
    assert qwen["usable"] is True
