"""Fast mode."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.model import Model
from chatmock.providers.chatgpt.models import PRESUMED
from tests.providers.chatgpt.asking import asked, parsed, refusal

FAST = Model("m", efforts=("low",), service_tiers=("priority",))
SLOW = Model("m", efforts=("low",))


@pytest.mark.parametrize(
    "details", [None, Model("m"), FAST, PRESUMED[0]], ids=["unknown", "bare", "fast", "presumed"]
)
@pytest.mark.parametrize(
    ("body", "default", "fast"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"fast_mode": True}, False, True),
        ({"fast_mode": " ON "}, False, True),
        ({"fast_mode": "1"}, False, True),
        ({"fast_mode": False}, True, False),
        ({"fast_mode": "no"}, True, False),
        ({"service_tier": "priority"}, False, True),
        ({"service_tier": "priority", "fast_mode": False}, True, False),
        ({"service_tier": "auto"}, False, False),
        ({"service_tier": "default"}, True, True),
        ({"service_tier": "flex"}, True, False),
        ({"service_tier": "flex", "fast_mode": "yes"}, False, True),
    ],
)
def test_who_goes_first(details: Model | None, body: dict[str, Any], default: bool, fast: bool) -> None:
    made = asked(parsed(details, **body), fast_mode=default)
    assert made.body.get("service_tier") == ("priority" if fast else None)
    assert made.ignored == (("service_tier",) if body.get("service_tier") == "flex" else ())
    assert not made.notes.keys() - {"x-chatmock-effort"}


@pytest.mark.parametrize("body", [{"fast_mode": "yes"}, {"service_tier": "priority"}])
def test_a_model_without_it_is_refused_to_a_client_that_asks(body: dict[str, Any]) -> None:
    refused = refusal(parsed(SLOW, **body))
    assert refused.param == next(iter(body))
    assert "fast mode" in str(refused)


def test_a_model_without_it_is_asked_all_the_same_where_only_the_owner_wants_it() -> None:
    made = asked(parsed(SLOW), fast_mode=True)
    assert "service_tier" not in made.body
    assert made.notes["x-chatmock-fast-mode"] == "off (the model has no fast mode)"


@pytest.mark.parametrize("value", ["maybe", "", 1, {}])
def test_neither_yes_nor_no(value: Any) -> None:
    assert refusal(parsed(fast_mode=value)).param == "fast_mode"
