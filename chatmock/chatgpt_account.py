"""The owner's ChatGPT account, put together: its login, the record of its limits, its models on disk."""

from __future__ import annotations

import time
from typing import Any

import attrs
from twisted.internet.task import LoopingCall

from chatmock import jsontext
from chatmock.account import Account, OneCall
from chatmock.catalogue_file import CatalogueFile
from chatmock.credentials import LoginCredentials
from chatmock.errors import Refusal
from chatmock.jsontext import Raw
from chatmock.login_files import MODELS_FILE, USAGE_FILE, login_files
from chatmock.providers.chatgpt import ChatGPT, Defaults
from chatmock.providers.chatgpt.contract import CLIENT_VERSION
from chatmock.providers.chatgpt.usage_windows import read_windows, to_json
from chatmock.providers.interface import Headers
from chatmock.settings import SettingError, Settings
from chatmock.state_files import expanded, read_bounded, state_folder
from chatmock.threads import Threads
from chatmock.upstream import Upstream
from chatmock.usage_record import UsageRecord
from chatmock.watch import Watch

_MOST_PROMPT_BYTES = 1024 * 1024
_TEND_SECONDS = 240.0
"""How often an idle daemon looks whether its login is about to end: within the time in which a good token is renewed, so
that whoever asks next finds a fresh one. It costs a look at the file's date."""


@attrs.define
class ChatGPTAccount:
    """The account, and what of it has to be stopped with the daemon."""

    account: Account
    credentials: LoginCredentials
    usage: UsageRecord
    _models: CatalogueFile
    _tending: LoopingCall

    @classmethod
    def of(cls, settings: Settings, upstream: Upstream, reactor: Any, threads: Threads) -> ChatGPTAccount:
        """The account that *settings* describe; nothing is read or asked yet but the base prompt.

        :raises SettingError: when the base prompt cannot be read.
        """
        folder = state_folder(settings.home)
        credentials = LoginCredentials(
            login_files(settings),
            settings.chatgpt_issuer,
            settings.chatgpt_client_id,
            upstream,
            reactor,
            time.time,
            threads,
        )
        usage = UsageRecord(folder / USAGE_FILE, lambda: credentials.account_id, reactor, time.time, threads)
        models = CatalogueFile(
            folder / MODELS_FILE, lambda: credentials.account_id, CLIENT_VERSION, time.time, threads
        )
        provider = ChatGPT(settings.chatgpt_base_url, _defaults(settings))
        watch = Watch(
            provider.name,
            provider.title,
            settings.max_cooldown,
            reactor,
            time.time,
            lambda: credentials.token,
        )
        account = Account(
            provider,
            OneCall(provider, reactor),
            credentials,
            upstream,
            settings.chatgpt_models,
            settings.chatgpt_aliases,
            list_efforts=settings.expose_reasoning_models,
            forced_model=settings.debug_model,
            observe=_Observer(usage, watch),
            memory=models,
            watch=watch,
        )
        tending = LoopingCall(_Tending(credentials).look)
        tending.clock = reactor
        return cls(account, credentials, usage, models, tending)

    def start(self) -> None:
        """Keep the login alive from now on, whether or not anybody asks."""
        self._tending.start(_TEND_SECONDS, now=False)

    @property
    def notice(self) -> str:
        """What the owner should know of the login when the daemon starts; empty for nothing."""
        return self.credentials.notice

    def limits_left(self) -> bytes:
        """The plan's limits as JSON: ``{"chatgpt": {…}}``, or null in place of what is not known."""
        snapshot = self.usage.latest
        told = Raw(b"null") if snapshot is None else Raw(to_json(attrs.evolve(snapshot, account_id="")))
        return jsontext.dumps({"chatgpt": told})

    async def stop(self) -> None:
        """Finish what is being written or refreshed: a login spent and not written would be lost."""
        if self._tending.running:
            self._tending.stop()
        await self.credentials.stop()
        await self.usage.stop()
        await self._models.stop()


@attrs.frozen
class _Observer:
    """Reads the headers of every answer: for the record of the limits, and for whether there is usage again."""

    _usage: UsageRecord
    _watch: Watch

    def __call__(self, headers: Headers) -> None:
        self._usage.observe(headers)
        if not self._watch.exhausted or (told := read_windows(headers)) is None:
            return
        plan = [window.used_percent for window in told.windows if not window.family]
        if plan and max(plan) < 100:
            self._watch.has_usage()


@attrs.define
class _Tending:
    """Looks after the login while nobody asks; a trouble is logged when it comes, not at every look."""

    _credentials: LoginCredentials
    _told: str = ""

    async def look(self) -> None:
        """Have the login refreshed if it is about to end."""
        trouble = ""
        if self._credentials.ready:
            try:
                await self._credentials.current()
            except Refusal as refusal:
                trouble = refusal.message
        if trouble not in ("", self._told):
            self._credentials.log.warn("the ChatGPT login needs attention: {why}", why=trouble)
        self._told = trouble


def _defaults(settings: Settings) -> Defaults:
    return Defaults(
        settings.reasoning_effort,
        settings.reasoning_summary,
        settings.enable_web_search,
        settings.fast_mode,
        _base_prompt(settings),
    )


def _base_prompt(settings: Settings) -> str:
    """The text for requests that bring no system text; empty where the owner has none."""
    path = settings.base_prompt_path
    if path is None or not settings.inject_base_prompt:
        return ""
    file = expanded(path)
    try:
        text = "" if file is None else read_bounded(file, _MOST_PROMPT_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    else:
        reason = "there is no such home folder" if file is None else ""
    if reason:
        raise SettingError(f"CHATMOCK_BASE_PROMPT_PATH={path} cannot be read: {reason}")
    return text.strip()
