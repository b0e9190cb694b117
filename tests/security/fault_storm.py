"""Random faults of an upstream by several clients at once, and what is left of them: ``python -m tests.security.fault_storm``.

Every answer is judged as in the matrix (spec security.md, 4 and P54); then the permits, sockets, descriptors, Deferreds and
the memory are counted that the faults have left, and one more request has to be answered.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.admission.backoff import Backoff
from chatmock.dialects import DIALECTS
from chatmock.monotonic import use_monotonic_time
from chatmock.relay import BodyRelay
from chatmock.service import ChatmockService, make_service
from chatmock.settings import Settings
from tests.conftest import pause, until
from tests.security.fault_table import KEY, TABLE, answer, settings_of
from tests.security.verdicts import ASKING, CLEAN, check_silence, verdict
from tests.upstreams.hostile import HostileServer

HEAVY = frozenset({"gzip_bomb", *(name for name in TABLE if name.startswith("endless_"))})
"""Faults of megabytes: one request in a hundred."""
LEFT_ALONE = b"is not asked again before"
"""What a request is told that came while the provider was left alone for another one's fault."""
MOST_CARRIED = 2 * 1024 * 1024
"""Bytes of an answer without end: the clients keep theirs in the memory that is measured."""
MOST_GROWTH = 16.0


@attrs.define
class Figures:
    """What a storm has left."""

    count: int
    seconds: float = 0.0
    verdicts: Counter[str] = attrs.field(factory=Counter)
    bad: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    """Of the log, unhandled failures among them."""
    late: int = 0
    """Answers of 504 to what was slow for no fault of its own: a busy machine is the silent one."""
    permits: int = 0
    waiting: int = 0
    upstream_sockets: int = 0
    descriptors: int = 0
    deferreds: int = 0
    timers: int = 0
    growth: float = 0.0
    """MiB of memory."""
    clean: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        left = self.permits + self.waiting + self.upstream_sockets + max(self.descriptors, 0) + self.timers
        nothing = (
            not (self.bad or self.errors)
            and self.late <= 5 + self.count // 50
            and left + max(self.deferreds, 0) == 0
        )
        return nothing and self.growth < MOST_GROWTH and self.clean

    def lines(self) -> list[str]:
        """For people."""
        told = ", ".join(f"{number} {name}" for name, number in sorted(self.verdicts.items()))
        return [
            f"{self.count} requests in {self.seconds:.1f} s: {told}",
            f"BAD answers {len(self.bad)}, late ones {self.late}, errors logged {len(self.errors)}",
            f"left: permits {self.permits}, waiting {self.waiting}, upstream sockets {self.upstream_sockets}",
            f"left: descriptors {self.descriptors:+d}, Deferreds {self.deferreds:+d}, timers {self.timers:+d}",
            f"memory {self.growth:+.1f} MiB (most {MOST_GROWTH:g}); a clean call after it: {'yes' if self.clean else 'NO'}",
            *(f"BAD: {each}" for each in self.bad[:10]),
            *(f"error: {each}" for each in self.errors[:10]),
        ]


