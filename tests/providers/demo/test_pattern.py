"""The demo's regular expressions, against Python's own."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.demo.effort import Effort, ExhaustedError, ImpossibleError
from chatmock.providers.demo.pattern import Pattern

_atoms = st.sampled_from(
    [
        "a",
        "b",
        "-",
        "é",
        r"\.",
        ".",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        "[ab]",
        "[^a]",
        "[a-c1-3]",
        r"[\w-]",
        r"[^\d\s]",
        r"\x61",
    ]
)
_counts = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "{0,2}?"])


def _row(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeated = st.builds(lambda node, count: node + count, inner, _counts)
    group = st.builds(
        lambda rows, kind, count: f"({kind}{'|'.join(rows)}){count}",
        st.lists(st.lists(repeated, max_size=3).map("".join), min_size=1, max_size=3),
        st.sampled_from(["", "?:"]),
        _counts,
    )
    return st.lists(repeated | group, max_size=3).map("".join)


_patterns = st.builds(
    lambda start, row, end: start + row + end,
    st.sampled_from(["", "^"]),
    _row(_atoms),  # one level of groups: the judge, Python's matcher, may take for ever over nested repeats
    st.sampled_from(["", "$"]),
)


@settings(deadline=None, max_examples=60)
@given(_patterns, st.text("ab1-. é", max_size=8))
def test_a_text_matches_as_it_does_in_python(pattern: str, text: str) -> None:
    assert Pattern(pattern, Effort()).matches(text) == bool(re.search(pattern, text, re.ASCII))


@settings(deadline=None, max_examples=40)
@given(_patterns)
def test_samples_match(pattern: str) -> None:
    samples = list(Pattern(pattern, Effort(10**7)).samples())
    assert samples, "every pattern of these has a match"
    short = [
        sample for sample in samples if len(sample) <= 10
    ]  # Python's matcher may never end on longer ones
    assert all(re.search(pattern, sample, re.ASCII) for sample in short)
    assert len(set(samples)) == len(samples)


@pytest.mark.parametrize(
    ("pattern", "sample"),
    [
        (r"^[A-Z]{3}-\d{4}$", "AAA-0000"),
        (r"^\d{3}-\d{2}-\d{4}$", "000-00-0000"),
        (r"^#[0-9a-fA-F]{6}$", "#aaaaaa"),
        (r"^(GET|POST)$", "GET"),
        (r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$", "a@a.aa"),
        ("^[é-ü]$", "é"),
        ("^[-a]$", "a"),
        (r"^[]]$", None),
        ("", ""),
    ],
)
def test_the_first_sample_is_the_plainest(pattern: str, sample: str | None) -> None:
    if sample is None:
        with pytest.raises(ImpossibleError):
            Pattern(pattern, Effort())
    else:
        assert next(Pattern(pattern, Effort()).samples()) == sample


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "[a",
        "a{2",
        "*",
        "a**",
        "a++",
        "^*",
        "(?=a)",
        "(?<n>a)",
        r"\1",
        r"\b",
        r"\p{L}",
        "[b-a]",
        "\\",
        "a{3,2}",
        "a" * 301,
        "(" * 30 + ")" * 30,
    ],
)
def test_what_is_not_known_is_not_guessed(pattern: str) -> None:
    with pytest.raises(ImpossibleError):
        Pattern(pattern, Effort())


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^((a*)*)*$", "^(a?){200}$", "(.*)(.*)(.*)(.*)(.*)b"]
)
def test_patterns_that_keep_other_matchers_busy_for_ever_do_not(pattern: str) -> None:
    began = time.process_time()
    assert Pattern(pattern, Effort(10**7)).matches("a" * 60 + "!") is False
    assert time.process_time() - began < 5.0


def test_the_work_of_matching_is_counted() -> None:
    with pytest.raises(ExhaustedError):
        Pattern("^(a+)+$", Effort(100)).matches("a" * 200)


def test_very_long_texts_do_not_match() -> None:
    assert Pattern("^a+$", Effort()).matches("a" * 300)
    assert not Pattern("^a+$", Effort()).matches("a" * 301)
