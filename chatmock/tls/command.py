"""``chatmock tls init`` and ``chatmock tls show``. They ask nobody; the daemon need not run."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from twisted.python import usage

from chatmock.options import ServeOptions
from chatmock.settings import Settings
from chatmock.state_files import state_folder
from chatmock.tls.authority import DAYS, MOST_DAYS, Name, fingerprint, names_of, not_permitted
from chatmock.tls.box import own_names, read_name
from chatmock.tls.files import TLSFiles, TLSFilesError, make, read_certificate
from chatmock.tls.trust import FILE, as_text

Say = Callable[[str], object]


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise usage.UsageError(f"--days={text!r} is not allowed: give a number from 1 to {MOST_DAYS}")
    return int(text)


class InitOptions(usage.Options):
    """``chatmock tls init``."""

    optParameters: ClassVar = [
        ["days", None, DAYS, f"How long the certificate is valid, at most {MOST_DAYS} days.", _days]
    ]
    longdesc = (
        "Makes a small certificate authority for this machine, once, and a certificate for its names and addresses,"
        " afresh each time. Says how devices are told to trust the authority. The daemon renews the certificate by"
        " itself."
    )

    def opt_name(self, text: str) -> None:
        """A further name or address that clients call this machine by (repeatable; without it, names given before stay)."""
        try:
            self["names"] = (*self.get("names", ()), read_name(text))
        except ValueError:
            raise usage.UsageError(
                f"--name={text!r} is not allowed: give a host name or an IP address"
            ) from None


class ShowOptions(usage.Options):
    """``chatmock tls show``."""

    longdesc = "Shows the names, ends and fingerprints of the authority and of the server's certificate."


class TLSOptions(usage.Options):
    """``chatmock tls``."""

    subCommands: ClassVar = [
        ["init", None, InitOptions, "Make or renew the certificate of this machine."],
        ["show", None, ShowOptions, "Show the certificates."],
    ]

    def postOptions(self) -> None:
        """A command must be named."""
        if self.subCommand is None:
            raise usage.UsageError("name what to do: chatmock tls init, or chatmock tls show")


def tls(options: TLSOptions, environ: Mapping[str, str], say: Say, complain: Say) -> int:
    """Run ``chatmock tls``; returns the exit status.

    :param say: takes what is to be told, without a last line end; *complain*: a line about what failed.
    :raises usage.UsageError: when a setting has a value that is not allowed.
    :raises SettingError: when nobody knows the home folder that the state folder is in.
    """
    settings = ServeOptions().settings(environ)
    files = TLSFiles(state_folder(settings.home))
    wanted = options.subOptions
    try:
        if isinstance(wanted, InitOptions):
            return _init(files, wanted.get("names", ()), int(wanted["days"]), say)
        return _show(files, settings, say, complain)
    except TLSFilesError as error:
        complain(str(error))
        return 1


def _init(files: TLSFiles, wished: Sequence[Name], days: int, say: Say) -> int:
    own = own_names()
    with files.locked():
        made, certificate = make(files, own, wished, dt.datetime.now(dt.UTC), days)
    authority = read_certificate(files.authority)
    assert authority is not None, "it has just been used"
    lines = [
        f"{'Made' if made else 'Kept'} the authority {files.authority}",
        *_described(authority),
        f"Made the server's certificate {files.server}",
        *_described(certificate),
    ]
    left_out = not_permitted(own, authority)
    if left_out:
        lines.append(
            f"Left out, since the authority was not made for it: {', '.join(map(str, left_out))}. Remove"
            f" {files.authority} to have a new one made, which every device has to trust anew."
        )
    say("\n".join((*lines, "", *_settings_to_use(files, certificate), "", _how_to_trust(files))))
    return 0


def _show(files: TLSFiles, settings: Settings, say: Say, complain: Say) -> int:
    shown: list[str] = []
    wanted: list[tuple[str, Path]] = [
        ("The authority", files.authority),
        ("The server's certificate", files.server),
    ]
    if settings.tls_cert is not None and settings.tls_cert.expanduser() != files.server:
        wanted.append(("The certificate in the settings", settings.tls_cert.expanduser()))
    for title, path in wanted:
        certificate = read_certificate(path)
        if certificate is not None:
            shown += [f"{title} {path}", *_described(certificate)]
    if not shown:
        complain("there is no certificate yet. Make one with: chatmock tls init")
        return 1
    say("\n".join(shown))
    return 0


def _described(certificate: x509.Certificate) -> Sequence[str]:
    ends, now = certificate.not_valid_after_utc, dt.datetime.now(dt.UTC)
    names = names_of(certificate)
    return [
        *([f"  names:   {', '.join(map(str, names))}"] if names else []),
        f"  {'ended' if ends <= now else 'ends'}:{'  ' if ends <= now else '   '} {ends:%Y-%m-%d}",
        f"  SHA-256: {fingerprint(certificate)}",
    ]


def _settings_to_use(files: TLSFiles, certificate: x509.Certificate) -> Sequence[str]:
    hosts = [name for name in names_of(certificate) if isinstance(name, str) and name != "localhost"]
    return [
        "Start the daemon with these settings (and CHATMOCK_HOST=0.0.0.0 for the network to reach it):",
        f"  CHATMOCK_TLS_CERT={files.server}",
        f"  CHATMOCK_TLS_KEY={files.server_key}",
        *([f"  CHATMOCK_ALLOWED_HOSTS={','.join(hosts)}"] if hosts else []),
        "It renews the certificate by itself when less than 30 days are left.",
    ]


def _how_to_trust(files: TLSFiles) -> str:
    return (
        f"Every device has to trust the authority once. Give it {files.authority.name} as {FILE}: it is no secret, and"
        " the running daemon serves it at /ca.pem, with these words at /ca. Never give it the keys.\n"
        f"{as_text()}"
    )
