"""Which models of an Ollama that was moved aside are in its memory: asked of it each time, and never waited for long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from chatmock.account import Account
from chatmock.admission.client import Key, may_use
from chatmock.catalogue import Row
from chatmock.errors import Refusal
from chatmock.exchange import Desk
from chatmock.providers.ollama import Ollama
from chatmock.providers.ollama_models import other_name, read_loaded
from chatmock.upstream import read_start, response_headers

MOST_BYTES: Final = 1024 * 1024
SECONDS: Final = 3.0
"""In all: clients ask often, and want to know what is so now."""

Loaded = tuple[Row, Mapping[str, Any]]
"""A model as it is listed, and what its Ollama says of it in memory."""


class LoadedModels:
    """Asks the Ollamas among the accounts.

    :param desk: what every request needs.
    """

    log = Logger()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def listed(self, rows: list[Row], key: Key | None) -> list[Loaded]:
        """Those in memory that *key* allows, as far as they are told in time; of an Ollama that does not answer, none.

        Cancelling closes what is asked.

        :param rows: the models as they are listed to the client, which tell the name of each.
        """
        found: list[Loaded] = []
        accounts = self._desk.accounts
        for name in accounts.ready:
            account = accounts.by_name[name]
            if isinstance(account.provider, Ollama):
                told = await self._told(account, account.provider)
                found.extend(self._as_listed(name, told, rows, key))
        return found

    def _as_listed(
        self, provider: str, told: Mapping[str, Mapping[str, Any]], rows: list[Row], key: Key | None
    ) -> list[Loaded]:
        """*told* under the names of the list; a model that is not in it yet has its own."""
        listed = {row[2].id: row for row in reversed(rows) if row[1] == provider and row[2] is not None}
        return [
            (listed.get(model, (f"{provider}/{model}", provider, None)), facts)
            for model, facts in told.items()
            if may_use(key, model) or may_use(key, other_name(model))
        ]

    async def _told(self, account: Account, provider: Ollama) -> Mapping[str, Mapping[str, Any]]:
        asking = Deferred.fromCoroutine(self._ask(account, provider))
        try:
            return await asking.addTimeout(SECONDS, self._desk.clock)
        except TimeoutError:
            why = f"it did not answer within {SECONDS:g} s"
        except Refusal as refusal:
            why = refusal.message
        self.log.debug("the loaded models of {name} are not known: {why}", name=provider.name, why=why)
        return {}

    async def _ask(self, account: Account, provider: Ollama) -> Mapping[str, Mapping[str, Any]]:
        _, response = await account.ask(lambda _: provider.native_request("GET", "/api/ps"))
        body = await read_start(response, self._desk.clock, MOST_BYTES + 1, SECONDS)
        if response.code != 200 or len(body) > MOST_BYTES:
            raise provider.refusal(response.code, response_headers(response), body)
        return read_loaded(body, provider.title)
