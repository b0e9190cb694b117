"""Runs the daemon in the foreground for ``chatmock serve``; under twistd, twistd does this."""

from __future__ import annotations

import os
import sys

from twisted.internet import reactor
from twisted.logger import Logger, globalLogBeginner, globalLogPublisher, textFileLogObserver

from chatmock.hardening import harden
from chatmock.logs import LossyObserver, level_filter, withhold_messages
from chatmock.monotonic import use_monotonic_time
from chatmock.service import make_service
from chatmock.settings import SettingError, Settings


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    harden(os.environ)
    withhold_messages(globalLogPublisher)
    globalLogBeginner.beginLoggingTo(
        [level_filter(LossyObserver(textFileLogObserver(sys.stderr)), settings)], redirectStandardIO=False
    )
    use_monotonic_time(reactor)
    try:
        service = make_service(settings, reactor, _announce)
        service.privilegedStartService()
    except (SettingError, ValueError) as error:
        print(f"chatmock: {error}", file=sys.stderr)
        return 1
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return 0


def _announce(text: str) -> None:
    """Print the start message; a console that is gone or full is no reason not to serve."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        Logger().warn("the start message cannot be printed: {why}", why=str(error))
