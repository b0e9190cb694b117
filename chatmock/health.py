"""Whether a provider is worth asking: one that refuses is left alone for a while, then tried by one request at a time.

::

    ok ──a refusal that counts──▶ cooling ──its time is over──▶ probing ──the probe is answered──▶ ok
                                     ▲                             │
                                     └──────the probe is refused───┘

It cools for as long as the provider says; where that says nothing, twice as long after each failed probe. One refusal is enough where it says that the account is not served (login, plan, captcha, a limit that lasts); faults that
may pass count when three requests in a row have met them within ten minutes. What is said of one model silences that model
only. Any success clears it that began later, and so do a new login, room under the plan's limits, and the owner's command. Nothing lasts longer than the longest
cooldown: after that somebody is always let through. Pure: times are given, monotonic ones for all that is measured.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from chatmock.conditions import Condition, State
from chatmock.durations import rfc3339, sane
from chatmock.errors import Kind, Refusal
from chatmock.verdicts import Verdict, judge

FAULTS: Final = 3
"""So many requests in a row that have met passing faults count; how often each was tried does not."""
FAULT_SECONDS: Final = 600.0
"""Older ones are no longer in a row with a new one."""
FIRST_PASSING: Final = 5.0
"""Seconds of the shortest cooldown, that after faults which may pass at any time; also to wait for a probe's outcome."""
FIRST_LASTING: Final = 60.0
"""Seconds of the first cooldown where the account is not served and nobody says until when."""
MOST_MODELS: Final = 256
"""Models that are remembered: their names may be the clients' inventions."""


@attrs.define(eq=False)
class Trial:
    """One request that has been let through, until its outcome is known."""

    model: str
    epoch: int
    """How often everything had been cleared when it began: what it brings may be older than that."""
    began: float
    asker: weakref.ref[object] | None = None
    """What its further tries have in common with it, and no other request."""

    def same(self, other: weakref.ref[object] | None) -> bool:
        """Whether this is another try of the request of *other*."""
        return self.asker is not None and other is not None and self.asker() is other() is not None


@attrs.frozen
class _Fault:
    """That a request has met a passing fault."""

    asker: weakref.ref[object] | None
    at: float


@attrs.frozen
class _Reason:
    """What of a refusal is kept: the exception itself would keep the request."""

    kind: Kind
    code: str | None
    message: str
    more: Mapping[str, object]

    @property
    def word(self) -> str:
        return self.code or self.kind.words.replace(" ", "_")


@attrs.define
class _Gate:
    """What is known of a provider as a whole, or of one of its models."""

    faults: Sequence[_Fault] = ()
    """The last ones in a row."""
    reason: _Reason | None = None
    """Why it is shut; None while everybody is let through."""
    since: float = math.inf
    """When it was first refused, since its last success."""
    at: float = -math.inf
    """When it was last refused."""
    wait: float = 0.0
    """The length of the last cooldown."""
    guessed: float = 0.0
    """That of the last one of which the provider did not say how long."""
    probe: Trial | None = None
    """The one that is under way, also when its answer has begun."""
    probed_at: float = 0.0

    @property
    def until(self) -> float:
        return self.at + self.wait

    def shut(self, now: float, most: float) -> bool:
        """Whether nobody is let through; a probe that is never heard of again does not count for ever."""
        return self.reason is not None and (
            now < self.until or (self.probe is not None and now < self.probed_at + most)
        )


