"""Which account answers a request, and by what name its upstream knows the model."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from chatmock.account import Account, Accounts
from chatmock.admission.client import Key, may_use, model_forbidden
from chatmock.catalogue import Catalogue, Choice, choose, not_found
from chatmock.discovery import Discovery
from chatmock.errors import Refusal, bad_request
from chatmock.model import Model


@attrs.frozen
class Destination:
    """Where a request goes."""

    account: Account
    model: str
    """As the upstream knows it."""
    effort: str | None
    """The reasoning effort that the model's name ended in."""
    details: Model | None
    """What the catalogue says of the model."""
    asked: str
    """The model's name as the client wrote it; the default one's where it wrote none."""


@attrs.frozen
class Router:
    """Picks provider and model."""

    accounts: Accounts
    discovery: Discovery
    default_model: str | None
    """The owner's choice, for requests to the default provider that name none."""

    async def route(
        self, model: str, otherwise: str | None, provider: str | None, key: Key | None
    ) -> Destination:
        """Where a request for *model* goes.

        :param model: empty for the default one.
        :param otherwise: the model to ask for where no provider knows *model*; empty for the default one.
        :param provider: the ``provider`` query argument.
        :param key: the client's, which may not be for every model.
        :raises Refusal: not found or bad request, naming what there is; forbidden, when *key* is not for the model.
        """
        known = await self.discovery.catalogues()
        default = self.accounts.default
        asked = model or self._default(provider, default)
        choice, catalogues = self._choose(asked, provider, default, known, otherwise)
        if not may_use(key, choice.model):
            raise model_forbidden(choice.model)
        details = (catalogues[choice.provider].models or {}).get(choice.model)
        account = self.accounts.by_name[choice.provider]
        return Destination(account, choice.model, choice.effort, details, asked)

    def _choose(
        self,
        asked: str,
        provider: str | None,
        default: str,
        known: Mapping[str, Catalogue],
        otherwise: str | None,
    ) -> tuple[Choice, Mapping[str, Catalogue]]:
        catalogues = {name: known[name] for name in self.accounts.reachable(asked, provider)}
        if otherwise is not None and not self._knows(asked, catalogues):
            asked = otherwise or self._default_for(asked, provider, default)
            catalogues = {name: known[name] for name in self.accounts.reachable(asked, provider)}
        return choose(asked, provider, default, catalogues), catalogues

    def _knows(self, model: str, catalogues: Mapping[str, Catalogue]) -> bool:
        """Whether *model*, with or without its provider's name before it, is known anywhere."""
        prefix, _, bare = model.partition("/")
        return any(
            catalogue.knows(model) or (name == prefix and catalogue.knows(bare))
            for name, catalogue in catalogues.items()
        )

    def _default_for(self, unknown: str, provider: str | None, default: str) -> str:
        """The default model, in the place of one that nobody knows.

        :raises Refusal: not found, where there is none.
        """
        try:
            return self._default(provider, default)
        except Refusal:
            raise not_found(
                f"No provider here knows the model {unknown[:100]!r}, and there is no default model to answer in its"
                " place. Ask for a model of /v1/models; the owner can map the name (CHATMOCK_ANTHROPIC_MODELS) or"
                " choose a default model (CHATMOCK_MODEL, --model)."
            ) from None

    def _default(self, provider: str | None, default: str) -> str:
        if self.default_model is not None and provider in (None, default):
            return self.default_model
        name = provider or default
        account = self.accounts.by_name.get(name)
        catalogue = self.discovery.current().get(name)
        model = account.provider.default_model if account is not None else None
        model = model or next(iter(catalogue.names() if catalogue is not None else ()), None)
        if model is None:
            raise bad_request(
                "Name a 'model': there is no default one.", param="model", code="model_required"
            )
        return model
