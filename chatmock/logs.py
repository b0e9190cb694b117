"""How much is logged, and what never is."""

from __future__ import annotations

import copy
from typing import Final

from twisted.internet import error
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from chatmock.errors import Refusal
from chatmock.settings import SettingError, Settings

_OPEN: Final = (
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    OSError,
    RecursionError,
    Refusal,
    SettingError,
    error.ConnectionClosed,
)
"""Exceptions whose messages name parts of the program or the system, and nothing that somebody has sent."""


def level_filter(observer: ILogObserver, settings: Settings) -> ILogObserver:
    """*observer*, told only of events at or above the level that *settings* ask for."""
    name = "debug" if settings.verbose else settings.log_level
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(name))
    return FilteringLogObserver(observer, [predicate])


def withhold_messages(publisher: LogPublisher) -> None:
    """Have tracebacks told without the messages of their exceptions to whoever observes *publisher* from now on.

    A ``KeyError`` quotes the key, a ``ValueError`` the value: a line of somebody's conversation, or of a header. Where
    it happened and the exception's type are told; twistd's own log is reached as well, for it is begun later.
    """
    publisher.addObserver(_Withholding())


@implementer(ILogObserver)
class _Withholding:
    def __call__(self, event: LogEvent) -> None:
        _withhold(event)


def _withhold(event: LogEvent) -> None:
    older = "log_failure" not in event
    failure = event.get("failure" if older else "log_failure")
    if not isinstance(failure, Failure) or isinstance(failure.value, _OPEN):
        return
    told = copy.copy(failure)
    told.value = _Withheld()
    if older:  # Twisted's older log has put the traceback into the text already
        event["failure"] = told
        event["log_text"] = f"{event.get('why') or 'Unhandled Error'}\n{told.getTraceback()}"
    else:
        event["log_failure"] = told


@implementer(ILogObserver)
class LossyObserver:
    """An observer that may fail, as a full disk has it: what it cannot write is counted, and told when it can again."""

    log = Logger()

    def __init__(self, observer: ILogObserver) -> None:
        self._observer = observer
        self.lost = 0
        """Events that were not written since the last that was."""

    def __call__(self, event: LogEvent) -> None:
        """Pass *event* on."""
        try:
            self._observer(event)
        except (OSError, ValueError):  # no room, or closed
            self.lost += 1
            return
        if self.lost:
            lost, self.lost = self.lost, 0
            self.log.warn("{lost} lines before this one could not be written", lost=lost)


class _Withheld(Exception):
    """Takes the place of an exception whose message may hold what somebody has sent."""

    def __str__(self) -> str:
        return "(its message is withheld, since it may quote what somebody has sent)"
