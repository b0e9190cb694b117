"""What ``twistd chatmock`` and ``chatmock.tac`` start."""

from __future__ import annotations

import os

from twisted.application.service import IService
from twisted.logger import Logger, globalLogPublisher
from twisted.python import usage

from chatmock.hardening import harden
from chatmock.logs import withhold_messages
from chatmock.options import ServeOptions
from chatmock.settings import SettingError, Settings

Options = ServeOptions
"""The name that twistd looks for."""


def makeService(options: ServeOptions) -> IService:
    """The service for parsed *options* and the environment; the name is twistd's.

    :raises SystemExit: with one line, when a setting is bad.
    """
    try:
        settings = options.settings(os.environ)
    except usage.UsageError as error:
        raise SystemExit(f"chatmock: {error}") from None
    harden(os.environ)
    withhold_messages(globalLogPublisher)
    return service_of(settings)


def service_of(settings: Settings) -> IService:
    """The service for *settings*; its start message goes to the log."""
    from twisted.internet import reactor

    from chatmock.monotonic import use_monotonic_time
    from chatmock.service import make_service

    use_monotonic_time(reactor)
    log = Logger(namespace="chatmock")

    def announce(text: str) -> None:
        for line in text.splitlines():
            log.info("{line}", line=line)

    try:
        return make_service(settings, reactor, announce)
    except (SettingError, ValueError) as error:
        raise SystemExit(f"chatmock: {error}") from None
