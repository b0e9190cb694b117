"""Which models there are, and which provider a request's model means. Pure: reading them is `discovery`'s work."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from chatmock.errors import Kind, Refusal, bad_request
from chatmock.model import Model


@attrs.frozen
class Choice:
    """Where a request goes."""

    provider: str
    model: str
    """As the upstream knows it."""
    effort: str | None = None
    """The reasoning effort that the model's name ended in."""


@attrs.frozen
class Catalogue:
    """The models of one provider."""

    provider: str
    models: Mapping[str, Model] | None = None
    """By id; None while the upstream has not told them, in which case any name may be right."""
    unlisted: Collection[str] = ()
    """Names the upstream takes although it does not list them: its own alias for its newest model, say."""
    allowed: Collection[str] = ()
    """Names the owner allows besides."""
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    """Names the owner made up (or misses), to the model each stands for."""
    retired: Mapping[str, str] = attrs.field(factory=dict)
    """Names the upstream no longer serves, to the advice for who asks for one."""
    tentative: bool = False
    """Whether *models* is a guess, made before the upstream has told: other names may be right too."""
    efforts: Collection[str] = ()
    """Reasoning efforts that a model's name may end in, after a hyphen, a colon or an underscore."""
    list_efforts: bool = False
    """Whether each model is listed once more for each of its efforts."""
    forced: str | None = None
    """The model that answers, whatever is asked for."""
    takes_unlisted: bool = False
    """Whether the upstream is asked for names that it does not list too, and judges them itself."""

    def knows(self, name: str) -> bool:
        """Whether *name* is listed, allowed, an alias, or one of those with an effort after it."""
        return self._has(name) or self._variant(name) is not None

    def names(self) -> list[str]:
        """Every name to pick from here, the upstream's own first."""
        listed: list[str] = []
        for model in (self.models or {}).values():
            if model.listed:
                listed.append(model.id)
                if self.list_efforts:
                    listed.extend(f"{model.id}-{effort}" for effort in model.efforts)
        return list(dict.fromkeys([*listed, *self.allowed, *self.aliases]))

    def details(self, name: str) -> Model | None:
        """What is known of the model that *name* means."""
        variant = None if self._has(name) else self._variant(name)
        name = name if variant is None else variant[0]
        return (self.models or {}).get(self.aliases.get(name, name))

    def resolve(self, name: str) -> Choice:
        """The upstream's model for *name*. An exact name goes before one with an effort after it.

        :raises Refusal: ``model_not_found``, naming near matches, when the catalogue is known and lacks it.
        """
        if self.forced is not None:
            return attrs.evolve(self, forced=None, tentative=True).resolve(self.forced)
        if self._has(name):
            return Choice(self.provider, self.aliases.get(name, name))
        if (variant := self._variant(name)) is not None:
            base, effort = variant
            return Choice(self.provider, self.aliases.get(base, base), effort)
        if name in self.retired:
            raise not_found(f"The model {name!r} is retired at {self.provider}. {self.retired[name]}")
        if not self.certain:
            return Choice(self.provider, *self._guess(name))
        raise unknown_model(name, self.names(), f"at {self.provider}")

    @property
    def certain(self) -> bool:
        """Whether other names than the known ones are wrong: the upstream has told its models."""
        told = self.models is not None and not self.tentative
        return told and self.forced is None and not self.takes_unlisted

    def _has(self, name: str) -> bool:
        if name in self.aliases or name in self.allowed:
            return True
        return self.models is not None and (name in self.models or name in self.unlisted)

    def _guess(self, name: str) -> tuple[str, str | None]:
        """The model and the effort that an unknown *name* may be made of."""
        for separator in "-:_":
            base, _, effort = name.rpartition(separator)
            if base and effort in self.efforts:
                return base, effort
        return name, None

    def _variant(self, name: str) -> tuple[str, str] | None:
        """The known name and the effort that *name* is made of."""
        if not self.efforts:
            return None
        for separator in "-:_":
            base, _, effort = name.rpartition(separator)
            if self._has(base):
                model = (self.models or {}).get(self.aliases.get(base, base))
                if effort in self.efforts or (model is not None and effort in model.efforts):
                    return base, effort
        return None


