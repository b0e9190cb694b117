"""The authority's files: private, made once, whole, and the server's renewed when it is time."""

from __future__ import annotations

import datetime as dt
import ipaddress
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from chatmock import state_files
from chatmock.certificates import ServerCertificate, issued_by
from chatmock.tls import files as files_module
from chatmock.tls.authority import Name, names_of
from chatmock.tls.files import TLSFiles, TLSFilesError, make, read_authority, read_certificate, renew

NOW = dt.datetime.now(dt.UTC)
ADDRESS = ipaddress.ip_address("192.168.1.5")
OWN: list[Name] = ["box", "box.local", "localhost", ADDRESS]
MONTH = dt.timedelta(days=30)


@pytest.fixture
def files(tmp_path: Path) -> TLSFiles:
    return TLSFiles(tmp_path / "state")


def days(count: float) -> dt.datetime:
    return NOW + dt.timedelta(days=count)


def made(
    files: TLSFiles, *wished: Name, now: dt.datetime = NOW, own: list[Name] = OWN, days: int = 90
) -> x509.Certificate:
    with files.locked():
        return make(files, own, wished, now, days)[1]


def test_everything_is_private_and_fits_together(files: TLSFiles) -> None:
    leaf = made(files)
    modes = {path.name: path.stat().st_mode & 0o777 for path in files.authority.parent.iterdir()}
    assert modes == dict.fromkeys(["ca.pem", "ca-key.pem", "server.pem", "server-key.pem", "lock"], 0o600)
    assert files.authority.parent.stat().st_mode & 0o777 == 0o700
    server = ServerCertificate(files.server, files.server_key)
    assert server.leaf == leaf
    assert not server.notices(NOW)
    authority = read_authority(files)
    assert authority is not None
    assert issued_by(leaf, authority.certificate)


def test_again_renews_the_certificate_and_keeps_the_rest(files: TLSFiles) -> None:
    first = made(files)
    kept = {path: path.read_bytes() for path in (files.authority, files.authority_key, files.server_key)}
    second = made(files)
    assert second.serial_number != first.serial_number
    assert {path: path.read_bytes() for path in kept} == kept


def test_names_given_before_stay_until_others_are_given(files: TLSFiles) -> None:
    assert "a.lan" in names_of(made(files, "a.lan"))
    assert "a.lan" in names_of(made(files))
    third = names_of(made(files, "b.lan"))
    assert "b.lan" in third
    assert "a.lan" not in third
    assert set(OWN) <= set(third)


def test_a_new_authority_is_for_the_names_given_before(files: TLSFiles) -> None:
    made(files, "chat.example.org")
    files.authority.unlink()
    assert "chat.example.org" in names_of(made(files))


def test_a_name_that_the_authority_may_not_certify(files: TLSFiles) -> None:
    made(files)
    before = files.server.read_bytes()
    with pytest.raises(TLSFilesError, match=r"may not certify chat\.example\.org"):
        made(files, "chat.example.org")
    assert files.server.read_bytes() == before


def test_a_new_host_name_is_left_out(files: TLSFiles) -> None:
    made(files)
    names = names_of(made(files, own=["other", "other.local", "localhost"]))
    assert "other.local" in names
    assert "other" not in names


def test_an_authority_that_has_ended_is_replaced(files: TLSFiles) -> None:
    made(files, now=days(-3660))
    old = read_certificate(files.authority)
    with files.locked():
        new, leaf = make(files, OWN, (), NOW, 90)
    authority = read_certificate(files.authority)
    assert new
    assert authority is not None
    assert authority != old
    assert issued_by(leaf, authority)


@pytest.mark.parametrize("lost", ["server", "server_key", "authority"])
def test_what_is_lost_is_made_again(files: TLSFiles, lost: str) -> None:
    made(files)
    getattr(files, lost).unlink()
    made(files)
    assert ServerCertificate(files.server, files.server_key)


def test_a_lost_authority_key_is_told(files: TLSFiles) -> None:
    made(files)
    files.authority_key.unlink()
    with pytest.raises(TLSFilesError, match="is not the key of"):
        made(files)


@pytest.mark.parametrize("which", ["authority", "authority_key", "server_key"])
def test_what_is_damaged_is_told(files: TLSFiles, which: str) -> None:
    made(files)
    getattr(files, which).write_bytes(b"damaged")
    with pytest.raises(TLSFilesError, match=f"{getattr(files, which)}"):
        made(files)


@pytest.mark.parametrize("which", ["authority_key", "server_key"])
def test_a_wide_key_is_not_used(files: TLSFiles, which: str) -> None:
    made(files)
    getattr(files, which).chmod(0o644)
    with pytest.raises(TLSFilesError, match="others may read"):
        made(files)


def test_one_at_a_time(files: TLSFiles) -> None:
    with files.locked(), pytest.raises(TLSFilesError, match="another chatmock"), files.locked():
        pass
    made(files)


def test_a_folder_that_cannot_be_written_is_told(files: TLSFiles, tmp_path: Path) -> None:
    files.home.write_text("a file")
    with pytest.raises(TLSFilesError, match="cannot be written"):
        made(files)


