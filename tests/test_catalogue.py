"""Which provider and model a request means."""

from __future__ import annotations

import pytest

from chatmock.catalogue import Catalogue, Choice, choose, listing
from chatmock.errors import Kind, Refusal
from chatmock.model import Model


def catalogue(provider: str, *names: str, known: bool = True, **more: object) -> Catalogue:
    models = {name: Model(name, created=1) for name in names} if known else None
    return Catalogue(provider, models, **more)


CATALOGUES = {
    "grok": catalogue(
        "grok",
        "grok-latest",
        "grok-4",
        "shared",
        aliases={"fast": "grok-4"},
        retired={"grok-beta": "Map it."},
        unlisted=["grok-newest"],
    ),
    "openrouter": catalogue(
        "openrouter", "x-ai/grok-4", "shared", "a/b", "openrouter/auto", allowed=["secret/model"]
    ),
    "compatible": catalogue("compatible", known=False),
}


@pytest.mark.parametrize(
    ("model", "wanted", "choice"),
    [
        ("grok-4", None, ("grok", "grok-4")),
        ("fast", None, ("grok", "grok-4")),
        ("x-ai/grok-4", None, ("openrouter", "x-ai/grok-4")),
        ("secret/model", None, ("openrouter", "secret/model")),
        ("shared", None, ("grok", "shared")),
        ("shared", "openrouter", ("openrouter", "shared")),
        ("openrouter/shared", None, ("openrouter", "shared")),
        ("openrouter/x-ai/grok-4", None, ("openrouter", "x-ai/grok-4")),
        ("grok/grok-4", "grok", ("grok", "grok-4")),
        ("grok-newest", None, ("grok", "grok-newest")),
        ("openrouter/auto", None, ("openrouter", "openrouter/auto")),
        ("whatever", "compatible", ("compatible", "whatever")),
        ("compatible/whatever", None, ("compatible", "whatever")),
        ("compatible/a/b", None, ("compatible", "a/b")),
    ],
)
def test_choice(model: str, wanted: str | None, choice: tuple[str, str]) -> None:
    assert choose(model, wanted, "grok", CATALOGUES) == Choice(*choice)


def test_any_name_goes_while_the_default_is_not_known() -> None:
    assert choose("new", None, "compatible", CATALOGUES) == Choice("compatible", "new")


@pytest.mark.parametrize(
    ("model", "wanted", "kind", "says"),
    [
        ("grok-5", None, Kind.NOT_FOUND, "Near matches: grok-4"),
        ("x-ai/grok-5", None, Kind.NOT_FOUND, "x-ai/grok-4"),
        ("nope", None, Kind.NOT_FOUND, "see /v1/models"),
        ("nope", "openrouter", Kind.NOT_FOUND, "at openrouter"),
        ("grok/grok-5", None, Kind.NOT_FOUND, "at grok"),
        ("grok-beta", None, Kind.NOT_FOUND, "retired at grok. Map it."),
        ("grok-4", "gork", Kind.BAD_REQUEST, "Usable: compatible, grok, openrouter"),
    ],
)
def test_no_choice(model: str, wanted: str | None, kind: Kind, says: str) -> None:
    with pytest.raises(Refusal) as caught:
        choose(model, wanted, "grok", CATALOGUES)
    assert caught.value.kind is kind
    assert says in caught.value.message


def test_a_retired_name_has_its_advice_whoever_is_the_default() -> None:
    with pytest.raises(Refusal, match="retired at grok"):
        choose("grok-beta", None, "openrouter", CATALOGUES)


def test_an_error_does_not_repeat_a_huge_name() -> None:
    with pytest.raises(Refusal) as caught:
        choose("x" * 100_000, None, "grok", CATALOGUES)
    assert len(caught.value.message) < 1000


def test_listing_puts_the_default_first_and_tells_namesakes_apart() -> None:
    rows = listing("openrouter", CATALOGUES)
    assert [(name, provider) for name, provider, _ in rows] == [
        ("x-ai/grok-4", "openrouter"),
        ("shared", "openrouter"),
        ("a/b", "openrouter"),
        ("openrouter/auto", "openrouter"),
        ("secret/model", "openrouter"),
        ("grok-latest", "grok"),
        ("grok-4", "grok"),
        ("grok/shared", "grok"),
        ("fast", "grok"),
    ]
    for name, provider, _ in rows:
        assert choose(name, None, "openrouter", CATALOGUES).provider == provider