def choose(
    model: str, wanted_provider: str | None, default: str, catalogues: Mapping[str, Catalogue]
) -> Choice:
    """Pick provider and model. First match wins: *wanted_provider* (the ``provider`` query argument), a
    ``provider/`` prefix of *model*, a name that a single provider knows, the *default* provider, one that judges by itself
    which names it takes.

    :param catalogues: of each usable provider, by name.
    :raises Refusal: bad request for an unknown provider, ``model_not_found`` for an unknown model.
    """
    if wanted_provider is not None:
        if wanted_provider not in catalogues:
            raise unknown_provider(wanted_provider, catalogues)
        bare = model.removeprefix(f"{wanted_provider}/")
        catalogue = catalogues[wanted_provider]
        return catalogue.resolve(model if catalogue.knows(model) else bare)
    prefix, slash, bare = model.partition("/")
    if slash and bare and prefix in catalogues and not catalogues[default].knows(model):
        catalogue = catalogues[prefix]
        return catalogue.resolve(model if catalogue.knows(model) else bare)
    knowing = [name for name, catalogue in catalogues.items() if catalogue.knows(model)]
    if len(knowing) == 1:
        return catalogues[knowing[0]].resolve(model)
    return _resolve_by_default(model, default, catalogues)


def _resolve_by_default(model: str, default: str, catalogues: Mapping[str, Catalogue]) -> Choice:
    catalogue = catalogues[default]
    if catalogue.certain and not catalogue.knows(model):
        for retiring in (catalogue, *catalogues.values()):
            if model in retiring.retired:
                retiring.resolve(model)
        for taking in catalogues.values():
            if taking.takes_unlisted:
                return taking.resolve(model)
        every = listing(default, catalogues)
        raise unknown_model(model, [entry[0] for entry in every], "here")
    return catalogue.resolve(model)


Row = tuple[str, str, Model | None]
"""A model to pick: the name to use, the provider, details where they are known."""


def listing(default: str, catalogues: Mapping[str, Catalogue]) -> list[Row]:
    """Every model for a client to pick from.

    The default provider's come first. A name that several providers know is listed bare for the default one
    (or the first) and with its provider's prefix for the others.
    """
    taken: set[str] = set()
    rows: list[Row] = []
    for provider in sorted(catalogues, key=lambda name: name != default):
        catalogue = catalogues[provider]
        for name in catalogue.names():
            shown = f"{provider}/{name}" if name in taken else name
            taken.add(name)
            rows.append((shown, provider, catalogue.details(name)))
    return rows


def not_found(message: str) -> Refusal:
    """A model that cannot be had."""
    return Refusal(Kind.NOT_FOUND, message, code="model_not_found", param="model")


def unknown_model(name: str, known: Sequence[str], where: str) -> Refusal:
    """``model_not_found`` that names what may have been meant."""
    return not_found(f"The model {_short(name)} does not exist {where}. {_suggest(name, known)}")


def unknown_provider(name: str, known: Iterable[str]) -> Refusal:
    """A ``provider`` argument that names none of the usable ones."""
    return bad_request(
        f"There is no usable provider {_short(name)}. Usable: {', '.join(sorted(known))}.",
        param="provider",
        code="unknown_provider",
    )


def _suggest(name: str, known: Sequence[str], most: int = 5) -> str:
    near = difflib.get_close_matches(name[:100], known, n=most, cutoff=0.5)
    if near:
        return f"Near matches: {', '.join(near)}."
    if len(known) <= most:
        return f"Known: {', '.join(known) or 'none'}."
    return f"Known are {', '.join(known[:most])} and {len(known) - most} more: see /v1/models."


def _short(name: str, most: int = 100) -> str:
    return repr(name if len(name) <= most else name[:most] + "…")
