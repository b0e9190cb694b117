"""The states of a provider's health, with times that are just numbers."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatmock.conditions import State, summary, usable
from chatmock.errors import Kind, Refusal
from chatmock.health import (
    FAULT_SECONDS,
    FAULTS,
    FIRST_LASTING,
    FIRST_PASSING,
    MOST_MODELS,
    Health,
    Trial,
)
from chatmock.verdicts import judge

MOST = 900.0
WALL = 1_790_000_000.0
ROUNDING = 1e-6
LOGIN = Refusal(Kind.UNAUTHENTICATED, "No.", code="login_required")
LIMIT = Refusal(Kind.USAGE_EXHAUSTED, "Used up.", code="usage_limit_reached", retry_after=300.0)
FAULT = Refusal(Kind.UPSTREAM_FAILED, "Broken.", code="upstream_error", retryable=True)
CONNECT = Refusal(Kind.UPSTREAM_FAILED, "Unreachable.", code="upstream_connect", retryable=True)
SLOWLY = Refusal(Kind.RATE_LIMITED, "Slowly.", code="rate_limit_exceeded", retry_after=40.0, retryable=True)
CAPTCHA = Refusal(Kind.FORBIDDEN, "A person?", code="upstream_captcha")


class Desk:
    """A health with its time."""

    def __init__(self, most: float = MOST) -> None:
        self.health = Health("chatgpt", "ChatGPT", most)
        self.now = 1000.0

    def enter(self, model: str = "m", asker: object = None) -> Trial:
        return self.health.enter(model, self.now, WALL + self.now, asker)

    def ask(self, refusal: Refusal | None = None, model: str = "m", asker: object = None) -> None:
        """One request, from its way in to its end."""
        trial = self.enter(model, asker)
        if refusal is not None:
            self.refuse(trial, refusal)
            return
        self.health.opened(trial)
        self.health.succeeded(trial)

    def refuse(self, trial: Trial, refusal: Refusal) -> None:
        self.health.refused(trial, refusal, self.now, WALL + self.now)

    def refused(self, model: str = "m") -> Refusal | None:
        """Why a request would not be let through; it leaves at once where it is."""
        try:
            self.health.left(self.enter(model))
        except Refusal as refusal:
            return refusal
        return None

    def left(self, model: str | None = None) -> float | None:
        condition = self.health.conditions(self.now).get(model)
        return None if condition is None else condition.left


@pytest.mark.parametrize(
    ("refusal", "seconds", "whole"),
    [
        (LOGIN, FIRST_LASTING, True),
        (LIMIT, 300.0, True),
        (CAPTCHA, FIRST_LASTING, True),
        (SLOWLY, 40.0, False),
        (Refusal(Kind.RATE_LIMITED, "Used up.", code="rate_limit_exceeded"), FIRST_LASTING, False),
        (Refusal(Kind.USAGE_EXHAUSTED, "No money.", code="insufficient_quota"), FIRST_LASTING, False),
        (
            Refusal(Kind.USAGE_EXHAUSTED, "x", code="usage_limit_reached", more={"resets_at": WALL + 1100.0}),
            100.0,
            True,
        ),
        (
            Refusal(Kind.USAGE_EXHAUSTED, "x", code="usage_limit_reached", retry_after=3 * 86_400.0),
            MOST,
            True,
        ),
        (
            Refusal(Kind.USAGE_EXHAUSTED, "x", code="usage_limit_reached", retry_after=0.0),
            FIRST_PASSING,
            True,
        ),
    ],
)
def test_one_refusal_that_lasts_is_enough(refusal: Refusal, seconds: float, whole: bool) -> None:
    desk = Desk()
    desk.ask(refusal)
    assert desk.left(None if whole else "m") == seconds
    assert (desk.refused("other") is not None) is whole
    told = desk.refused()
    assert told is not None
    assert (told.kind, told.code, told.retry_after) == (refusal.kind, refusal.code, seconds)
    assert not told.retryable
    desk.now += seconds - 0.001
    assert desk.refused() is not None
    desk.now += 0.001
    assert desk.refused() is None


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(Kind.BAD_REQUEST, "What?", code="context_length_exceeded"),
        Refusal(Kind.NOT_FOUND, "Who?", code="model_not_found"),
        Refusal(Kind.TOO_LARGE, "Oof."),
        Refusal(Kind.FORBIDDEN, "Not this."),
        Refusal(Kind.CANCELLED, "Gone."),
        Refusal(Kind.INTERNAL, "Oops."),
        Refusal(Kind.RATE_LIMITED, "Busy.", code="chat_busy", retry_after=60.0),
        Refusal(Kind.RATE_LIMITED, "Slowly.", retry_after=2.0, retryable=True),
        Refusal(Kind.RATE_LIMITED, "Slowly.", retryable=True),
        Refusal(Kind.UPSTREAM_FAILED, "Endless.", code="upstream_limit"),
        Refusal(Kind.UPSTREAM_FAILED, "No call.", code="upstream_no_tool_call"),
        Refusal(Kind.OVERLOADED, "We stop.", code="shutdown"),
        Refusal(Kind.USAGE_EXHAUSTED, "You asked for fewer max_tokens.", code="insufficient_quota"),
    ],
)
def test_what_is_about_one_request_never_counts(refusal: Refusal) -> None:
    assert judge(refusal) is None
    desk = Desk()
    for _ in range(10):
        desk.ask(refusal)
    assert desk.health.well


@pytest.mark.parametrize(
    "fault",
    [
        FAULT,
        Refusal(Kind.OVERLOADED, "Busy."),
        Refusal(Kind.UPSTREAM_TIMED_OUT, "Silent.", code="upstream_timeout"),
        Refusal(Kind.UPSTREAM_TIMED_OUT, "Silent.", code="upstream_idle"),
        Refusal(Kind.UPSTREAM_FAILED, "Cut.", code="upstream_truncated", retryable=True),
    ],
)
def test_faults_of_a_model_count_when_there_are_three_in_a_row(fault: Refusal) -> None:
    desk = Desk()
    for _ in range(FAULTS - 1):
        desk.ask(fault)
    desk.ask()
    for _ in range(FAULTS):
        assert desk.refused() is None
        desk.ask(fault)
    assert desk.left("m") == FIRST_PASSING
    assert desk.refused("other") is None


def test_faults_that_lie_far_apart_are_not_in_a_row() -> None:
    desk = Desk()
    for _ in range(3 * FAULTS):
        desk.ask(FAULT)
        desk.now += FAULT_SECONDS / (FAULTS - 1)
    assert desk.refused() is None
    desk.ask(FAULT)
    desk.ask(FAULT)
    assert desk.left("m") == FIRST_PASSING


class Question:
    """What a request is known by."""


def test_a_request_that_is_tried_again_and_again_counts_once() -> None:
    desk, questions = Desk(), [Question() for _ in range(FAULTS)]
    for _ in range(2):
        for question in questions[:-1]:
            for _ in range(5):
                desk.ask(FAULT, asker=question)
    assert desk.refused() is None
    kept = weakref.ref(questions[0])
    desk.ask(FAULT, asker=questions[-1])
    assert desk.left("m") == FIRST_PASSING
    questions.clear()
    assert kept() is None, "what was asked is kept alive"


@pytest.mark.parametrize(
    "fault", [CONNECT, Refusal(Kind.UPSTREAM_TIMED_OUT, "Far.", code="upstream_timeout", retryable=True)]
)
def test_a_provider_that_cannot_be_reached_has_no_model_that_can(fault: Refusal) -> None:
    desk = Desk()
    for number in range(FAULTS):
        desk.ask(fault, f"m{number}")
    assert desk.left() == FIRST_PASSING
    assert desk.refused("other") is not None


def test_a_web_page_stands_in_the_place_of_every_model() -> None:
    desk = Desk()
    for number in range(FAULTS):
        desk.ask(Refusal(Kind.UPSTREAM_FAILED, "A page.", code="upstream_page"), f"m{number}")
    assert desk.refused("other") is not None


def test_an_answer_that_begins_shows_that_it_is_reached() -> None:
    desk = Desk()
    for _ in range(2 * FAULTS):
        desk.ask(CONNECT)
        trial = desk.enter()
        desk.health.opened(trial)
        desk.health.left(trial)
    assert desk.refused() is None


def test_the_probe_goes_alone() -> None:
    desk = Desk()
    desk.ask(LIMIT)
    desk.now += 300
    assert desk.health.conditions(desk.now)[None].state is State.PROBING
    probe = desk.enter()
    refused = desk.refused()
    assert refused is not None
    assert refused.retry_after == FIRST_PASSING
    assert refused.message == (
        "Used up. ChatGPT has refused since 2026-09-21T14:30:00Z (usage_limit_reached) and is being tried again right now"
        " by another request: ask again in a few seconds. The owner clears that with: chatmock heal chatgpt"
    )
    desk.health.left(probe)  # the client has left: the next one is the probe
    probe = desk.enter("other")
    desk.health.opened(probe)
    assert desk.refused() is None
    desk.health.succeeded(probe)
    assert desk.health.well


def test_failed_probes_double_the_wait_up_to_the_most() -> None:
    desk, waits = Desk(), []
    for _ in range(8):
        desk.ask(LOGIN)
        waits.append(desk.left())
        desk.now += waits[-1] or 0.0
    assert waits == [60, 120, 240, 480, 900, 900, 900, 900]
    desk.ask()
    desk.ask(LOGIN)
    assert desk.left() == FIRST_LASTING


def test_what_the_provider_says_of_the_time_counts_after_failed_probes_too() -> None:
    desk = Desk()
    for seconds in (40.0, 20.0, 20.0, 300.0, 1.0, 2 * MOST):
        desk.ask(Refusal(Kind.USAGE_EXHAUSTED, "x", code="usage_limit_reached", retry_after=seconds))
        assert desk.left() == min(max(seconds, FIRST_PASSING), MOST)
        desk.now += desk.left() or 0.0
    waits = []
    for said in (None, 300.0, None, None):
        desk.ask(LIMIT if said else LOGIN)
        waits.append(desk.left())
        desk.now += waits[-1] or 0.0
    assert waits == [60, 300, 120, 240], "only what was guessed is doubled"


def test_an_answer_that_began_before_a_refusal_does_not_speak_against_it() -> None:
    desk = Desk()
    old, older = desk.enter(), desk.enter("n")
    desk.health.opened(old)
    desk.now += 1
    desk.ask(LOGIN)
    desk.health.succeeded(old)
    assert desk.refused() is not None
    desk.now += FIRST_LASTING
    probe = desk.enter()
    desk.health.opened(probe)
    desk.health.succeeded(older)
    desk.refuse(probe, LOGIN)
    assert desk.left() == 2 * FIRST_LASTING


def test_a_long_answer_that_was_the_probe_does_not_keep_the_next_probe_out() -> None:
    desk = Desk()
    desk.ask(LOGIN)
    desk.now += FIRST_LASTING
    probe = desk.enter()
    desk.health.opened(probe)
    desk.now += 1
    desk.ask(LOGIN)
    desk.now += desk.left() or 0.0
    assert desk.refused() is None
    desk.health.succeeded(probe)
    assert desk.health.conditions(desk.now)[None].state is State.PROBING


def test_a_probe_that_fails_after_a_long_cooldown_counts_by_itself() -> None:
    desk = Desk()
    for _ in range(FAULTS):
        desk.ask(FAULT)
    desk.now += FIRST_PASSING + FAULT_SECONDS
    probe = desk.enter()
    desk.health.opened(probe)
    desk.refuse(probe, FAULT)
    assert desk.left("m") == 2 * FIRST_PASSING


def test_a_failed_probe_of_a_fault_counts_by_itself_and_after_its_first_byte_too() -> None:
    desk = Desk()
    for _ in range(FAULTS):
        desk.ask(FAULT)
    desk.now += FIRST_PASSING
    desk.ask(FAULT)
    assert desk.left("m") == 2 * FIRST_PASSING
    desk.now += 2 * FIRST_PASSING
    probe = desk.enter()
    desk.health.opened(probe)
    desk.refuse(probe, FAULT)
    assert desk.left("m") == 4 * FIRST_PASSING


def test_a_probe_that_says_nothing_of_the_provider_leaves_the_gate_half_open() -> None:
    desk = Desk()
    desk.ask(LIMIT)
    desk.now += 300
    desk.ask(Refusal(Kind.BAD_REQUEST, "What?"))
    assert desk.health.conditions(desk.now)[None].state is State.PROBING
    assert desk.refused() is None


def test_a_probe_that_is_never_heard_of_does_not_shut_the_gate_for_ever() -> None:
    desk = Desk()
    desk.ask(LIMIT)
    desk.now += 300
    lost = desk.enter()
    desk.now += MOST - 0.1
    assert desk.refused() is not None
    desk.now += 0.1
    probe = desk.enter()
    desk.health.left(lost)
    assert desk.refused() is not None, "the gate belongs to the new probe"
    desk.health.left(probe)


def test_those_that_were_under_way_do_not_make_it_worse() -> None:
    desk = Desk()
    trials = [desk.enter() for _ in range(10)]
    for trial in trials:
        desk.refuse(trial, LOGIN)
    assert desk.left() == FIRST_LASTING
    desk.now += FIRST_LASTING
    desk.ask(LOGIN)
    assert desk.left() == 2 * FIRST_LASTING


def test_a_straggler_makes_it_longer_but_not_shorter_the_next_time() -> None:
    desk = Desk()
    straggler = desk.enter()
    for _ in range(3):
        desk.ask(LOGIN)
        desk.now += desk.left() or 0.0
    desk.now -= 10
    desk.refuse(straggler, LOGIN)
    assert desk.left() == FIRST_LASTING
    desk.now += FIRST_LASTING
    desk.ask(LOGIN)
    assert desk.left() == 8 * FIRST_LASTING


def test_a_longer_refusal_of_one_that_was_under_way_counts() -> None:
    desk = Desk()
    first, second = desk.enter(), desk.enter()
    desk.refuse(first, LOGIN)
    desk.refuse(second, LIMIT)
    assert desk.left() == 300
    told = desk.refused()
    assert told is not None
    assert told.kind is Kind.USAGE_EXHAUSTED


def test_clearing_lets_everybody_through_and_forgets_what_was_under_way() -> None:
    desk = Desk()
    old = desk.enter()
    desk.ask(SLOWLY, "other")
    desk.ask(LIMIT)
    assert desk.health.clear() == {None: "usage_limit_reached", "other": "rate_limit_exceeded"}
    assert desk.health.clear() == {}
    desk.refuse(old, LOGIN)
    assert desk.refused() is None
    desk.ask(LOGIN)
    assert desk.refused() is not None


def test_usage_that_is_there_again_clears_only_its_want() -> None:
    desk = Desk()
    desk.ask(LIMIT)
    assert desk.health.exhausted
    desk.health.clear_exhausted()
    assert desk.refused() is None
    desk.ask(LOGIN)
    assert not desk.health.exhausted
    desk.health.clear_exhausted()
    assert desk.refused() is not None


def test_a_success_of_one_model_says_nothing_of_another() -> None:
    desk = Desk()
    desk.ask(SLOWLY, "other")
    desk.ask()
    assert desk.refused("other") is not None
    assert desk.refused() is None


def test_the_message_says_since_when_why_until_when_and_what_clears_it() -> None:
    desk = Desk()
    desk.ask(
        Refusal(
            Kind.USAGE_EXHAUSTED,
            "Used up.",
            code="usage_limit_reached",
            retry_after=600.0,
            more={"plan_type": "plus", "resets_in_seconds": 600},
        )
    )
    desk.now += 60
    told = desk.refused()
    assert told is not None
    assert told.message == (
        "Used up. ChatGPT has refused since 2026-09-21T14:30:00Z (usage_limit_reached) and is not asked again before"
        " 2026-09-21T14:40:00Z, unless the owner clears that: chatmock heal chatgpt"
    )
    assert told.more == {"plan_type": "plus", "resets_in_seconds": 540}
    desk.health.clear()
    desk.ask(SLOWLY)
    told = desk.refused()
    assert told is not None
    assert "ChatGPT's m has refused" in told.message


def test_a_refusal_is_not_kept_with_what_it_was_raised_in() -> None:
    """An exception holds its frames, and so the request."""
    desk = Desk()
    desk.ask(LIMIT)
    assert desk.refused() is not LIMIT
    assert desk.refused() is not desk.refused()


def test_what_is_told_of_it() -> None:
    desk = Desk()
    assert summary(desk.health.conditions(desk.now)) == {"state": "ok", "until": None, "reason": None}
    desk.ask(SLOWLY)
    assert summary(desk.health.conditions(desk.now)) == {
        "state": "ok",
        "until": None,
        "reason": None,
        "models": {"m": {"state": "cooling", "until": 40.0, "reason": "rate_limit_exceeded"}},
    }
    assert usable(desk.health.conditions(desk.now))
    desk.ask(Refusal(Kind.UNAUTHENTICATED, "No."), "other")
    assert not usable(desk.health.conditions(desk.now))
    desk.now += FIRST_LASTING
    told = summary(desk.health.conditions(desk.now))
    assert (told["state"], told["until"], told["reason"]) == ("probing", 0.0, "unauthenticated")
    assert usable(desk.health.conditions(desk.now))


def test_names_that_clients_invent_take_no_memory() -> None:
    desk = Desk()
    desk.ask(LOGIN)
    desk.now += FIRST_LASTING
    probe = desk.enter("m0")
    desk.health.opened(probe)
    for number in range(5 * MOST_MODELS):
        desk.ask(SLOWLY, f"m{number}")
    assert len(desk.health.conditions(desk.now)) <= MOST_MODELS + 1
    assert desk.refused(f"m{5 * MOST_MODELS - 1}") is not None
    assert desk.refused("m0") is None


REFUSALS = st.builds(
    Refusal,
    st.sampled_from(Kind),
    st.just("No."),
    code=st.sampled_from(
        [None, "upstream_connect", "upstream_error", "usage_limit_reached", "chat_busy", "upstream_captcha"]
    ),
    retry_after=st.none() | st.floats(0, 1e7),
    more=st.sampled_from([{}, {"resets_at": WALL + 5000.0}, {"resets_at": 0.0}, {"resets_at": "soon"}]),
    retryable=st.booleans(),
)
MODELS = st.sampled_from(["a", "b", "c"])


class AnyEvents(RuleBasedStateMachine):
    """Whatever happens, in whichever order: nobody is refused for ever, and one probe is let through at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.trials: list[Trial] = []
        self.last: dict[str | None, float] = {}
        """When each was last refused, at the latest."""

    @rule(model=MODELS)
    def enter(self, model: str) -> None:
        before = self.desk.health.conditions(self.desk.now)
        refusal = self.desk.refused(model)
        if refusal is not None:
            assert 0 < (refusal.retry_after or 0) <= MOST + ROUNDING
            assert {None, model} & before.keys(), "what nobody has refused is let through"
            return
        trial = self.desk.enter(model)
        self.trials.append(trial)
        for key in {None, model} & before.keys():
            assert before[key].state is State.PROBING
            assert self.desk.refused(model) is not None, "another one beside the probe"

    @precondition(lambda self: self.trials)
    @rule(data=st.data(), refusal=REFUSALS, opened=st.booleans())
    def refused(self, data: Any, refusal: Refusal, opened: bool) -> None:
        trial = data.draw(st.sampled_from(self.trials))
        if opened:
            self.desk.health.opened(trial)
        self.desk.refuse(trial, refusal)
        self.last |= dict.fromkeys([None, trial.model], self.desk.now)

    @precondition(lambda self: self.trials)
    @rule(data=st.data())
    def succeeded(self, data: Any) -> None:
        trial = data.draw(st.sampled_from(self.trials))
        self.desk.health.opened(trial)
        before = self.desk.health.conditions(self.desk.now)
        self.desk.health.succeeded(trial)
        after = self.desk.health.conditions(self.desk.now)
        assert after.keys() <= before.keys()
        assert {None, trial.model} & after.keys() <= self.refused_since(trial)

    def refused_since(self, trial: Trial) -> set[str | None]:
        """The gates with a refusal that is not older than *trial*."""
        return {key for key, at in self.last.items() if at >= trial.began}

    @precondition(lambda self: self.trials)
    @rule(data=st.data())
    def left(self, data: Any) -> None:
        self.desk.health.left(data.draw(st.sampled_from(self.trials)))

    @rule()
    def healed(self) -> None:
        self.desk.health.clear()
        assert all(self.desk.refused(model) is None for model in "abc")

    @rule()
    def has_usage(self) -> None:
        self.desk.health.clear_exhausted()
        assert not self.desk.health.exhausted

    @rule(seconds=st.floats(0, 2 * MOST))
    def time_passes(self, seconds: float) -> None:
        self.desk.now += seconds

    @rule(model=MODELS)
    def after_the_longest_cooldown_somebody_is_let_through(self, model: str) -> None:
        self.desk.now += MOST
        assert self.desk.refused(model) is None

    @invariant()
    def nothing_lasts_longer_than_the_most(self) -> None:
        for condition in self.desk.health.conditions(self.desk.now).values():
            assert 0 <= condition.left <= MOST + ROUNDING
            assert condition.since >= 0


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(
    max_examples=100, deadline=None, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
