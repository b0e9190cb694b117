"""Runs one scenario against one target and takes its figures."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, HTTPException
from statistics import median
from typing import Any

from .processes import BenchmarkError, Event, Server, run_load
from .scenarios import HELD_STREAMS, Kind, Pace, Scenario
from .targets import CHATMOCK, DIRECT, Stage, Targets

Figures = dict[str, float]
"""Figures of one run by name; times in the unit at the end of the name."""

SETTLE_SECONDS = 0.4
"""How long a process is left alone before its memory is read."""

LOAD_SECONDS = 20
"""No run of the load generator lasts longer."""

WARMING = Scenario(
    "warming", "first streams", Kind.TIMED, ("stream", "--total", "64", "--connections", "8"), ()
)
"""What a new process is asked before its memory counts as idle."""


class Measuring:
    """Takes figures, and notes what went wrong on the way."""

    def __init__(self, stage: Stage, targets: Targets, pace: Pace) -> None:
        self.stage = stage
        self.targets = targets
        self.pace = pace
        self.faults: list[str] = []

    def take(self, scenario: Scenario, target: str) -> Figures | None:
        """One run of a scenario; None where there is nothing to measure."""
        if scenario.kind is Kind.FRESH:
            return None if target == DIRECT else self.fresh(scenario, target)
        server = self.targets.server(target, scenario.translated)
        if scenario.kind is Kind.PACED:
            return self.paced(scenario, target, server)
        return self.timed(scenario, target, server)

    def load(
        self, scenario: Scenario, target: str, server: Server, *more: str, event: Event = lambda _said: None
    ) -> dict[str, Any]:
        """Run the load generator against a server; errors are noted."""
        arguments = [*scenario.load, "--port", str(server.port), *more]
        if scenario.translated and target == CHATMOCK:
            arguments += ["--path", "/v1/completions", "--shape", "completions"]
        result = run_load(self.stage.programs.load, arguments, LOAD_SECONDS, event)
        if result["errors"]:
            count, first = result["errors"], result["first_error"]
            self.faults.append(f"{scenario.title}: {target} failed {count} requests, the first: {first}")
        return result

    def timed(self, scenario: Scenario, target: str, server: Server) -> Figures:
        """As many requests as go into the time, after a few that are not counted."""
        length = self.pace.timed_direct if target == DIRECT else self.pace.timed
        self.load(scenario, target, server, "--for", str(self.pace.warm))
        before = server.cpu_seconds()
        result = self.load(scenario, target, server, "--for", str(length))
        cpu_us = (server.cpu_seconds() - before) * 1e6
        figures = load_figures(result)
        return (
            figures if target == DIRECT else figures | per_unit("cpu_us_request", cpu_us, result["requests"])
        )

    def paced(self, scenario: Scenario, target: str, server: Server) -> Figures:
        """Streams at a pace; the CPU time is read while all are open, so that opening them is not counted."""
        seen: dict[str, tuple[int, float]] = {}

        def note(event: dict[str, Any]) -> None:
            seen[event["event"]] = (event["records"], server.cpu_seconds())

        more = ["--records", str(self.pace.paced_records), "--ramp", str(self.pace.paced_ramp)]
        result = self.load(scenario, target, server, *more, event=note)
        figures = load_figures(result)
        if target != DIRECT and {"open", "ending"} <= seen.keys():
            records = seen["ending"][0] - seen["open"][0]
            cpu_us = (seen["ending"][1] - seen["open"][1]) * 1e6
            figures |= per_unit("cpu_us_record", cpu_us, records)
        return figures

    def fresh(self, scenario: Scenario, target: str) -> Figures:
        """A process of its own: how soon it answers, and what it weighs idle and with streams held."""
        held: list[int] = []
        begin = time.monotonic()
        server = self.stage.start_fresh(target)
        try:
            wait_for_answer(server)
            start = time.monotonic() - begin
            self.load(WARMING, target, server)
            time.sleep(SETTLE_SECONDS)
            idle = server.resident_kib()

            def weigh(event: dict[str, Any]) -> None:
                if event["event"] == "open":
                    time.sleep(SETTLE_SECONDS)
                    held.append(server.resident_kib())

            more = ["--for", str(self.pace.hold), "--ramp", str(self.pace.hold_ramp)]
            self.load(scenario, target, server, *more, event=weigh)
        finally:
            server.stop()
        figures = {"start_s": start, "idle_mib": idle / 1024}
        return figures | per_unit("kib_stream", sum(held) - idle, HELD_STREAMS if held else 0)


def per_unit(name: str, total: float, units: int) -> Figures:
    """A total by the units it was spent on; nothing when there were none."""
    return {name: total / units} if units > 0 else {}


def load_figures(result: dict[str, Any]) -> Figures:
    """The figures that the load generator itself took; none of a run that brought no answer."""
    if not result["requests"]:
        return {}
    return {
        "requests_per_s": result["requests_per_s"],
        "records_per_s": result["records_per_s"],
        "first_record_us": result["first_record_us_median"],
        "first_record_p99_us": result["first_record_us_p99"],
        "delay_us": result["delay_us_median"],
        "delay_p99_us": result["delay_us_p99"],
    }


def wait_for_answer(server: Server, seconds: float = 20.0) -> None:
    """Ask for a small completion until it is answered with 200."""
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "hello"}]})
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise BenchmarkError(
        f"{server.name} does not answer with 200; the end of its output:\n{server.last_words()}"
    )


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds that have it."""
    names = {name for figures in rounds for name in figures}
    return {name: median(figures[name] for figures in rounds if name in figures) for name in sorted(names)}
