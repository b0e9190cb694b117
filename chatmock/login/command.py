"""``chatmock login`` and ``chatmock logout``.

Exit statuses of the login: 0 for success, 13 when the callback's port is taken, 1 for everything else. What both
raise, :exc:`OutputFailed`, has an exit status from the command line.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python import usage
from twisted.python.failure import Failure

from chatmock.login import output
from chatmock.login.callback import PortInUse
from chatmock.login.console import TypedLines, browser_opener, can_type
from chatmock.login.flows import TIMEOUT, Browser, Login, browser_login, device_login
from chatmock.login.output import OutputFailed, check_output, complain
from chatmock.login.store import check_writable, forget_login, keep_login, own_folder
from chatmock.login_files import LOGIN_FILE, find_login, login_files
from chatmock.options import ServeOptions
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens, owner
from chatmock.settings import SettingError, Settings
from chatmock.upstream import UpstreamClient

PORT_IN_USE: Final = 13
"""The exit status that programs know this case by (spec chatgpt.md, 1.3)."""
_MOST_SECONDS: Final = 86400.0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _MOST_SECONDS:
        raise usage.UsageError(
            f"--timeout={_shown(text)} is not allowed: give a number from 1 to {_MOST_SECONDS:.0f} (seconds)"
        )
    return seconds


class LoginOptions(usage.Options):
    """``chatmock login``."""

    optFlags: ClassVar = [
        ["no-browser", None, "Do not open a browser; only show the address."],
        [
            "headless",
            None,
            "Log in with a code that is typed in on any machine; nothing has to come back here.",
        ],
        ["verbose", None, "Show the requests to the callback server, without their queries."],
    ]
    optParameters: ClassVar = [
        ["timeout", None, TIMEOUT, "How many seconds to wait for you to log in.", _seconds]
    ]
    longdesc = (
        "Log in to ChatGPT, whose plan then answers requests. The login is kept in the folder CHATGPT_LOCAL_HOME, by"
        " default ~/.chatgpt-local."
    )


class LogoutOptions(usage.Options):
    """``chatmock logout``."""

    longdesc = "Delete the ChatGPT login from the folder CHATGPT_LOCAL_HOME, by default ~/.chatgpt-local."


@attrs.frozen
class LoginWishes:
    """How somebody wants to log in."""

    browser: bool = True
    """Whether to open one on this machine."""
    headless: bool = False
    """Whether to log in with a code instead."""
    verbose: bool = False
    timeout: float = TIMEOUT
    """In seconds."""


def login(options: LoginOptions, environ: Mapping[str, str]) -> int:
    """Run ``chatmock login``; returns the exit status."""
    wishes = LoginWishes(
        browser=not options["no-browser"],
        headless=bool(options["headless"]),
        verbose=bool(options["verbose"]),
        timeout=options["timeout"],
    )
    return run_login(wishes, environ)


def run_login(wishes: LoginWishes, environ: Mapping[str, str]) -> int:
    """Log in and keep the login, telling the person at the console; returns the exit status.

    :raises OutputFailed: when nobody can be told: nobody could log in then.
    """
    check_output()
    console = _Console()
    place = _Place(environ, console, can_type())
    _begin_log(wishes.verbose)
    try:
        settings = ServeOptions().settings(environ)
        folder = own_folder(settings)
        check_writable(folder)
        tokens = _run(lambda reactor: _log_in(reactor, settings, wishes, place), console)
    except PortInUse as taken:
        return _failed(str(taken), PORT_IN_USE)
    except (usage.UsageError, SettingError, LoginFailed) as error:
        return _failed(str(error))
    except (CancelledError, KeyboardInterrupt):
        if console.lost is not None:
            raise console.lost from None
        return _failed("the login was interrupted.")
    whose = owner(tokens)
    plan = f", plan {_shown(whose.plan)}" if whose.plan else ""
    output.say(f"Logged in as {_shown(whose.login or 'an account without a name')}{plan}.")
    output.say(f"The login is kept in {folder / LOGIN_FILE}. Start the daemon with: chatmock serve")
    return 0


def logout(options: LogoutOptions, environ: Mapping[str, str]) -> int:
    """Run ``chatmock logout``; returns the exit status.

    :raises OutputFailed: when what has been done cannot be told.
    """
    try:
        settings = ServeOptions().settings(environ)
        folder = own_folder(settings)
        was_there = forget_login(folder)
    except (usage.UsageError, SettingError, LoginFailed) as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        return _failed("the logout was interrupted.")
    path = folder / LOGIN_FILE
    output.say(
        f"Logged out: {path} is deleted." if was_there else f"Nobody was logged in: there is no {path}."
    )
    left = find_login(login_files(settings))
    if left.foreign:
        output.say(
            f"From now on chatmock uses another program's login, for as long as that lasts: {left.path}."
        )
    return 0


class _Console:
    """Standard output during a login, which is given up once nobody can be told anything any more."""

    def __init__(self) -> None:
        self.lost: OutputFailed | None = None
        """Why nobody can be told anything."""
        self.give_up: Callable[[], object] = lambda: None
        """Is called when that has happened."""

    def say(self, text: str) -> None:
        try:
            output.say(text)
        except OutputFailed as failed:
            if self.lost is None:
                self.lost = failed
                self.give_up()


@attrs.frozen
class _Place:
    """What of this machine a login uses."""

    environ: Mapping[str, str]
    console: _Console
    typing: bool
    """Whether somebody may type."""


async def _log_in(reactor: Any, settings: Settings, wishes: LoginWishes, place: _Place) -> Tokens:
    say = place.console.say
    client = UpstreamClient(reactor, settings.connect_timeout, settings.first_byte_timeout, 1)
    task = Login(
        reactor,
        client,
        settings.chatgpt_issuer,
        settings.chatgpt_client_id,
        time.time,
        say,
        _keeper(settings, say),
        wishes.timeout,
    )
    try:
        if wishes.headless:
            return await device_login(task)
        browser = Browser(
            os.urandom,
            browser_opener(place.environ) if wishes.browser else None,
            TypedLines(reactor) if place.typing else None,
            settings.login_bind,
            access=say if wishes.verbose else None,
        )
        return await browser_login(task, browser)
    finally:
        client.close()


def _keeper(
    settings: Settings, say: Callable[[str], None]
) -> Callable[[Tokens], Coroutine[Deferred[Any], Any, None]]:
    folder = own_folder(settings)

    async def keep(tokens: Tokens) -> None:
        from twisted.internet.threads import deferToThread  # imports the reactor

        broken = await deferToThread(keep_login, folder, tokens, time.time())
        if broken is not None:
            say(f"The {LOGIN_FILE} that was there could not be read; it is now {broken}.")

    return keep


def _run(work: Callable[[Any], Coroutine[Deferred[Any], Any, Tokens]], console: _Console) -> Tokens:
    """Run *work* on the reactor, and cancel it when the process is told to end or the *console* is lost.

    :raises CancelledError: in that case; otherwise what *work* raises.
    """
    from twisted.internet import reactor

    results: list[Tokens | Failure] = []
    ending: list[bool] = []

    def ended(result: Tokens | Failure) -> None:
        results.append(result)
        if not ending:
            reactor.stop()

    def begin() -> None:
        working = Deferred.fromCoroutine(work(reactor)).addBoth(ended)

        def end() -> Deferred[None]:
            ending.append(True)
            working.cancel()
            return working

        reactor.addSystemEventTrigger("before", "shutdown", end)

    def give_up() -> None:
        if not ending and not results:
            reactor.stop()

    console.give_up = lambda: reactor.callLater(0, give_up)
    reactor.callWhenRunning(begin)
    reactor.run()
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def _begin_log(verbose: bool) -> None:
    """Nothing of Twisted's own is for this console, unless it is a warning and wanted."""
    warnings = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([warnings] if verbose else [], redirectStandardIO=False)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _failed(why: str, status: int = 1) -> int:
    complain(why)
    return status