def test_a_crash_at_any_moment_leaves_what_serves(files: TLSFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the writes is the last one that was done, the next attempt makes everything."""
    for last in range(4):
        here = TLSFiles(files.home / str(last))
        written: list[Path] = []

        def write(path: Path, data: bytes, last: int = last, written: list[Path] = written) -> None:
            if len(written) == last:
                raise OSError(28, "No space left on device", str(path))
            written.append(path)
            state_files.write_private(path, data)

        with monkeypatch.context() as patched:
            patched.setattr(files_module, "write_private", write)
            with pytest.raises(TLSFilesError, match="No space left on device"):
                made(here)
        made(here)
        assert ServerCertificate(here.server, here.server_key)


def test_renewed_in_time_and_no_earlier(files: TLSFiles) -> None:
    leaf = made(files, "extra.lan")
    assert not renew(files, OWN, NOW, MONTH, 397)
    assert not renew(files, OWN, days(59), MONTH, 397)
    assert renew(files, OWN, days(61), MONTH, 397)
    new = read_certificate(files.server)
    assert new is not None
    assert new.not_valid_after_utc > leaf.not_valid_after_utc
    assert "extra.lan" in names_of(new)
    assert not renew(files, OWN, days(61), MONTH, 397)


def test_one_that_has_not_begun_is_renewed(files: TLSFiles) -> None:
    made(files)
    with files.locked():
        make(files, OWN, (), days(10), 90)  # while the clock was wrong
    assert renew(files, OWN, NOW, MONTH, 397)
    new = read_certificate(files.server)
    assert new is not None
    assert new.not_valid_before_utc <= NOW
    assert not renew(files, OWN, NOW, MONTH, 397)


def test_an_authority_that_has_not_begun_is_told(files: TLSFiles) -> None:
    made(files, now=days(10))
    before = files.server.read_bytes()
    with pytest.raises(TLSFilesError, match=r"begins on .* only\. Set this machine's clock"):
        renew(files, OWN, NOW, MONTH, 397)
    assert files.server.read_bytes() == before


def test_renewed_for_what_the_machine_is_called_now(files: TLSFiles) -> None:
    made(files, "extra.lan")
    other: list[Name] = ["other", "other.lan", "localhost", ipaddress.ip_address("fd00::7")]
    assert renew(files, other, NOW, MONTH, 397)
    new = read_certificate(files.server)
    assert new is not None
    assert set(names_of(new)) == {*OWN, "extra.lan", *other} - {"other"}
    assert not renew(files, other, NOW, MONTH, 397)
    assert not renew(files, OWN, NOW, MONTH, 397), "what comes and goes is no reason to renew each time"


def test_names_of_the_past_are_not_kept_for_ever_but_those_wished_are(files: TLSFiles) -> None:
    made(files, "extra.lan", ipaddress.ip_address("10.9.9.9"))
    for number in range(130):
        own: list[Name] = [f"n{number}.lan", ipaddress.ip_address("10.0.0.0") + number]
        assert renew(files, own, NOW, MONTH, 397)
    new = read_certificate(files.server)
    assert new is not None
    assert len(names_of(new)) == 202
    assert {*own, "extra.lan", ipaddress.ip_address("10.9.9.9")} <= set(names_of(new))


def test_two_do_not_renew_at_the_same_time(files: TLSFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    made(files)
    at_work, go_on, done = threading.Event(), threading.Event(), []
    real = files_module.make

    def slow(*arguments: Any) -> Any:
        if at_work.is_set():
            raise AssertionError("two are at work")
        at_work.set()
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(files_module, "make", slow)
    thread = threading.Thread(target=lambda: done.append(renew(files, OWN, days(61), MONTH, 397)))
    thread.start()
    try:
        assert at_work.wait(20)
        with pytest.raises(TLSFilesError, match="another chatmock is at work"):
            renew(files, OWN, days(61), MONTH, 397)
    finally:
        go_on.set()
        thread.join()
    assert done == [True]
    assert not renew(files, OWN, days(61), MONTH, 397)


def test_what_another_has_renewed_meanwhile_is_left(files: TLSFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    made(files)
    locked = TLSFiles.locked

    def late(self: TLSFiles) -> Any:
        monkeypatch.undo()
        assert renew(files, OWN, days(61), MONTH, 397)
        return locked(self)

    monkeypatch.setattr(TLSFiles, "locked", late)
    assert not renew(files, OWN, days(61), MONTH, 397)


def test_only_ours_is_renewed(files: TLSFiles, tmp_path: Path) -> None:
    made(files)
    other = TLSFiles(tmp_path / "other")
    made(other)
    other.server.replace(files.server)
    before = files.server.read_bytes()
    assert not renew(files, OWN, days(80), MONTH, 397)
    assert files.server.read_bytes() == before


def test_nothing_is_renewed_where_nothing_was_made(files: TLSFiles) -> None:
    assert not renew(files, OWN, NOW, MONTH, 397)
    assert not files.home.exists()


def test_the_end_of_the_authority_is_told(files: TLSFiles) -> None:
    made(files, now=days(-3640))
    with files.locked():
        make(files, OWN, (), days(-20), 90)
    with pytest.raises(TLSFilesError, match=r"the authority .* ends on"):
        renew(files, OWN, NOW, MONTH, 397)
