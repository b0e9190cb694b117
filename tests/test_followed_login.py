"""How the login in use follows its files, and is ahead of them while a successor is not written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from chatmock.login_files import FollowedLogin, LoginFiles, find_login, login_files, login_lock
from chatmock.providers.chatgpt.tokens import Tokens, read_tokens, write_tokens
from chatmock.settings import Secret, Settings
from chatmock.state_files import write_private


def login(path: Path, name: str = "one", **more: Any) -> Path:
    """Write a login whose tokens bear *name*; the file is a new one, as of who replaces it."""
    path.parent.mkdir(exist_ok=True)
    tokens = {"id_token": "", "access_token": f"access-{name}", "refresh_token": f"refresh-{name}"}
    new = path.with_name("new")
    new.write_text(json.dumps({"tokens": {**tokens, "account_id": name}, **more}))
    new.chmod(0o600)
    return new.replace(path)


def access(tokens: Tokens | None) -> str | None:
    return None if tokens is None else tokens.access_token.reveal()


# --- which files


def test_the_usual_files(home: Path) -> None:
    codex = home / ".codex" / "auth.json"
    assert login_files(Settings()) == LoginFiles(home / ".chatgpt-local" / "auth.json", (codex,))
    assert login_files(Settings(home=Path("/srv/state"))).own == Path("/srv/state/auth.json")


def test_the_codex_program_s_own_folder_is_only_read(home: Path) -> None:
    codex = home / ".codex" / "auth.json"
    (home / "link").symlink_to(".codex")
    for folder in ("~/.codex", "~/.codex/", "~/x/../.codex", str(home / ".codex"), "~/link"):
        assert login_files(Settings(home=Path(folder))) == LoginFiles(None, (codex,)), folder


def test_a_folder_that_is_a_link_in_a_circle_is_told_by_who_reads(home: Path) -> None:
    (home / "circle").symlink_to("circle")
    files = login_files(Settings(home=Path("~/circle")))
    assert "cannot be read: Too many levels of symbolic links" in find_login(files).trouble


def test_what_a_killed_writer_left_goes_with_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "state" / "auth.json"
    path.parent.mkdir()
    left = path.with_name(".auth.json.0123456789abcdef")
    left.write_text("secret")
    lock = login_lock(path)
    assert lock.try_acquire()
    lock.release()
    assert [each.name for each in path.parent.iterdir()] == ["auth.json.lock"]


# --- which login


def test_ours_goes_first(tmp_path: Path) -> None:
    own, codex = tmp_path / "state" / "auth.json", tmp_path / "codex" / "auth.json"
    files = LoginFiles(own, (codex,))
    assert find_login(files).tokens is None
    login(codex, "theirs")
    found = find_login(files)
    assert (access(found.tokens), found.path, found.foreign) == ("access-theirs", codex, True)
    login(own, "ours")
    found = find_login(files)
    assert (access(found.tokens), found.path, found.foreign, found.trouble) == ("access-ours", own, False, "")
    found = find_login(LoginFiles(None, (codex,)))
    assert (access(found.tokens), found.foreign) == ("access-theirs", True)


def test_a_file_in_the_way_of_the_folder_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert find_login(LoginFiles(tmp_path / "state" / "auth.json")) == find_login(LoginFiles(None))


@pytest.mark.parametrize(
    "content", ["{}", '{"OPENAI_API_KEY": "sk"}', '{"tokens": null}', '{"tokens": {"access_token": ""}}']
)
def test_a_file_without_tokens_is_no_login_and_no_trouble(tmp_path: Path, content: str) -> None:
    (tmp_path / "auth.json").write_text(content)
    assert find_login(LoginFiles(tmp_path / "auth.json")) == find_login(LoginFiles(None))


@pytest.mark.parametrize("content", ["", "[]", '{"tokens": {"access_token": "access-o'])
def test_a_damaged_file_is_passed_over_and_told(tmp_path: Path, content: str) -> None:
    own, codex = tmp_path / "auth.json", login(tmp_path / "codex" / "auth.json")
    own.write_text(content)
    found = find_login(LoginFiles(own, (codex,)))
    assert (found.path, found.trouble) == (codex, f"The login in {own} cannot be read: it is damaged.")
    alone = find_login(LoginFiles(own))
    assert (alone.tokens, alone.trouble) == (None, found.trouble)


# --- following it


@pytest.fixture
def followed(tmp_path: Path) -> FollowedLogin:
    """A login of ours, looked at once, with room for another program's behind it."""
    files = LoginFiles(login(tmp_path / "state" / "auth.json"), (tmp_path / "codex" / "auth.json",))
    made = FollowedLogin(files)
    assert made.look()
    assert access(made.found.tokens) == "access-one"
    return made


def own(followed: FollowedLogin) -> Path:
    assert followed.files.own is not None
    return followed.files.own


def successor(followed: FollowedLogin, name: str = "two") -> Tokens:
    assert followed.found.tokens is not None
    secret = Secret(f"access-{name}")
    return attrs.evolve(followed.found.tokens, access_token=secret, refresh_token=Secret(f"refresh-{name}"))


def test_it_is_read_again_when_it_has_changed(followed: FollowedLogin) -> None:
    assert not followed.look()
    login(own(followed), "two")
    assert followed.look()
    assert access(followed.found.tokens) == "access-two"
    assert not followed.look()
    own(followed).unlink()
    assert followed.look()
    assert followed.found.tokens is None
    login(followed.files.foreign[0], "theirs")
    assert followed.look()
    assert followed.found.foreign
    assert not followed.look()


def test_a_successor_is_used_and_written(followed: FollowedLogin) -> None:
    tokens = successor(followed)
    followed.use(tokens)
    assert followed.unsaved
    assert not followed.look()
    assert followed.found.tokens == tokens
    write_private(own(followed), write_tokens(tokens))
    followed.written()
    assert not followed.unsaved
    assert read_tokens(own(followed).read_bytes()) == tokens
    assert followed.look()
    assert followed.found.tokens == tokens


@pytest.mark.parametrize("what", ["damaged", "folder", "emptied", "theirs", "the same again"])
def test_a_successor_that_is_not_written_stays_in_use(followed: FollowedLogin, what: str) -> None:
    tokens = successor(followed)
    followed.use(tokens)
    match what:
        case "damaged":
            own(followed).write_text("{")
        case "folder":
            own(followed).unlink()
            own(followed).mkdir()
        case "emptied":
            own(followed).write_text("{}")
        case "theirs":
            login(followed.files.foreign[0], "theirs")
        case "the same again":
            login(own(followed), "one")
    assert followed.look()
    assert (followed.found.tokens, followed.found.foreign, followed.unsaved) == (tokens, False, True)


def test_a_second_successor_that_is_not_written_stays_too(followed: FollowedLogin) -> None:
    followed.use(successor(followed))
    followed.use(successor(followed, "three"))
    login(own(followed), "one")
    assert followed.look()
    assert (access(followed.found.tokens), followed.unsaved) == ("access-three", True)


def test_a_login_or_a_logout_counts_before_what_is_not_written(followed: FollowedLogin) -> None:
    followed.use(successor(followed))
    login(own(followed), "new")
    assert followed.look()
    assert (access(followed.found.tokens), followed.unsaved) == ("access-new", False)
    followed.use(successor(followed))
    own(followed).unlink()
    login(followed.files.foreign[0], "theirs")
    assert followed.look()
    assert (access(followed.found.tokens), followed.unsaved) == ("access-theirs", False)
