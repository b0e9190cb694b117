"""Keeps the running daemon's certificate fresh: renews what chatmock made, and takes over what others renewed.

What chatmock made is renewed before it ends, and when this machine has got another name or address.

The files are looked at once a minute in a thread, besides at SIGHUP: what renews certificates by itself (certbot, a
step of a NAS) rarely tells the daemons that use them, and they would go on with the old one until it has ended.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.certificates import ServerCertificate
from chatmock.settings import SettingError, Settings
from chatmock.state_files import state_folder
from chatmock.tls.authority import DAYS
from chatmock.tls.box import own_names
from chatmock.tls.files import TLSFiles, TLSFilesError, read_certificate, renew
from chatmock.tls.page import Document, trust_file, trust_page

LOOK_SECONDS: Final = 60.0
RENEW_BEFORE: Final = dt.timedelta(days=30)
"""How long before its end the server's certificate is renewed."""
InThread = Callable[..., Deferred[Any]]


class CertificateKeeper:
    """Looks after the files while the daemon runs.

    :param certificate: the one in use; None for a daemon that speaks no TLS itself.
    :param wall_clock: Unix time in seconds: certificates end by the calendar.
    :param in_thread: runs a function that blocks.
    """

    log = Logger()

    def __init__(
        self,
        files: TLSFiles,
        certificate: ServerCertificate | None,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        in_thread: InThread,
    ) -> None:
        self._files = files
        self._certificate = certificate
        self._clock = clock
        self._wall_clock = wall_clock
        self._in_thread = in_thread
        self._one_at_a_time = DeferredLock()
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self._authority = _authority_or_none(files)
        self._complaints: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        settings: Settings,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        in_thread: InThread,
    ) -> CertificateKeeper:
        """The keeper for *settings*, with their certificate loaded, renewed before if it is ours and due. Blocks.

        :raises SettingError: when the certificate is not usable.
        """
        files = TLSFiles(state_folder(settings.home))
        certificate, key = settings.tls_cert, settings.tls_key
        if certificate is None or key is None:
            return cls(files, None, clock, wall_clock, in_thread)
        if is_ours(files, certificate, key):
            with suppress(TLSFilesError):  # the first look tells of it
                renew(files, own_names(), _now(wall_clock), RENEW_BEFORE, DAYS)
        return cls(files, ServerCertificate(certificate, key), clock, wall_clock, in_thread)

    @property
    def certificate(self) -> ServerCertificate | None:
        """The one in use; None for a daemon that speaks no TLS itself."""
        return self._certificate

    @property
    def notices(self) -> Sequence[str]:
        """What the owner should know of the certificate, a line each."""
        return [] if self._certificate is None else self._certificate.notices(_now(self._wall_clock))

    def document(self, name: str) -> Document | None:
        """What is served at ``/ca`` and ``/ca.pem``, by that path; None while there is no authority of ours."""
        if self._authority is None:
            return None
        return trust_page(self._authority) if name == "/ca" else trust_file(self._authority)

    def start(self) -> None:
        """Look now, and from then on once a minute."""
        self._stopped = False
        self._look()

    def reload(self) -> None:
        """Look now, use what is there whether or not it has changed, and say again what is wrong with it.

        Does nothing once it is stopped.
        """
        if not self._stopped:
            self._complaints = ()
            self._run(True)

    def stop(self) -> Deferred[None]:
        """Look no more; fires when nothing is being looked at."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        return self._one_at_a_time.run(lambda: None)

    def _look(self) -> None:
        if not self._stopped:
            self._timer = self._clock.callLater(LOOK_SECONDS, self._look)
            self._run(False)

    def _run(self, always: bool) -> None:
        looked = self._one_at_a_time.run(self._in_thread, self._work, always)
        looked.addCallbacks(self._tell, self._failed)

    def _work(self, always: bool) -> tuple[bool, Sequence[str]]:
        """What blocks: whether another certificate is in use now, and what went wrong."""
        changed, complaints, certificate = False, [], self._certificate
        try:
            self._authority = read_certificate(self._files.authority)
            if certificate is not None and is_ours(self._files, *certificate.files):
                renew(self._files, own_names(), _now(self._wall_clock), RENEW_BEFORE, DAYS)
        except TLSFilesError as error:
            complaints.append(f"The TLS certificate is not looked after: {error}")
        try:
            changed = certificate is not None and certificate.reload(always)
        except SettingError as error:
            complaints.append(f"The TLS certificate was not reloaded, the one before stays in use: {error}")
        return changed, complaints

    def _tell(self, result: tuple[bool, Sequence[str]]) -> None:
        changed, complaints = result
        if changed and self._certificate is not None:
            ends = f"{self._certificate.leaf.not_valid_after_utc:%Y-%m-%d}"
            self.log.info("new connections get the TLS certificate that ends on {ends}", ends=ends)
        for complaint in complaints:
            # The same fault may be found every minute; said once it is enough.
            if complaint not in self._complaints:
                self.log.warn("{complaint}", complaint=complaint)
        self._complaints = complaints

    def _failed(self, failure: Failure) -> None:
        self.log.failure("the TLS certificate was not looked after", failure)


def is_ours(files: TLSFiles, certificate: Path, key: Path) -> bool:
    """Whether *certificate* and *key* are the files of ``chatmock tls init``. Others are their owner's to renew."""
    pairs = ((certificate, files.server), (key, files.server_key))
    try:
        return all(Path(os.path.expanduser(one)).samefile(other) for one, other in pairs)  # noqa: PTH111
    except OSError:
        return False


def _authority_or_none(files: TLSFiles) -> x509.Certificate | None:
    try:
        return read_certificate(files.authority)
    except TLSFilesError:
        return None  # the first look tells of it


def _now(wall_clock: Callable[[], float]) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