@attrs.frozen
class State:
    """What is there at one moment."""

    descriptors: int
    deferreds: int
    """That have not fired, so that somebody may wait for them."""
    timers: int
    memory: float

    @classmethod
    def now(cls, reactor: Any) -> State:
        """Count; memory that malloc only keeps for later is none."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            len([*Path("/proc/self/fd").iterdir()]),
            sum(type(each) is Deferred and not each.called for each in gc.get_objects()),
            sum(call.active() for call in reactor.getDelayedCalls()),
            pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        )


class _Racing:
    """A clock on which an hour passes between any two looks: nothing stays left alone, and every fault is met."""

    def __init__(self) -> None:
        self._now = 0.0

    def seconds(self) -> float:
        """The time now."""
        self._now += 3600.0
        return self._now


class Storm:
    """Clients that meet faults.

    :param seed: of the choice; equal ones choose alike.
    """

    def __init__(self, reactor: Any, seed: int) -> None:
        self._reactor = reactor
        self._chance = random.Random(seed)
        self._number = 0
        self._light = sorted(set(TABLE) - HEAVY)
        self.server = HostileServer(reactor)
        self.elsewhere = HostileServer(reactor)
        self._service: ChatmockService | None = None

    async def run(self, count: int, clients: int) -> Figures:
        """Start, meet *count* faults, count what is left, and stop."""
        figures = Figures(count)
        observe = _observer(figures)
        globalLogPublisher.addObserver(observe)
        with mock.patch("chatmock.service.Backoff", return_value=Backoff(lambda: 0.0)):
            service = self._start()
        limits = mock.patch.object(BodyRelay.__init__, "__defaults__", (math.inf, MOST_CARRIED))
        limits.start()
        try:
            await self._meet(
                figures, max(count // 10, 200), clients
            )  # what is made once does not count as left
            await self._quiet(service)
            before = State.now(self._reactor)
            figures.verdicts.clear()
            began = time.monotonic()
            await self._meet(figures, count, clients)
            figures.seconds = time.monotonic() - began
            await self._count(figures, service, before)
            figures.clean = await self._one(figures, "fine", "first", ASKING_FIRST) == CLEAN
        finally:
            limits.stop()
            await service.stopService()
            for server in (self.server, self.elsewhere):
                await server.port.stopListening()
            await until(lambda: not self.server.open, 5)
            globalLogPublisher.removeObserver(observe)
        if self.elsewhere.connections:
            figures.bad.append("a redirect was followed")
        return figures

    def _start(self) -> ChatmockService:
        for server in (self.server, self.elsewhere):
            server.listen()
        self.server.elsewhere = self.elsewhere.url
        more = {"port": 0, "rate_limit_rps": 1e6, "rate_limit_burst": 1_000_000}
        times = {"first_byte_timeout": 0.5, "idle_timeout": 0.5, "max_concurrency": 8}
        settings = Settings(**settings_of(self.server.url, **more, **times))
        service = make_service(settings, self._reactor, lambda _: None)
        service.startService()
        watch: Any = service.accounts.by_name["compatible"].watch
        watch._clock = _Racing()
        self._service = service
        return service

    async def _meet(self, figures: Figures, count: int, clients: int) -> None:
        left = iter(range(count))

        async def visit() -> None:
            for _ in left:
                heavy = self._chance.random() < 0.01
                name = self._chance.choice(sorted(HEAVY) if heavy else self._light)
                moments = [each for each in ("whole", "first", "later") if getattr(TABLE[name], each)]
                moment = self._chance.choice(moments)
                dialect = self._chance.choice(DIALECTS).name
                outcome = await self._one(figures, name, moment, dialect)
                figures.verdicts[str(outcome)] += 1

        await gatherResults([Deferred.fromCoroutine(visit()) for _ in range(clients)])

    async def _one(self, figures: Figures, name: str, moment: str, dialect: str) -> object:
        """One request and its verdict."""
        assert self._service is not None
        self._number += 1
        model = f"{name}.{'later' if moment == 'later' else 'first'}.{self._number}"
        stream = moment != "whole"
        asking = ASKING[dialect].request(model, stream)
        try:
            answered, received = await answer(self._service.urls[0], self.server, asking, model)
            outcome = verdict(answered, dialect, stream)
            check_silence(received, (KEY, "127.0.0.1", "Traceback", "ghost"))
        except Exception as error:  # noqa: BLE001  whatever it is, the answer is bad
            figures.bad.append(f"{name} {moment} {dialect}: {error!r}"[:500])
            return "BAD"
        allowed = getattr(TABLE[name], moment)
        if outcome in allowed or LEFT_ALONE in received:
            return outcome
        if outcome == 504:
            figures.late += 1
        else:
            figures.bad.append(f"{name} {moment} {dialect}: {outcome} and not {allowed}")
        return outcome

    async def _quiet(self, service: ChatmockService) -> None:
        """Wait for what may take a second, then let idle connections go as their time would."""
        await pause(1.2)
        pool = service._client._pool
        for timers in list(pool._kept.values()):
            for timer in list(timers.values()):
                timer.reset(0)
        await pause(0.1)

    async def _count(self, figures: Figures, service: ChatmockService, before: State) -> None:
        await self._quiet(service)
        after = State.now(self._reactor)
        figures.permits, figures.waiting = service.slots.held, service.slots.waiting
        figures.upstream_sockets = len(self.server.open)
        figures.descriptors = after.descriptors - before.descriptors
        figures.deferreds = after.deferreds - before.deferreds
        figures.timers = after.timers - before.timers
        figures.growth = after.memory - before.memory


ASKING_FIRST = DIALECTS[0].name


def _observer(figures: Figures) -> Any:
    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.error:
            figures.errors.append(str(event.get("log_failure") or event.get("log_format")))

    return observe


async def _main(reactor: Any, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    use_monotonic_time(reactor)
    figures = await Storm(reactor, chosen.seed).run(chosen.count, chosen.clients)
    print("\n".join(figures.lines()))
    if not figures.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(_main(reactor, sys.argv[1:])))