class Health:
    """The health of one provider.

    :param name: what users select it by. *title*: what people call it.
    :param most: the longest cooldown in seconds.
    """

    def __init__(self, name: str, title: str, most: float) -> None:
        self._name = name
        self._title = title
        self._most = most
        self._epoch = 0
        self._gates: dict[str | None, _Gate] = {}
        """By model; None for the provider as a whole."""

    def enter(self, model: str, now: float, wall: float, asker: object = None) -> Trial:
        """Let a request for *model* through.

        :param now: monotonic seconds. *wall*: the Unix time, for what people read.
        :param asker: an object that all tries of the request have and no other does; it is not kept alive.
        :raises Refusal: as the provider refused, with the seconds until it is asked again.
        """
        trial = Trial(model, self._epoch, now, None if asker is None else weakref.ref(asker))
        for gate in self.check(model, now, wall):
            gate.probe, gate.probed_at = trial, now
        return trial

    def check(self, model: str, now: float, wall: float) -> Sequence[_Gate]:
        """See that a request for *model* would be let through; returns what it would probe.

        :raises Refusal: as :meth:`enter`.
        """
        half_open = []
        for key in (None, model):
            gate = self._gates.get(key)
            if gate is None or gate.reason is None:
                continue
            if gate.shut(now, self._most):
                raise self._refusal(key, gate, gate.reason, now, wall)
            half_open.append(gate)
        return half_open

    def opened(self, trial: Trial) -> None:
        """The answer has begun: the gates that this probed are open, if on approval."""
        for key in (None, trial.model):
            gate = self._gates.get(key)
            if gate is None:
                continue
            if key is None:
                gate.faults = ()  # which were those of reaching it
            if gate.probe is trial:
                gate.reason = None

    def succeeded(self, trial: Trial) -> None:
        """The answer is complete: that clears what was refused before it was asked for."""
        for key in (None, trial.model):
            gate = self._gates.get(key)
            if gate is not None and gate.at < trial.began:
                del self._gates[key]

    def left(self, trial: Trial) -> None:
        """Nothing was learned: the client has left, or the fault is its own."""
        for key in (None, trial.model):
            gate = self._gates.get(key)
            if gate is not None and gate.probe is trial:
                gate.probe = None

    def refused(self, trial: Trial, refusal: Refusal, now: float, wall: float) -> None:
        """The request was refused, or its answer failed."""
        verdict = judge(refusal)
        if verdict is not None and trial.epoch == self._epoch:
            self._count(trial, refusal, verdict, now, wall)
        self.left(trial)

    def clear(self) -> Mapping[str | None, str]:
        """Let everybody through; why they were not, by model, None for the provider as a whole."""
        cleared = {key: gate.reason.word for key, gate in self._gates.items() if gate.reason is not None}
        self._gates.clear()
        self._epoch += bool(cleared)
        return cleared

    @property
    def well(self) -> bool:
        """Whether there is nothing to remember, as nearly always."""
        return not self._gates

    @property
    def exhausted(self) -> bool:
        """Whether something is cooling because usage was used up."""
        return any(self._is_exhausted(gate) for gate in self._gates.values())

    def clear_exhausted(self) -> None:
        """There is usage left: let those through again that were refused for want of it."""
        kept = {key: gate for key, gate in self._gates.items() if not self._is_exhausted(gate)}
        self._epoch += len(kept) < len(self._gates)
        self._gates = kept

    def conditions(self, now: float) -> Mapping[str | None, Condition]:
        """What is not asked now, by model, None for the provider as a whole."""
        return {
            key: Condition(
                State.COOLING if now < gate.until else State.PROBING,
                gate.reason.word,
                now - gate.since,
                max(gate.until - now, 0.0),
            )
            for key, gate in self._gates.items()
            if gate.reason is not None
        }

    def _count(self, trial: Trial, refusal: Refusal, verdict: Verdict, now: float, wall: float) -> None:
        gate = self._gate(None if verdict.whole else trial.model)
        probed = gate.probe is trial
        known = gate.reason is not None and not probed
        if not verdict.at_once:
            fresh = [each for each in gate.faults if now - each.at < FAULT_SECONDS]
            if not any(trial.same(each.asker) for each in fresh):
                fresh = [*fresh[1 - FAULTS :], _Fault(trial.asker, now)]
            gate.faults = fresh
            if len(fresh) < FAULTS and gate.reason is None and not probed:
                return
        first = FIRST_LASTING if verdict.at_once else FIRST_PASSING
        guess = first if known else max(first, 2 * gate.guessed)
        asked = _asked(refusal, wall)
        wait = min(guess if asked is None else max(asked, FIRST_PASSING), self._most)
        if known and now + wait <= gate.until:
            return  # it was asked before it was shut, and brings nothing new
        if not known:
            gate.probe = None
        if asked is None:
            gate.guessed = max(gate.guessed, wait)
        gate.since = min(gate.since, now)
        gate.reason = _Reason(refusal.kind, refusal.code, refusal.message, refusal.more)
        gate.at, gate.wait = now, wait

    def _gate(self, key: str | None) -> _Gate:
        gates = self._gates
        if key not in gates and len(gates) > MOST_MODELS:
            del gates[next(known for known in gates if known is not None)]
        return gates.setdefault(key, _Gate())

    @staticmethod
    def _is_exhausted(gate: _Gate) -> bool:
        return gate.reason is not None and gate.reason.kind is Kind.USAGE_EXHAUSTED

    def _refusal(self, key: str | None, gate: _Gate, reason: _Reason, now: float, wall: float) -> Refusal:
        left = gate.until - now
        which = self._title if key is None else f"{self._title}'s {key}"
        if left > 0:
            until = f"is not asked again before {_time(wall + left)}, unless the owner clears that:"
        else:
            until = "is being tried again right now by another request: ask again in a few seconds. The owner clears that with:"
            left = min(FIRST_PASSING, self._most)
        return Refusal(
            reason.kind,
            f"{reason.message} {which} has refused since {_time(wall - (now - gate.since))} ({reason.word}) and"
            f" {until} chatmock heal {self._name}",
            code=reason.code,
            retry_after=max(left, 1.0),
            more=_later(reason.more, now - gate.at),
        )


def _time(at: float) -> str:
    """The Unix time *at* for people."""
    known = sane(at)
    return "an unknown time" if known is None else rfc3339(known)


def _asked(refusal: Refusal, wall: float) -> float | None:
    """Seconds for which the upstream wants to be left alone, as far as it says."""
    if refusal.retry_after is not None:
        return max(refusal.retry_after, 0.0)
    at = refusal.more.get("resets_at")
    return max(at - wall, 0.0) if isinstance(at, int | float) else None


def _later(more: Mapping[str, object], elapsed: float) -> Mapping[str, object]:
    """*more* as it is *elapsed* seconds later."""
    seconds = more.get("resets_in_seconds")
    if not isinstance(seconds, int | float):
        return more
    return {**more, "resets_in_seconds": max(round(seconds - elapsed), 0)}
