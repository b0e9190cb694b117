"""A provider ready for use: with the owner's credential and the way to its upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from chatmock.catalogue import Catalogue
from chatmock.model import Model
from chatmock.providers.interface import Credential, Provider
from chatmock.upstream import Upstream


@attrs.frozen
class Account:
    """One usable provider."""

    provider: Provider
    credential: Credential
    upstream: Upstream
    allowed: Sequence[str] = ()
    """Model names the owner allows besides the catalogue."""
    aliases: Mapping[str, str] = attrs.field(factory=dict)

    def catalogue(self, models: Sequence[Model] | None) -> Catalogue:
        """The catalogue of *models*; None while they are not known."""
        default = self.provider.default_model
        return Catalogue(
            self.provider.name,
            None if models is None else {model.id: model for model in models},
            () if default is None else (default,),
            self.allowed,
            self.aliases,
            self.provider.retired,
        )
