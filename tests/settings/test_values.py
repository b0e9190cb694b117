"""What each kind of setting accepts, what becomes of it, and that nothing else gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatmock.settings.secrets import Secret, SecretText
from chatmock.settings.values import (
    Aliases,
    Boolean,
    Choice,
    FileName,
    Items,
    Kind,
    Number,
    Whole,
    Word,
    shown,
)

LETTERS = Word("[a-z]+", "letters")


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        *((Boolean(), raw, True) for raw in (True, "1", "true", "True", "YES", " on ")),
        *((Boolean(), raw, False) for raw in (False, "0", "false", "No", "oFF")),
        (LETTERS, " abc\n", "abc"),
        (Choice(("low", "high")), "HIGH", "high"),
        (Whole(0, 9), "0", 0),
        (Whole(0, 9), " 9 ", 9),
        (Whole(0, 9), "007", 7),
        (Whole(1), 10**25, 10**25),
        (Number(0.5, 8), "0.5", 0.5),
        (Number(0.5, 8), "1.", 1.0),
        (Number(0.5, 8), 8, 8.0),
        (FileName(), "~/a b/", Path("~/a b")),
        (FileName(), Path("/x"), Path("/x")),
        (SecretText(), "sk-!~", Secret("sk-!~")),
        (SecretText(), Secret("k"), Secret("k")),
        (SecretText(spaces=True), "a=b; c=d", Secret("a=b; c=d")),
        (Items(LETTERS), "a, b\tc,,d ,", ("a", "b", "c", "d")),
        (Items(LETTERS), ["a", "b"], ("a", "b")),
        (Items(LETTERS), "", ()),
        (Items(Word("[a-z,]+", ""), commas=False), "a,b c", ("a,b", "c")),
        (Aliases(LETTERS), " a = b ,c=d,", {"a": "b", "c": "d"}),
        (Aliases(LETTERS), {"a": "b"}, {"a": "b"}),
    ],
)
def test_what_is_accepted(kind: Kind[Any], raw: object, value: object) -> None:
    assert kind.read(raw) == value
    assert type(kind.read(raw)) is type(kind.read(kind.read(raw)))
    assert kind.read(kind.render(kind.read(raw))) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        *((Boolean(), raw) for raw in (1, 0, None, "", "2", "y", "enabled", "\uff11")),
        *((LETTERS, raw) for raw in ("", "a b", "a1", 5, None)),
        *((Choice(("low", "high")), raw) for raw in ("", "lo", "low high", True, None)),
        *(
            (Whole(0, 9), raw)
            for raw in ("-1", "10", "1_0", "+1", "1.0", "", "\u0661", "9" * 99, True, 1.0, None)
        ),
        *((Number(0.5, 8), raw) for raw in ("0.4", "8.1", "nan", "inf", "1e0", "", ".", True, None)),
        *((Number(0.5, 8), raw) for raw in (float("nan"), float("inf"), -1, 10**400)),
        *((FileName(), raw) for raw in ("", "  ", "a\0b", "a\nb", Path("a\x7fb"), 5, None)),
        *(
            (SecretText(), raw)
            for raw in ("", "a b", " a", "a\n", "a\r\nb", "\0", "\u00e4", "\x7f", b"a", None)
        ),
        *((SecretText(spaces=True), raw) for raw in ("", " ", " a", "a ", "a\tb", "a\nb")),
        *((Items(LETTERS), raw) for raw in ("a, 1", ["a", "b c"], ["a", 1], {"a": 1}, 5, None)),
        *(
            (Aliases(LETTERS), raw)
            for raw in ("a", "a=", "=b", "a=b=c", "a=b,a=c", {"a": 1}, {"1": "a"}, ["a=b"])
        ),
    ],
)
def test_what_is_refused(kind: Kind[Any], raw: object) -> None:
    with pytest.raises(ValueError):
        kind.read(raw)


def test_a_part_that_is_refused_is_named() -> None:
    with pytest.raises(ValueError, match=r"^b1$"):
        Items(LETTERS).read("a b1")
    with pytest.raises(ValueError, match=r"^a is there twice$"):
        Aliases(LETTERS).read("a=b,a=c")
    with pytest.raises(ValueError, match=r"^c: it has no =$"):
        Aliases(LETTERS).read("a=b,c")


def test_aliases_cannot_be_changed() -> None:
    aliases = Aliases(LETTERS).read({"a": "b"})
    with pytest.raises(TypeError):
        aliases["x"] = "y"  # type: ignore[index]


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\udcff") == Secret("\udcff")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("abc", "abc"),
        ("", "''"),
        ("a b", "'a b'"),
        ("a\n", "'a\\n'"),
        ("\x1b[2J", "'\\x1b[2J'"),
        (True, "true"),
    ],
)
def test_what_is_shown_stays_on_one_line_and_moves_no_cursor(raw: object, expected: str) -> None:
    assert shown(raw) == expected


def test_what_is_shown_is_not_long() -> None:
    assert shown("x" * 100) == "x" * 100
    assert shown("x" * 101) == "x" * 99 + "…"
