"""How much is logged."""

from __future__ import annotations

from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate

from chatmock.settings import Settings


def level_filter(observer: ILogObserver, settings: Settings) -> ILogObserver:
    """*observer*, told only of events at or above the level that *settings* ask for."""
    name = "debug" if settings.verbose else settings.log_level
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(name))
    return FilteringLogObserver(observer, [predicate])
