"""The daemon's TLS: a certificate from PEM files, which may be exchanged while it runs, and how TLS is spoken.

What is spoken is Mozilla's "intermediate" without its DHE ciphers: TLS 1.2 and later, forward secrecy and AEAD only,
HTTP/1.1 only. Twisted's own options allow CBC and CCM ciphers and every curve, and would speak HTTP/2, in which none
of the daemon's limits hold (spec security.md, P4). Of a PEM file with several certificates they would send the first.

Everything here that reads files blocks: daemons call it from a thread once they run.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from chatmock.settings import SettingError

_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    b":ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Of TLS 1.2."""
_CIPHERSUITES: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""Of TLS 1.3."""
_GROUPS: Final = b"X25519:P-256:P-384"
_PROTOCOL: Final = b"http/1.1"
_MOST_BYTES: Final = 1024 * 1024
_SOON: Final = dt.timedelta(days=14)

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@attrs.frozen
class _Loaded:
    """What the two files held."""

    chain: Sequence[x509.Certificate]
    """The server's own certificate first."""
    context: SSL.Context


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """The certificate that new TLS connections get. Those that are open keep what they began with.

    :param certificate: PEM file of the certificate and those that lead to its authority, its own first.
    :param key: PEM file of its private key; may be the same file.
    :raises SettingError: when a file cannot be read, the key is not private, or the two do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.files = (certificate, key)
        """The certificate's and the key's, as the settings have them."""
        self._seen: object = self._stamp()  # of what is in use
        self._in_use = _load(certificate, key)

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self._in_use.chain[0]

    def reload(self, always: bool = False) -> bool:
        """Use what the files hold now, if that is something else than is in use; whether it is used.

        May run in a thread: what is new is used from one connection to the next.

        :param always: even if it is the same.
        :raises SettingError: when it is not usable. What was in use stays, and the next call tries again: only a mode
            may have to be mended, which the content does not show.
        """
        seen = self._stamp()
        if seen == self._seen and not always:
            return False
        self._in_use = _load(*self.files)
        self._seen = seen
        return True

    def notices(self, now: dt.datetime) -> Sequence[str]:
        """What the owner should know of the certificate, a line each.

        :param now: with a time zone.
        """
        path, chain = self.files[0], self._in_use.chain
        said = [_end_notice(path, chain[0], now)]
        if any(not issued_by(one, other) for one, other in itertools.pairwise(chain)):
            said.append(
                f"{path}: a certificate there is not followed by that of its authority; clients may refuse it."
                " The server's own comes first, then its authority's, and so on."
            )
        return [notice for notice in said if notice]

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """The TLS side of a new connection; asked by Twisted."""
        return SSL.Connection(self._in_use.context, None)

    def _stamp(self) -> object:
        """What changes with the content of the files. Files are replaced through links and with old dates, so it is
        the content that is looked at. Unreadable files differ from readable ones."""
        try:
            return [hashlib.sha256(_read(path)).digest() for path in self.files]
        except OSError as error:
            return error.errno


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether *authority* has signed *certificate*; their dates do not matter."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def read_key(path: Path) -> bytes:
    """The content of the file *path*, which holds a private key.

    Its owner must be this user or the system's (uid 0), and nobody else may read it: only a file of the system's
    may be open to a group, which is how an administrator gives it to a service.

    :raises OSError: when it cannot be read, or is not private.
    """
    return _read(path, private=True)


def _read(path: Path, private: bool = False) -> bytes:
    # Opened first, then looked at: what is checked is what is read. Never waits for a writer, as of a pipe.
    descriptor = os.open(
        os.path.expanduser(path),  # noqa: PTH111  # Path.expanduser raises for users nobody knows
        os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
    )
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if private:
            _require_private(told, path)
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MOST_BYTES} bytes", str(path))
    return data


def _require_private(told: os.stat_result, path: Path) -> None:
    own, mode = os.geteuid(), stat.S_IMODE(told.st_mode)
    if told.st_uid not in (own, 0):
        raise PermissionError(
            errno.EPERM, f"it belongs to another user (uid {told.st_uid}), who could exchange it", str(path)
        )
    most = 0o740 if told.st_uid != own else 0o700
    if mode & ~most:
        raise PermissionError(
            errno.EPERM, f"others may read or write it (mode {mode:04o}); do: chmod 600 {path}", str(path)
        )


def _load(certificate: Path, key: Path) -> _Loaded:
    where = f"--tls-cert {certificate}"
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate))
        where = f"--tls-key {key}"
        private = _parse_key(read_key(key))
        if private.public_key() != chain[0].public_key():
            raise ValueError(f"it is not the key of the first certificate in {certificate}")
        where = f"--tls-cert {certificate}, --tls-key {key}"
        return _Loaded(chain, _context(chain, private))
    except OSError as error:
        raise SettingError(f"{where} is not usable: {error.strerror or type(error).__name__}") from None
    except SSL.Error as error:
        raise SettingError(f"{where}: not usable for TLS ({_reasons(error)})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = str(error).partition("\n")[0].partition("See https")[0].strip()
        raise SettingError(f"{where} is not usable: {why or 'it is damaged'}") from None


def _parse_key(pem: bytes) -> _Key:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError(
            "the key is encrypted, and there is nobody to ask for its password; store it without one"
        ) from None
    if not isinstance(key, _Key):
        raise ValueError("keys of this kind do not serve for TLS; take an ECDSA or RSA one")  # noqa: TRY004
    return key


def _context(chain: Sequence[x509.Certificate], key: _Key) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_SINGLE_ECDH_USE
    )
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_cipher_list(_CIPHERS)
    context.set_tls13_ciphersuites(_CIPHERSUITES)
    _set_groups(context)
    context.set_alpn_select_callback(_choose_protocol)
    context.use_certificate(chain[0])
    for each in chain[1:]:
        context.add_extra_chain_cert(each)
    context.use_privatekey(key)
    context.check_privatekey()
    return context


def _set_groups(context: Any) -> None:
    """Restrict the key exchange to :data:`_GROUPS`; pyOpenSSL has no name of its own for that call of OpenSSL."""
    library: Any = SSL
    if library._lib.SSL_CTX_set1_curves_list(context._context, _GROUPS) != 1:  # noqa: SLF001
        raise ValueError(f"OpenSSL does not know the groups {_GROUPS.decode()}")


def _choose_protocol(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """HTTP/1.1, or no word of it: a client that insists on something else leaves by itself."""
    return _PROTOCOL if _PROTOCOL in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _reasons(error: SSL.Error) -> str:
    found = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(each[-1]) for each in found) or "OpenSSL does not say why"


def _end_notice(path: Path, leaf: x509.Certificate, now: dt.datetime) -> str:
    ends = leaf.not_valid_after_utc
    if ends <= now:
        return f"the certificate {path} has ended on {ends:%Y-%m-%d}: clients refuse it. Renew it."
    if now < leaf.not_valid_before_utc:
        begins = f"{leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return f"the certificate {path} is valid from {begins} only: is the clock of this machine right?"
    if ends - now < _SOON:
        return f"the certificate {path} ends on {ends:%Y-%m-%d}: renew it soon."
    return ""
