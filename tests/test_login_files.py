"""Which file's login is used, whatever lies there in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chatmock.login.store import forget_login, keep_login
from chatmock.login_files import MOST_BYTES, LoginFiles, find_login, login_files, login_lock
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens
from chatmock.settings import Secret, Settings

TOKENS = Tokens(Secret("i"), Secret("a"), Secret("r"), last_refresh="then")


def access(path: Path) -> str:
    held = json.loads(path.read_bytes())["tokens"]["access_token"]
    assert isinstance(held, str)
    return held


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    return tmp_path / "own" / "auth.json"


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [("pipe", "it is no regular file"), ("large", "larger"), ("folder", "Is a directory")],
)
def test_what_is_no_login_file_is_passed_over_at_once(own: Path, obstacle: str, why: str) -> None:
    if obstacle == "pipe":
        os.mkfifo(own)
    elif obstacle == "folder":
        own.mkdir()
    else:
        with own.open("wb") as file:
            file.write(b'{"tokens": {"access_token": "a"}}')
            file.truncate(MOST_BYTES + 1)
    other = own.with_name("other.json")
    other.write_text('{"tokens": {"access_token": "b"}}')
    other.chmod(0o600)
    found = find_login(LoginFiles(own, (other,)))
    assert found.trouble.startswith(f"The login in {own} cannot be read: ")
    assert why in found.trouble
    assert (found.path, found.foreign) == (other, True)


def test_a_link_is_kept_by_login_and_logout(own: Path) -> None:
    target = own.parent.parent / "elsewhere" / "secret.json"
    own.symlink_to(target)
    assert keep_login(own.parent, TOKENS, 0.0) is None
    assert own.is_symlink()
    assert access(target) == "a"
    assert keep_login(own.parent, Tokens(Secret("i"), Secret("b")), 0.0) is None
    assert access(target) == "b"
    assert forget_login(own.parent)
    assert not target.exists()
    assert own.is_symlink()
    assert not forget_login(own.parent)
    assert [path.name for path in own.parent.iterdir()] == ["auth.json"]


def test_a_damaged_target_is_put_aside_where_it_is(own: Path) -> None:
    target = own.parent.parent / "secret.json"
    target.write_text("{broken")
    own.symlink_to(target)
    aside = keep_login(own.parent, TOKENS, 0.0)
    assert aside is not None
    assert (aside.parent, aside.read_text()) == (target.parent, "{broken")
    assert own.is_symlink()
    assert access(target) == "a"


def test_who_writes_one_file_by_several_links_has_one_lock(own: Path) -> None:
    target = own.with_name("target.json")
    own.symlink_to(target)
    lock, other = login_lock(own), login_lock(target)
    assert lock.try_acquire()
    assert not other.try_acquire()
    lock.release()


def test_a_link_in_a_circle_is_told(own: Path) -> None:
    own.symlink_to(own)
    with pytest.raises(LoginFailed, match="cannot be kept"):
        keep_login(own.parent, TOKENS, 0.0)
    with pytest.raises(LoginFailed, match="cannot be kept"):
        forget_login(own.parent)
    assert own.is_symlink()


def test_a_link_to_the_codex_login_is_not_ours(own: Path) -> None:
    codex = own.parent.parent / ".codex" / "auth.json"
    own.symlink_to(codex)
    assert login_files(Settings(home=own.parent)) == LoginFiles(None, (codex,))


def test_what_the_codex_program_links_to_stays_ours(own: Path) -> None:
    codex = own.parent.parent / ".codex" / "auth.json"
    codex.parent.mkdir()
    own.write_text("{}")
    codex.symlink_to(own)
    assert login_files(Settings(home=own.parent)) == LoginFiles(own, (codex,))


def test_nobody_s_home_folder_holds_no_codex_login(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.login_files._CODEX_FOLDER", Path("~nobody-knows-me/.codex"))
    assert login_files(Settings(home=own.parent)) == LoginFiles(own)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o666])
def test_a_login_that_others_may_read_or_write_is_not_used(own: Path, mode: int) -> None:
    keep_login(own.parent, TOKENS, 0.0)
    own.chmod(mode)
    found = find_login(LoginFiles(own))
    assert found.tokens is None
    assert found.trouble.startswith(
        f"The login in {own} cannot be read: others may read or write it; do: chmod 600 "
    )
    own.chmod(0o600)
    assert find_login(LoginFiles(own)).tokens is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_login_of_another_user_is_not_used(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_login(own.parent, TOKENS, 0.0)
    os.chown(own, 65533, -1)
    found = find_login(LoginFiles(own))
    assert (found.tokens, "it belongs to another user (uid 65533)" in found.trouble) == (None, True)
    link = own.with_name("link.json")
    link.symlink_to(own)
    assert find_login(LoginFiles(link)).tokens is None, "it is the file that counts, not the link"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_login_of_the_system_may_be_open_to_a_group(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_login(own.parent, TOKENS, 0.0)
    own.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: 65533)
    assert find_login(LoginFiles(own)).tokens is not None
    own.chmod(0o660)
    assert find_login(LoginFiles(own)).tokens is None
