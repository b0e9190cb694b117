"""Which provider and model a request means."""

from __future__ import annotations

import attrs
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


# --- names with an effort after them

EFFORTS = ("low", "medium", "high")


def thinking(*names: str, **more: object) -> Catalogue:
    """A catalogue whose models' names may end in an effort; ``deep`` is one that the first alone has."""
    models = {name: Model(name, efforts=(*EFFORTS, "deep") if name == names[0] else ()) for name in names}
    return Catalogue("chatgpt", models, efforts=EFFORTS, **more)


CODEX = thinking(
    "gpt-5.1",
    "gpt-5.1-codex",
    "gpt-5.1-codex-max",
    "gpt-5.1-high",
    "o_mini",
    aliases={"fast": "gpt-5.1", "low": "gpt-5.1-codex", "my-high": "o_mini"},
    allowed=["secret"],
)


@pytest.mark.parametrize(
    ("name", "model", "effort"),
    [
        ("gpt-5.1", "gpt-5.1", None),
        ("gpt-5.1-low", "gpt-5.1", "low"),
        ("gpt-5.1:low", "gpt-5.1", "low"),
        ("gpt-5.1_low", "gpt-5.1", "low"),
        ("gpt-5.1-high", "gpt-5.1-high", None),
        ("gpt-5.1:high", "gpt-5.1", "high"),
        ("gpt-5.1-high-low", "gpt-5.1-high", "low"),
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max", None),
        ("gpt-5.1-codex-max-high", "gpt-5.1-codex-max", "high"),
        ("gpt-5.1-codex-high", "gpt-5.1-codex", "high"),
        ("gpt-5.1-deep", "gpt-5.1", "deep"),
        ("o_mini_low", "o_mini", "low"),
        ("fast", "gpt-5.1", None),
        ("fast-high", "gpt-5.1", "high"),
        ("fast:deep", "gpt-5.1", "deep"),
        ("low", "gpt-5.1-codex", None),
        ("low-low", "gpt-5.1-codex", "low"),
        ("my-high", "o_mini", None),
        ("my-high:high", "o_mini", "high"),
        ("secret-medium", "secret", "medium"),
    ],
)
def test_an_effort_may_follow_a_known_name(name: str, model: str, effort: str | None) -> None:
    assert CODEX.knows(name)
    assert CODEX.resolve(name) == Choice("chatgpt", model, effort)
    details = CODEX.details(name)
    assert (details and details.id) == (None if model == "secret" else model)
    for asked in (name, f"chatgpt/{name}"):
        assert choose(asked, None, "chatgpt", {"chatgpt": CODEX}) == Choice("chatgpt", model, effort)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5.1-codex-deep",  # another model's effort
        "gpt-5.1-utmost",
        "gpt-5.1-",
        "gpt-5.1--low",
        "gpt-5.1low",
        "gpt-5.1 low",
        "gpt-5.1-LOW",
        "gpt-5.1-low-low",
        "-low",
        "gpt-5.2-low",
    ],
)
def test_what_is_no_known_name_with_an_effort(name: str) -> None:
    assert not CODEX.knows(name)
    with pytest.raises(Refusal) as caught:
        CODEX.resolve(name)
    assert caught.value.code == "model_not_found"


def test_efforts_are_no_part_of_names_where_the_provider_has_none() -> None:
    plain = catalogue("grok", "grok-4")
    assert not plain.knows("grok-4-high")
    with pytest.raises(Refusal, match="Near matches: grok-4"):
        plain.resolve("grok-4-high")


def test_while_the_list_is_a_guess_other_names_may_be_right() -> None:
    guess = thinking("gpt-5.1", tentative=True)
    assert not guess.certain
    assert guess.resolve("gpt-5.1-deep") == Choice("chatgpt", "gpt-5.1", "deep")
    assert guess.resolve("gpt-9") == Choice("chatgpt", "gpt-9")
    assert guess.resolve("gpt-9-codex-max") == Choice("chatgpt", "gpt-9-codex-max")
    for name in ("gpt-9-high", "gpt-9:high", "gpt-9_high"):
        assert guess.resolve(name) == Choice("chatgpt", "gpt-9", "high")
    assert guess.resolve("-high") == Choice("chatgpt", "-high")
    assert choose("gpt-9", None, "chatgpt", {"chatgpt": guess}) == Choice("chatgpt", "gpt-9")


