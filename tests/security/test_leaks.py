"""The search for secrets finds those that are there, in each form, and no others."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.security.leaks import RUN, leaked

SECRET = bytes(range(33, 90))
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda run: run,
    "json": lambda run: run.replace(b"/", b"\\/"),
    "url": lambda run: quote(run, safe="").encode(),
    "query": lambda run: quote_plus(run).encode(),
    "url of a url": lambda run: quote(quote(run, safe="")).encode(),
    "every byte": lambda run: b"".join(b"%%%02x" % byte for byte in run),
    "base64": base64.b64encode,
    "urlsafe": base64.urlsafe_b64encode,
    "basic": lambda run: base64.b64encode(b"user:" + run),
    "second": lambda run: base64.b64encode(b"x" + run + b"y"),
    "third": lambda run: base64.b64encode(b"xx" + run + b"yyy"),
    "hex": lambda run: run.hex().encode(),
    "upper hex": lambda run: run.hex().upper().encode(),
}


@given(
    form=st.sampled_from(sorted(FORMS)),
    start=st.integers(0, len(SECRET) - RUN),
    before=st.binary(max_size=8),
    after=st.binary(max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_a_run_is_found_in_each_form(form: str, start: int, before: bytes, after: bytes) -> None:
    written = FORMS[form](SECRET[start : start + RUN])
    if form in ("url", "query", "url of a url", "every byte"):
        before, after = b"?a=", b"&"  # bytes before a % could make it another one
    assert leaked(before + written + after, {"key": SECRET})


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_nothing_is_found_where_nothing_is(said: bytes) -> None:
    assert leaked(said, {"key": b"\xf3\x91\x07" * 9}) == [] or b"\xf3\x91\x07" in said


def test_less_than_a_run_is_nothing() -> None:
    for form in ("plain", "base64", "hex"):
        assert leaked(FORMS[form](SECRET[: RUN - 1]), {"key": SECRET}) == []


def test_it_is_told_what_is_found_and_how() -> None:
    said = b"x" + SECRET[:20] + b" " + base64.b64encode(b"another secret of mine")
    found = leaked(said, {"one": SECRET, "two": b"another secret of mine", "three": b"nowhere to be found"})
    assert found == ["one (plain)", "two (base64)"]
