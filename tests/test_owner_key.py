"""The file by which the owner's commands are known to the daemon beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatmock.owner_key import OwnerKey, owner_key_file, read_owner_key


def test_it_is_read_as_it_was_written_at_its_own_ports_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    key = OwnerKey(folder)
    key.write([8000, 8443, 8000])
    assert read_owner_key(folder, 8000) == read_owner_key(folder, 8443) == key.secret
    assert read_owner_key(folder, 8001) is None
    assert sorted(path.name for path in folder.iterdir()) == ["owner-8000.key", "owner-8443.key"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    key.remove()
    assert list(folder.iterdir()) == []
    key.remove()


def test_each_run_has_another_and_takes_away_its_own_only(tmp_path: Path) -> None:
    first, second = OwnerKey(tmp_path), OwnerKey(tmp_path)
    assert first.secret != second.secret
    assert first.secret.reveal() not in repr(vars(first))
    first.write([1])
    second.write([1])
    first.remove()
    assert read_owner_key(tmp_path, 1) == second.secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_what_others_may_read_or_write_is_not_used(tmp_path: Path, mode: int) -> None:
    OwnerKey(tmp_path).write([1])
    owner_key_file(tmp_path, 1).chmod(mode)
    assert read_owner_key(tmp_path, 1) is None


def test_what_belongs_to_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OwnerKey(tmp_path).write([1])
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert read_owner_key(tmp_path, 1) is None


@pytest.mark.parametrize(
    "content", [b"", b"short", b"A" * 44, b"A" * 42 + b"\n", b"A" * 43 + b"\n", b"A" * 5000]
)
def test_what_is_no_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = owner_key_file(tmp_path, 1)
    path.write_bytes(content)
    path.chmod(0o600)
    assert read_owner_key(tmp_path, 1) is None


def test_a_folder_or_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    owner_key_file(tmp_path, 1).mkdir()
    os.mkfifo(owner_key_file(tmp_path, 2), 0o600)
    assert read_owner_key(tmp_path, 1) is read_owner_key(tmp_path, 2) is None
