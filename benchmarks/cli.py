"""The command line of the benchmarks: chooses, runs the rounds, and prints."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from . import report
from .measuring import Figures, Measuring
from .processes import BenchmarkError, compile_programs
from .scenarios import FULL, QUICK, SCENARIOS, Pace, Scenario
from .targets import BASELINE, CHATMOCK, TARGETS, Stage, Targets

OPEN_FILES = 16384


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, in under a minute")
    parser.add_argument("--rounds", type=int, help="rounds of which the median is taken")
    keys = [scenario.key for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=TARGETS, help="a target; may be repeated")
    parser.add_argument("--scenario", action="append", choices=keys, help="a scenario; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    parser.add_argument("--check", action="store_true", help="exit 1 where chatmock is behind the baseline")
    parser.add_argument("--floor", type=float, default=1.0, help="how many times worse a row may be")
    options = parser.parse_args(arguments)
    if options.check and options.only and not {BASELINE, CHATMOCK} <= set(options.only):
        parser.error("--check compares baseline and chatmock, so both have to be measured")
    if options.floor < 1.0 or (options.rounds is not None and options.rounds < 1):
        parser.error("--floor and --rounds are at least 1")
    return options


def raise_open_files() -> None:
    """Two descriptors a stream: the usual soft limit of 1024 is too low. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def stop_on_signal(number: int, _frame: object) -> NoReturn:
    """Leave in order, so that every process is ended."""
    raise SystemExit(128 + number)


def about(pace: Pace) -> dict[str, Any]:
    """Where and how the figures were taken."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("twisted", "treq", "klein")},
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "pace": asdict(pace),
    }


def measure(
    measuring: Measuring, chosen: Sequence[Scenario], targets: Sequence[str], rounds: int
) -> report.Results:
    """All rounds of all scenarios; within a round the targets take turns, so that they share the weather."""
    results: report.Results = {}
    for scenario in chosen:
        taken: dict[str, list[Figures]] = {target: [] for target in targets}
        for turn in range(rounds):
            for target in targets:
                print(f"{scenario.key}: {target}, round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
                figures = measuring.take(scenario, target)
                if figures is not None:
                    taken[target].append(figures)
        results[scenario.key] = taken
    return results


def run(options: argparse.Namespace) -> int:
    """Do what the options say; the exit status."""
    pace = QUICK if options.quick else FULL
    pace = replace(pace, rounds=options.rounds or pace.rounds)
    wanted = tuple(target for target in TARGETS if not options.only or target in options.only)
    chosen = [scenario for scenario in SCENARIOS if not options.scenario or scenario.key in options.scenario]
    begin, facts = time.monotonic(), about(pace)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        stage = Stage(folder, compile_programs(folder), stack)
        measuring = Measuring(stage, Targets(stage, wanted), pace)
        results = measure(measuring, chosen, wanted, pace.rounds)
    facts["seconds"] = round(time.monotonic() - begin, 1)
    lines = list(report.rows(chosen, results))
    show(facts, lines, measuring.faults)
    if options.json is not None:
        document = report.document(facts, lines, results, measuring.faults)
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return check(report.verdict(lines, measuring.faults, options.floor)) if options.check else 0


def show(facts: dict[str, Any], lines: Sequence[report.Row], faults: Sequence[str]) -> None:
    """Print where the figures are from, the table, and what failed."""
    print(
        f"Python {facts['python']}, {facts['cores']} cores, load average {facts['load_average']:.1f} before,"
    )
    print(
        f"rounds of which the median is shown: {facts['pace']['rounds']}, {facts['seconds']:.0f} s in all\n"
    )
    print(report.table(lines))
    print("\nratio: chatmock / baseline; the goal is for the ratio")
    for fault in faults:
        print(f"failed: {fault}")


def check(named: Sequence[str]) -> int:
    """Print what fails the check; the exit status."""
    for line in named or ["nowhere behind the baseline"]:
        print(f"check: {line}", file=sys.stderr)
    return 1 if named else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; the exit status: 0, 1 when a check fails, 2 when they cannot run."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, stop_on_signal)
    raise_open_files()
    try:
        return run(options)
    except BenchmarkError as reason:
        print(reason, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
