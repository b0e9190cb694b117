"""``chatmock tls``, as somebody at a console uses it."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest

from chatmock import cli
from chatmock.tls import box
from chatmock.tls.files import TLSFiles
from tests.tls.material import issue, write_pem


@pytest.fixture
def files(home: Path) -> TLSFiles:
    return TLSFiles(home / ".chatgpt-local")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["tls", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_init_says_what_to_do(capsys: pytest.CaptureFixture[str], files: TLSFiles) -> None:
    status, out, err = run(capsys, "init", "--name", "Chat.Example.org", "--name=203.0.113.9")
    assert (status, err) == (0, "")
    assert f"Made the authority {files.authority}\n" in out
    assert f"CHATMOCK_TLS_CERT={files.server}\n" in out
    assert f"CHATMOCK_TLS_KEY={files.server_key}\n" in out
    names = re.search(r"names: +(.*)", out)
    assert names is not None
    assert {"localhost", "127.0.0.1", "::1", "chat.example.org", "203.0.113.9"} <= set(names[1].split(", "))
    assert "update-ca-certificates" in out
    assert "PRIVATE" not in out
    status, out, _ = run(capsys, "init", "--days", "30")
    assert f"Kept the authority {files.authority}\n" in out
    assert "chat.example.org" in out


def test_the_settings_that_it_says_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    from chatmock.options import ServeOptions

    _, out, _ = run(capsys, "init", "--name", "chat.example.org")
    told = dict(line.strip().split("=", 1) for line in out.splitlines() if line.startswith("  CHATMOCK_"))
    settings = ServeOptions().settings(told)
    assert settings.tls_cert is not None
    assert "chat.example.org" in settings.allowed_hosts
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)


@pytest.mark.parametrize(
    "arguments",
    [
        ["init", "--name", "not a name"],
        ["init", "--name", "*.lan"],
        ["init", "--name", ""],
        ["init", "--name", "300.1.1.1"],
        ["init", "--days", "398"],
        ["init", "--days", "0"],
        ["init", "--days", "x"],
        ["init", "more"],
        [],
        ["other"],
    ],
)
def test_bad_arguments_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], files: TLSFiles, arguments: list[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"chatmock: [^\n]+\n", err)
    assert not files.home.exists()


def test_a_name_beyond_the_authority_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "init")
    status, out, err = run(capsys, "init", "--name", "chat.example.org")
    assert (status, out) == (1, "")
    assert "may not certify chat.example.org" in err


def test_show(capsys: pytest.CaptureFixture[str], files: TLSFiles) -> None:
    status, out, err = run(capsys, "show")
    assert (status, out) == (1, "")
    assert "chatmock tls init" in err
    _, told, _ = run(capsys, "init")
    before = {path: path.read_bytes() for path in files.authority.parent.iterdir()}
    status, out, err = run(capsys, "show")
    assert (status, err) == (0, "")
    prints = re.findall(r"SHA-256: ([0-9A-F:]{95})", told)
    assert re.findall(r"SHA-256: ([0-9A-F:]{95})", out) == prints
    assert len(prints) == 2
    assert "localhost" in out
    assert {path: path.read_bytes() for path in files.authority.parent.iterdir()} == before


def test_show_tells_of_the_one_in_the_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trustme

    pem = write_pem(tmp_path, issue(trustme.CA()))
    monkeypatch.setenv("CHATMOCK_TLS_CERT", str(pem.certificate))
    monkeypatch.setenv("CHATMOCK_TLS_KEY", str(pem.key))
    status, out, _ = run(capsys, "show")
    assert status == 0
    assert f"The certificate in the settings {pem.certificate}" in out


def test_the_names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "My-Box.example.net")
    names = [str(name) for name in box.own_names()]
    assert names[:7] == [
        "my-box",
        "my-box.example.net",
        "my-box.local",
        "my-box.lan",
        "localhost",
        "127.0.0.1",
        "::1",
    ]


@pytest.mark.parametrize("name", ["", "bad name", "-", "localhost", "10.0.0.1"])
def test_a_machine_without_a_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    names = [str(name) for name in box.own_names()]
    assert "localhost" in names[:2]
    assert not [each for each in names if each.endswith((".local", ".lan"))]


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="Linux tells the addresses there")
def test_own_addresses_are_real() -> None:
    for name in box.own_names():
        if not isinstance(name, str):
            family = socket.AF_INET if name.version == 4 else socket.AF_INET6
            with socket.socket(family) as probe:
                probe.bind((str(name), 0))
