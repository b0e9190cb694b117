"""Effort and summary."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from chatmock.model import Model
from chatmock.providers.chatgpt.request import Defaults
from tests.providers.chatgpt.asking import asked, parsed, refusal

SOME = Model("m", efforts=("low", "medium", "high"))
MOST = Model("m", efforts=("none", "low", "medium", "high", "xhigh"))
ALL = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")


def effort(
    details: Model | None = None, model_effort: str | None = None, default: str = "medium", **body: Any
) -> Any:
    made = asked(parsed(details, model_effort, **body), effort=default)
    return made.body["reasoning"]["effort"], made.notes.get("x-chatmock-effort")


@pytest.mark.parametrize(
    ("details", "given", "ignored"),
    [(SOME, "low", ()), (MOST, "none", ()), (Model("m"), "medium", ("thinking",)), (None, "medium", ("thinking",))],
)  # fmt: skip
def test_who_wants_no_thinking_gets_the_least(
    details: Model | None, given: str, ignored: tuple[str, ...]
) -> None:
    chat = attrs.evolve(parsed(details), least_effort=True, source=None)
    made = asked(chat, effort="medium")
    assert (made.body["reasoning"]["effort"], made.ignored) == (given, ignored)


@pytest.mark.parametrize("wanted", ALL)
def test_any_effort_of_a_model_that_is_not_known(wanted: str) -> None:
    assert effort(reasoning_effort=wanted) == (wanted, None)
    assert effort(Model("m"), reasoning_effort=wanted) == (wanted, None)


@pytest.mark.parametrize(
    ("wanted", "some", "most"),
    [
        ("none", "low", "none"),
        ("minimal", "low", "low"),
        ("low", "low", "low"),
        ("medium", "medium", "medium"),
        ("high", "high", "high"),
        ("xhigh", "high", "xhigh"),
        ("max", "high", "xhigh"),
        ("ultra", "high", "xhigh"),
    ],
)
def test_the_nearest_effort_that_the_model_has(wanted: str, some: str, most: str) -> None:
    for details, given in ((SOME, some), (MOST, most)):
        note = None if given == wanted else f"{given} (the model has no {wanted})"
        assert effort(details, reasoning_effort=wanted) == (given, note)
        assert effort(details, default=wanted) == (given, None)


@pytest.mark.parametrize(
    ("listed", "wanted", "given"),
    [
        (("low", "high"), "medium", "low"),
        (("none",), "high", "none"),
        (("new", "newer"), "high", "high"),
        (("low", "new"), "new", "new"),
        (("high", "low"), "ultra", "high"),
    ],
)
def test_odd_lists(listed: tuple[str, ...], wanted: str, given: str) -> None:
    assert effort(Model("m", efforts=listed), reasoning_effort=wanted)[0] == given


def test_who_goes_first() -> None:
    ways: list[dict[str, Any]] = [
        {"default": "minimal"},
        {"model_effort": "low"},
        {"think": "medium"},
        {"reasoning": {"effort": "high"}},
        {"reasoning_effort": "max"},
    ]
    asking: dict[str, Any] = {}
    for way, given in zip(ways, ("minimal", "low", "medium", "high", "max"), strict=True):
        asking |= way
        assert effort(**asking) == (given, None)


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ({"think": False}, "none"),
        ({"think": True}, "medium"),
        ({"reasoning": {"effort": None}}, "medium"),
        ({"reasoning": {}}, "medium"),
    ],
)
def test_other_ways(body: dict[str, Any], given: str) -> None:
    assert effort(**body) == (given, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"effort": {}}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"reasoning": "high"}, "reasoning"),
        ({"think": "huge"}, "think"),
        ({"think": 1}, "think"),
        ({"model_effort": "huge"}, "model"),
    ],
)
def test_words_that_are_none(body: dict[str, Any], param: str) -> None:
    assert refusal(parsed(**body)).param == param


def test_a_refusal_names_the_words() -> None:
    assert "low, medium, high." in str(refusal(parsed(SOME, reasoning_effort="huge")))
    assert ", ".join(ALL) in str(refusal(parsed(reasoning_effort="huge")))


@pytest.mark.parametrize(
    ("body", "default", "summary"),
    [
        ({}, "auto", "auto"),
        ({}, "none", None),
        ({"reasoning": {"summary": "detailed"}}, "none", "detailed"),
        ({"reasoning": {"summary": "none"}}, "auto", None),
        ({"reasoning": {"summary": None, "effort": "low"}}, "concise", "concise"),
    ],
)
def test_summary(body: dict[str, Any], default: str, summary: str | None) -> None:
    assert asked(parsed(**body), summary=default).body["reasoning"].get("summary") == summary


def test_what_else_reasoning_holds_is_told() -> None:
    assert asked(parsed(reasoning={"effort": "low", "max_tokens": 9, "x": None})).ignored == (
        "reasoning.max_tokens",
    )


@pytest.mark.parametrize("wrong", [{"effort": "huge"}, {"summary": "long"}])
def test_the_owner_is_held_to_the_words_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Defaults(**wrong)
