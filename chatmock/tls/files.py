"""The authority's files in the state folder, and what is made there: one process at a time, whole or not at all.

``tls/ca-key.pem`` and ``tls/ca.pem`` are the authority, ``tls/server-key.pem`` and ``tls/server.pem`` the server's.
A key outlives its certificates: so a renewal replaces one file, and no crash can leave two that do not belong
together. Whoever can read the server's key can read the authority's beside it, so changing it would gain nothing.

Everything here blocks; daemons call it from a thread.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatmock.certificates import issued_by, read_key
from chatmock.state_files import FileLock, read_bounded, write_private
from chatmock.tls.authority import (
    Authority,
    Name,
    certificate_pem,
    issue,
    key_pem,
    make_authority,
    names_of,
    new_key,
    not_permitted,
)

_FOLDER: Final = "tls"
_MOST_BYTES: Final = 1024 * 1024
_MOST_KEPT: Final = 100
"""Names, and as many addresses, that a certificate takes over from the one before."""


class TLSFilesError(Exception):
    """What is to be read or made cannot be; the message says why and what to do, as one line."""


@attrs.frozen
class TLSFiles:
    """Where the files are.

    :param home: the state folder.
    """

    home: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate: what devices trust."""
        return self.home / _FOLDER / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """Its key: what must never leave this machine."""
        return self.home / _FOLDER / "ca-key.pem"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.home / _FOLDER / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's key."""
        return self.home / _FOLDER / "server-key.pem"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes them meanwhile.

        :raises TLSFilesError: when somebody does, or the folder cannot be written.
        """
        lock = FileLock(self.home / _FOLDER / "lock")
        try:
            free = lock.try_acquire()
        except OSError as error:
            raise TLSFilesError(
                f"{self.home / _FOLDER} cannot be written: {error.strerror}. Check its owner and mode."
            ) from None
        if not free:
            raise TLSFilesError("another chatmock is at work on the certificates. Try again in a moment.")
        try:
            yield
        finally:
            lock.release()


def read_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate in the PEM file *path*; None for no such file.

    :raises TLSFilesError: when there is one that cannot be used.
    """
    try:
        return x509.load_pem_x509_certificates(read_bounded(path, _MOST_BYTES))[0]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "it holds no certificate"
    raise TLSFilesError(f"{path} cannot be used: {why}. Remove it to have a new one made.")


def read_authority(files: TLSFiles) -> Authority | None:
    """The authority; None where none has been made.

    :raises TLSFilesError: when there is one that cannot be used.
    """
    certificate = read_certificate(files.authority)
    if certificate is None:
        return None
    key = _read_key(files.authority_key)
    if key is None or key.public_key() != certificate.public_key():
        raise TLSFilesError(
            f"{files.authority_key} is not the key of {files.authority}. Bring it back; or remove both to have a new"
            " authority made, which every device has to trust anew."
        )
    return Authority(certificate, key)


def make(
    files: TLSFiles, own: Sequence[Name], wished: Sequence[Name], now: dt.datetime, days: int
) -> tuple[bool, x509.Certificate]:
    """Make what is missing and a fresh server's certificate; whether the authority is new, and the certificate.

    It is for the *own* names of this machine and those *wished*; where none are wished, for those that the present
    one is for. An authority that has ended is replaced. To be called under :meth:`TLSFiles.locked`.

    :param now: with a time zone. *days*: how long it is valid, at most
        :data:`~chatmock.tls.authority.MOST_DAYS`.
    :raises TLSFilesError: when a file cannot be used or written, or the authority may not certify a wished name.
    """
    authority = read_authority(files)
    made = authority is None or authority.certificate.not_valid_after_utc <= now
    try:
        if authority is None or made:
            key = _kept_key(files.authority_key)
            authority = make_authority(key, str(own[0]), (*own, *_wished(files, wished)), now)
            write_private(files.authority, certificate_pem(authority.certificate))
        names = _names(files, authority.certificate, own, wished)
        certificate = issue(authority, _kept_key(files.server_key), names, now, days)
        write_private(files.server, certificate_pem(certificate, authority.certificate))
    except OSError as error:
        raise TLSFilesError(
            f"{error.filename or files.server.parent} cannot be written: {error.strerror or type(error).__name__}."
        ) from None
    return made, certificate


def renew(files: TLSFiles, own: Sequence[Name], now: dt.datetime, before: dt.timedelta, days: int) -> bool:
    """Renew the server's certificate if it is of the authority there and due; whether that was so.

    It is due when it ends within *before*, when it has not begun (the clock was wrong when it was made), and when it
    is not for all of the *own* names that the authority may certify.

    :raises TLSFilesError: when it should be renewed and cannot be.
    """
    if not _is_due(files, own, now, before):
        return False
    with files.locked():
        if not _is_due(files, own, now, before):
            return False  # another process has been faster
        make(files, own, (), now, days)
    return True


def _is_due(files: TLSFiles, own: Sequence[Name], now: dt.datetime, before: dt.timedelta) -> bool:
    certificate, authority = read_certificate(files.server), read_certificate(files.authority)
    if certificate is None or authority is None or not issued_by(certificate, authority):
        return False
    lacking = set(own).difference(names_of(certificate), not_permitted(own, authority))
    valid = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - before
    if valid and not lacking:
        return False
    if now < authority.not_valid_before_utc:
        raise TLSFilesError(
            f"the authority {files.authority} begins on {authority.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only. Set this"
            " machine's clock; if it is right, remove the authority, run `chatmock tls init`, and let every device"
            " trust the new one."
        )
    if authority.not_valid_after_utc - now <= before:
        # Another authority would not be trusted by anybody until the owner has been to every device.
        raise TLSFilesError(
            f"the authority {files.authority} ends on {authority.not_valid_after_utc:%Y-%m-%d}. Remove it, run"
            " `chatmock tls init`, and let every device trust the new one."
        )
    return True


def _names(
    files: TLSFiles, authority: x509.Certificate, own: Sequence[Name], wished: Sequence[Name]
) -> Sequence[Name]:
    refused = not_permitted(wished, authority)
    if refused:
        raise TLSFilesError(
            f"the authority {files.authority} may not certify {', '.join(map(str, refused))}, which it was not made"
            " for. Remove it to have a new one made, which every device has to trust anew."
        )
    names = dict.fromkeys((*own, *_wished(files, wished)))
    # What this machine is called may change, and what cannot be certified is better left out than the rest with it.
    refused = not_permitted(names, authority)
    return [name for name in names if name not in refused]


def _wished(files: TLSFiles, wished: Sequence[Name]) -> Sequence[Name]:
    """The names *wished*, else those of the present certificate, which has those once wished at its end.

    In between are those that this machine had for a time; of these not all are kept for ever.
    """
    present = None if wished else read_certificate(files.server)
    if present is None:
        return wished
    names = names_of(present)
    hosts = [name for name in names if isinstance(name, str)]
    addresses = [name for name in names if not isinstance(name, str)]
    return (*hosts[-_MOST_KEPT:], *addresses[-_MOST_KEPT:])


def _kept_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in the file *path*, made where there is none.

    :raises OSError: when it cannot be written.
    """
    key = _read_key(path)
    if key is None:
        key = new_key()
        write_private(path, key_pem(key))
    return key


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """The key in the file *path*; None for no such file."""
    try:
        key = load_pem_private_key(read_key(path), password=None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TLSFilesError(
            f"the key {path} cannot be used: {error.strerror or type(error).__name__}"
        ) from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TLSFilesError(f"{path} holds no key of chatmock's. Remove it to have a new one made.")
    return key
