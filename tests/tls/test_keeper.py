"""A running daemon's certificate: looked at once a minute and at SIGHUP, renewed when it is ours and due."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

import chatmock.tls.keeper as keeper_module
from chatmock.certificates import ServerCertificate
from chatmock.settings import SettingError, Settings
from chatmock.tls.authority import Name, names_of
from chatmock.tls.files import TLSFiles, make, read_certificate
from chatmock.tls.keeper import LOOK_SECONDS, CertificateKeeper
from tests.tls.material import Pem, issue, write_pem

NOW = dt.datetime.now(dt.UTC)
OWN: list[Name] = ["box", "localhost", ipaddress.ip_address("127.0.0.1")]
DAY = 86400.0


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> list[Name]:
    """What this machine is called."""
    names = list(OWN)
    monkeypatch.setattr(keeper_module, "own_names", lambda: names)
    return names


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if str(event.get("log_namespace", "")).startswith("chatmock."):
            level = event["log_level"]
            assert level <= LogLevel.warn, event
            lines.append(f"{level.name}: {event['log_format'].format(**event)}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


class Kept:
    """A keeper with a clock and a calendar in hand."""

    def __init__(self, home: Path, pem: Pem | None, **settings: Any) -> None:
        self.clock = Clock()
        self.at = NOW.timestamp()
        files: dict[str, Any] = {} if pem is None else {"tls_cert": pem.certificate, "tls_key": pem.key}
        self.keeper = CertificateKeeper.of(
            Settings(home=home, **files, **settings), self.clock, lambda: self.at, self._run
        )

    @staticmethod
    def _run(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return maybeDeferred(function, *arguments)

    @property
    def serial(self) -> int:
        assert self.keeper.certificate is not None
        return self.keeper.certificate.leaf.serial_number


@pytest.fixture
def files(tmp_path: Path) -> TLSFiles:
    return TLSFiles(tmp_path)


@pytest.fixture
def ours(files: TLSFiles) -> Pem:
    with files.locked():
        make(files, OWN, ["extra.lan"], NOW, 90)
    return Pem(files.server, files.server_key)


def test_what_others_renew_is_taken_over_within_a_minute(tmp_path: Path, said: list[str]) -> None:
    ca = trustme.CA()
    kept = Kept(tmp_path, write_pem(tmp_path, issue(ca)))
    kept.keeper.start()
    before = kept.serial
    kept.clock.advance(LOOK_SECONDS)
    assert (kept.serial, said) == (before, [])
    write_pem(tmp_path, issue(ca))
    kept.clock.advance(LOOK_SECONDS)
    assert kept.serial != before
    assert len(said) == 1
    assert said[0].startswith("info: new connections get the TLS certificate that ends on")


def test_a_bad_new_one_is_told_once_and_again_when_asked(tmp_path: Path, said: list[str]) -> None:
    pem = write_pem(tmp_path, issue(trustme.CA()))
    kept = Kept(tmp_path, pem)
    kept.keeper.start()
    before = kept.serial
    pem.certificate.write_bytes(b"half a certif")
    kept.clock.pump([LOOK_SECONDS] * 3)
    assert len(said) == 1
    assert "was not reloaded, the one before stays in use" in said[0]
    assert str(pem.certificate) in said[0]
    assert "\n" not in said[0]
    kept.keeper.reload()
    assert said == [said[0]] * 2
    assert kept.serial == before


def test_asked_for_it_reads_what_has_not_changed(tmp_path: Path, said: list[str]) -> None:
    kept = Kept(tmp_path, write_pem(tmp_path, issue(trustme.CA())))
    kept.keeper.reload()
    assert len(said) == 1


def test_ours_is_renewed_in_time(tmp_path: Path, files: TLSFiles, ours: Pem, said: list[str]) -> None:
    kept = Kept(tmp_path, ours)
    kept.keeper.start()
    before = kept.serial
    kept.at += 59 * DAY
    kept.clock.advance(LOOK_SECONDS)
    assert (kept.serial, said) == (before, [])
    kept.at += 2 * DAY
    kept.clock.advance(LOOK_SECONDS)
    assert kept.serial != before
    assert len(said) == 1
    leaf = read_certificate(files.server)
    assert leaf is not None
    assert leaf.serial_number == kept.serial
    assert "extra.lan" in names_of(leaf)
    kept.clock.advance(LOOK_SECONDS)
    assert len(said) == 1


def test_ours_is_renewed_at_the_start(tmp_path: Path, files: TLSFiles) -> None:
    long_ago = NOW - dt.timedelta(days=100)
    with files.locked():
        make(files, OWN, (), long_ago, 90)
    kept = Kept(tmp_path, Pem(files.server, files.server_key))
    assert kept.keeper.notices == []


def test_ours_is_renewed_for_another_address(
    tmp_path: Path, ours: Pem, own: list[Name], said: list[str]
) -> None:
    kept = Kept(tmp_path, ours)
    kept.keeper.start()
    before = kept.serial
    own[-1:] = [ipaddress.ip_address("192.168.7.7"), "box.lan", "elsewhere"]
    kept.clock.advance(LOOK_SECONDS)
    assert kept.serial != before
    assert kept.keeper.certificate is not None
    names = set(names_of(kept.keeper.certificate.leaf))
    assert {ipaddress.ip_address("192.168.7.7"), "box.lan", *OWN, "extra.lan"} == names
    kept.clock.advance(LOOK_SECONDS)
    assert len(said) == 1, "what the authority may not certify is no reason to renew again and again"


def test_a_new_one_is_taken_when_its_key_has_been_made_private(tmp_path: Path, said: list[str]) -> None:
    ca = trustme.CA()
    pem = write_pem(tmp_path, issue(ca))
    kept = Kept(tmp_path, pem)
    kept.keeper.start()
    before = kept.serial
    write_pem(tmp_path, issue(ca))
    pem.key.chmod(0o644)
    kept.clock.pump([LOOK_SECONDS] * 3)
    assert kept.serial == before
    assert len(said) == 1
    assert "others may read" in said[0]
    pem.key.chmod(0o600)
    kept.clock.advance(LOOK_SECONDS)
    assert kept.serial != before
    assert len(said) == 2


def test_another_one_is_not_renewed(tmp_path: Path, files: TLSFiles, ours: Pem, said: list[str]) -> None:
    copy = Pem(tmp_path / "copy.pem", tmp_path / "copy-key.pem")
    for one, other in zip(ours, copy, strict=True):
        other.touch(0o600)
        other.write_bytes(one.read_bytes())
    kept = Kept(tmp_path, copy)
    kept.at += 80 * DAY
    before = files.server.read_bytes()
    kept.keeper.start()
    assert said == []
    assert files.server.read_bytes() == before
    assert "renew it soon" in " ".join(kept.keeper.notices)


def test_what_keeps_it_from_being_renewed_is_told_once(
    tmp_path: Path, files: TLSFiles, ours: Pem, said: list[str]
) -> None:
    kept = Kept(tmp_path, ours)
    kept.at += 80 * DAY
    files.authority_key.chmod(0o644)
    kept.keeper.start()
    kept.clock.pump([LOOK_SECONDS] * 3)
    assert len(said) == 1
    assert said[0].startswith("warn: The TLS certificate is not looked after: the key")
    kept.keeper.reload()
    assert said.count(said[0]) == 2
    files.authority_key.chmod(0o600)
    before = kept.serial
    kept.clock.advance(LOOK_SECONDS)
    assert kept.serial != before


def test_a_bad_certificate_stops_the_start(tmp_path: Path, ours: Pem) -> None:
    ours.key.chmod(0o644)
    with pytest.raises(SettingError, match="others may read"):
        Kept(tmp_path, ours)


def test_stopped_it_looks_no_more(tmp_path: Path, ours: Pem) -> None:
    kept = Kept(tmp_path, ours)
    kept.keeper.start()
    stopped: list[None] = []
    kept.keeper.stop().addCallback(stopped.append)
    assert stopped == [None]
    assert kept.clock.getDelayedCalls() == []


def test_stopped_it_does_not_reload(tmp_path: Path, ours: Pem, said: list[str]) -> None:
    kept = Kept(tmp_path, ours)
    kept.keeper.start()
    kept.keeper.stop()
    kept.keeper.reload()
    assert said == []


def test_stopping_waits_for_what_is_being_looked_at(tmp_path: Path, files: TLSFiles, ours: Pem) -> None:
    work: Deferred[Any] = Deferred()
    keeper = CertificateKeeper(
        files, ServerCertificate(*ours), Clock(), NOW.timestamp, lambda *arguments: work
    )
    keeper.start()
    stopped: list[None] = []
    keeper.stop().addCallback(stopped.append)
    assert stopped == []
    work.callback((False, []))
    assert stopped == [None]


def test_the_documents_come_with_the_authority(tmp_path: Path, files: TLSFiles) -> None:
    kept = Kept(tmp_path, None)
    kept.keeper.start()
    assert kept.keeper.document("/ca") is None
    assert kept.keeper.document("/ca.pem") is None
    with files.locked():
        make(files, OWN, (), NOW, 90)
    kept.clock.advance(LOOK_SECONDS)
    file, page = kept.keeper.document("/ca.pem"), kept.keeper.document("/ca")
    assert file is not None
    assert page is not None
    assert x509.load_pem_x509_certificate(file.body) == read_certificate(files.authority)
    assert page.headers["Content-Type"].startswith("text/html")


def test_no_secret_is_served_out_of_a_file_that_holds_one(tmp_path: Path, files: TLSFiles, ours: Pem) -> None:
    files.authority.write_bytes(files.authority_key.read_bytes() + files.authority.read_bytes())
    file = Kept(tmp_path, ours).keeper.document("/ca.pem")
    assert file is not None
    assert b"PRIVATE" not in file.body
