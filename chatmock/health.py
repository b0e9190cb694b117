"""Whether a provider is worth asking: one that refuses is left alone for a while, then tried by one request at a time.

::

    ok ──a refusal that counts──▶ cooling ──its time is over──▶ probing ──the probe is answered──▶ ok
                                     ▲                             │
                                     └──────the probe is refused───┘  (for twice as long)

One refusal is enough where it says that the account is not served (login, plan, captcha, a limit that lasts); faults that
may pass count when three requests in a row have met them. What is said of one model silences that model only. Any success clears it,
and so do a new login, room under the plan's limits, and the owner's command. Nothing lasts longer than the longest
cooldown: after that somebody is always let through. Pure: times are given, monotonic ones for all that is measured.
"""

from __future__ import annotations

import enum
import weakref
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from chatmock.durations import rfc3339, sane
from chatmock.errors import Kind, Refusal
from chatmock.verdicts import Verdict, judge

FAULTS: Final = 3
"""So many requests in a row that have met passing faults count; how often each was tried does not."""
FIRST_PASSING: Final = 5.0
"""Seconds of the shortest cooldown, that after faults which may pass at any time; it doubles with each failed probe."""
FIRST_LASTING: Final = 60.0
"""The same where the account is not served and nobody says until when."""
MOST_MODELS: Final = 256
"""Models that are remembered: their names may be the clients' inventions."""


class State(enum.Enum):
    """Who is let through."""

    OK = "ok"
    """Everybody."""
    COOLING = "cooling"
    """Nobody."""
    PROBING = "probing"
    """One at a time."""


@attrs.frozen
class Condition:
    """That a provider, or one of its models, is not asked now."""

    state: State
    reason: str
    """The code of the refusal, or its kind in words."""
    since: float
    """Seconds since it was first refused so."""
    left: float
    """Seconds until it is asked again; 0 for by the next request."""


@attrs.define(eq=False)
class Trial:
    """One request that has been let through, until its outcome is known."""

    model: str
    epoch: int
    """How often everything had been cleared when it began: what it brings may be older than that."""
    asker: weakref.ref[object] | None = None
    """What its further tries have in common with it, and no other request."""

    def same(self, other: weakref.ref[object] | None) -> bool:
        """Whether this is another try of the request of *other*."""
        return self.asker is not None and other is not None and self.asker() is other() is not None


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

    faults: list[weakref.ref[object] | None] = attrs.field(factory=list)
    """Who has met passing ones, in a row."""
    strikes: int = 0
    """How often in a row it has been cooled."""
    reason: _Reason | None = None
    """Why it is shut; None while everybody is let through."""
    since: float = 0.0
    at: float = 0.0
    """When it was last refused."""
    wait: float = 0.0
    """The length of the last cooldown."""
    probe: Trial | None = None
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
        trial = Trial(model, self._epoch, None if asker is None else weakref.ref(asker))
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
                gate.faults.clear()  # which were those of reaching it
            if gate.probe is trial:
                gate.reason = gate.probe = None

    def succeeded(self, trial: Trial) -> None:
        """The answer is complete."""
        self._gates.pop(None, None)
        self._gates.pop(trial.model, None)

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
        known = gate.reason is not None and gate.probe is not trial
        if not verdict.at_once and not any(trial.same(each) for each in gate.faults):
            gate.faults = [*gate.faults[1 - FAULTS :], trial.asker]
        if not verdict.at_once and len(gate.faults) < FAULTS and gate.reason is None:
            return
        wait = self._wait(gate, _asked(refusal, wall), verdict, known)
        if known and now + wait <= gate.until:
            return  # it was asked before it was shut, and brings nothing new
        if not known:
            gate.since = now if gate.strikes == 0 else gate.since
            gate.strikes += 1
        gate.reason = _Reason(refusal.kind, refusal.code, refusal.message, refusal.more)
        gate.at, gate.wait = now, wait

    def _wait(self, gate: _Gate, asked: float | None, verdict: Verdict, known: bool) -> float:
        """Seconds to cool for: as the upstream says, longer after failed probes, within bounds."""
        again = gate.strikes > 0 and not known
        if asked is None:
            asked = FIRST_LASTING if verdict.at_once and not again else 0.0
        least = 2 * gate.wait if again else FIRST_PASSING
        return min(max(asked, least), self._most)

    def _gate(self, key: str | None) -> _Gate:
        gates = self._gates
        if key not in gates and len(gates) > MOST_MODELS:
            del gates[next(known for known in gates if known is not None)]
        return gates.setdefault(key, _Gate())

    @staticmethod
    def _is_exhausted(gate: _Gate) -> bool:
        return gate.reason is not None and gate.reason.kind is Kind.USAGE_EXHAUSTED

    def _refusal(self, key: str | None, gate: _Gate, reason: _Reason, now: float, wall: float) -> Refusal:
        left = max(gate.until - now, 1.0)  # a probe is under way where the time is over
        which = self._title if key is None else f"{self._title}'s {key}"
        times = [sane(wall - (now - gate.since)), sane(wall + left)]
        since, until = ("an unknown time" if at is None else rfc3339(at) for at in times)
        return Refusal(
            reason.kind,
            f"{reason.message} {which} has refused since {since} ({reason.word}) and is not asked again before"
            f" {until}, unless the owner clears that: chatmock heal {self._name}",
            code=reason.code,
            retry_after=left,
            more=_later(reason.more, now - gate.at),
        )


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


def summary(conditions: Mapping[str | None, Condition]) -> Mapping[str, object]:
    """*conditions* for programs: ``{"state", "until", "reason"}``, and ``models`` in the same form where one is not asked.

    ``until`` are the seconds left, null where everybody is let through.
    """
    told = _told(conditions.get(None))
    models = {key: _told(each) for key, each in conditions.items() if key is not None}
    return {**told, "models": models} if models else told


def _told(condition: Condition | None) -> dict[str, object]:
    if condition is None:
        return {"state": State.OK.value, "until": None, "reason": None}
    return {"state": condition.state.value, "until": round(condition.left, 1), "reason": condition.reason}


def usable(conditions: Mapping[str | None, Condition]) -> bool:
    """Whether a request has a chance: the provider as a whole is not left alone."""
    whole = conditions.get(None)
    return whole is None or whole.state is not State.COOLING