def test_a_retired_name_is_refused_even_while_the_list_is_a_guess() -> None:
    guess = thinking("gpt-5.1", tentative=True, retired={"gpt-4": "Use gpt-5.1."})
    with pytest.raises(Refusal, match=r"Use gpt-5\.1"):
        guess.resolve("gpt-4")


@pytest.mark.parametrize(
    ("forced", "choice"),
    [
        ("gpt-5.1-codex", ("gpt-5.1-codex", None)),
        ("gpt-5.1-codex:high", ("gpt-5.1-codex", "high")),
        ("fast", ("gpt-5.1", None)),
        ("gpt-9", ("gpt-9", None)),
    ],
)
def test_a_forced_model_answers_whatever_is_asked_for(forced: str, choice: tuple[str, str | None]) -> None:
    catalogues = {"chatgpt": attrs.evolve(CODEX, forced=forced), **CATALOGUES}
    for name in ("gpt-5.1", "nope", "fast-high", "chatgpt/x"):
        assert choose(name, None, "chatgpt", catalogues) == Choice("chatgpt", *choice)
    assert choose("grok-4", None, "chatgpt", catalogues) == Choice("grok", "grok-4"), (
        "elsewhere it is as it was"
    )


def test_each_effort_is_listed_where_that_is_wished() -> None:
    hidden = attrs.evolve(CODEX.models["gpt-5.1-codex"], listed=False) if CODEX.models else None
    models = {**(CODEX.models or {}), "gpt-5.1-codex": hidden}
    shown = attrs.evolve(CODEX, models=models, list_efforts=True)
    names = shown.names()
    assert names[:5] == ["gpt-5.1", "gpt-5.1-low", "gpt-5.1-medium", "gpt-5.1-high", "gpt-5.1-deep"]
    assert len(names) == len(set(names))
    assert "gpt-5.1-codex" not in names
    for name in names:
        assert shown.knows(name)
    assert "gpt-5.1-low" not in CODEX.names()
    assert shown.resolve("gpt-5.1-codex").model == "gpt-5.1-codex", "hidden is not refused"


# --- an upstream that judges by itself which names it takes


OPEN = {**CATALOGUES, "ollama": catalogue("ollama", "qwen3:4b", takes_unlisted=True)}


@pytest.mark.parametrize(
    ("model", "wanted", "default", "choice"),
    [
        ("nope", None, "grok", ("ollama", "nope")),
        ("nope", "ollama", "grok", ("ollama", "nope")),
        ("ollama/nope", None, "grok", ("ollama", "nope")),
        ("qwen3:4b", None, "grok", ("ollama", "qwen3:4b")),
        ("nope", None, "ollama", ("ollama", "nope")),
        ("grok-4", None, "ollama", ("grok", "grok-4")),
        ("shared", None, "grok", ("grok", "shared")),
        ("nope", None, "compatible", ("compatible", "nope")),
    ],
)
def test_it_is_asked_for_what_nobody_knows(
    model: str, wanted: str | None, default: str, choice: tuple[str, str]
) -> None:
    assert choose(model, wanted, default, OPEN) == Choice(*choice)
    assert not OPEN["ollama"].certain
    assert not OPEN["ollama"].knows("nope")


@pytest.mark.parametrize(("model", "wanted"), [("grok-beta", None), ("nope", "grok"), ("grok/nope", None)])
def test_it_is_not_asked_for_what_others_were_meant_to_have(model: str, wanted: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        choose(model, wanted, "grok", OPEN)
    assert caught.value.code == "model_not_found"
