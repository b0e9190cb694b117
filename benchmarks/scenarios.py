"""The scenarios: what is asked of each target, and which figures are taken from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

STREAM_RECORDS = 100
PACED_STREAMS = 200
PACE_MS = 50
HELD_STREAMS = 500
BODY_BYTES = 256 * 1024


class Kind(Enum):
    """How a scenario is run."""

    TIMED = "as many requests as go into a given time"
    PACED = "a fixed number of streams at once, each at a pace"
    FRESH = "a process of its own: start, idle memory, memory with streams held"


class Better(Enum):
    """Which way a figure is better; ``INFORMATION`` is shown and not judged."""

    LOWER = "lower"
    HIGHER = "higher"
    INFORMATION = "information"


@dataclass(frozen=True)
class Measure:
    """One row of the table: a figure, scaled to the unit of its title."""

    figure: str
    title: str
    better: Better = Better.LOWER
    goal: float | None = None
    """What chatmock aims at, as a ratio to the baseline."""
    scale: float = 1.0
    added: bool = False
    """Whether the figure of the direct way is taken off before the ratio is built."""


@dataclass(frozen=True)
class Scenario:
    """What the load generator is told, and what is read."""

    key: str
    title: str
    kind: Kind
    load: tuple[str, ...]
    measures: tuple[Measure, ...]
    translated: bool = False


@dataclass(frozen=True)
class Pace:
    """How long a run takes: times in milliseconds, except where the name says otherwise."""

    rounds: int
    timed: int
    timed_direct: int
    warm: int
    paced_records: int
    paced_ramp: int
    hold: int
    hold_ramp: int


FULL = Pace(
    rounds=3,
    timed=3000,
    timed_direct=1000,
    warm=300,
    paced_records=100,
    paced_ramp=1000,
    hold=2000,
    hold_ramp=1500,
)
QUICK = Pace(
    rounds=1,
    timed=800,
    timed_direct=300,
    warm=150,
    paced_records=40,
    paced_ramp=500,
    hold=1200,
    hold_ramp=1000,
)

STREAM = ("stream", "--records", str(STREAM_RECORDS))
SMALL_CPU = Measure("cpu_us_request", "CPU µs a request")
STREAM_CPU = Measure("cpu_us_request", "CPU ms a stream", scale=0.001)
REQUESTS = Measure("requests_per_s", "requests/s", Better.HIGHER)
STREAMS = Measure("requests_per_s", "streams/s", Better.HIGHER)
RECORDS = Measure("records_per_s", "records/s", Better.HIGHER)
ADDED_FIRST = Measure("first_record_us", "first record, added µs", added=True)
ADDED_DELAY = Measure("delay_us", "delay of a record, added µs, median", Better.INFORMATION, added=True)
ADDED_P99 = Measure("delay_p99_us", "delay of a record, added µs, p99", Better.INFORMATION, added=True)


def _small(connections: int, goal: float | None) -> Scenario:
    return Scenario(
        f"json-{connections}",
        f"small JSON, {connections} at a time",
        Kind.TIMED,
        ("json", "--connections", str(connections)),
        (replace(SMALL_CPU, goal=goal), REQUESTS),
    )


def _streams(connections: int, goal: float | None, translated: bool) -> Scenario:
    name = "translated" if translated else "stream"
    return Scenario(
        f"{name}-{connections}",
        f"{'translated' if translated else 'passed on'}, {STREAM_RECORDS} records, {connections} at a time",
        Kind.TIMED,
        (*STREAM, "--connections", str(connections)),
        (replace(STREAM_CPU, goal=goal), STREAMS, RECORDS),
        translated,
    )


SCENARIOS = (
    _small(1, None),
    _small(32, 0.45),
    _streams(1, None, False),
    _streams(32, 0.3, False),
    _streams(1, None, True),
    _streams(32, 0.25, True),
    Scenario(
        "paced",
        f"{PACED_STREAMS} streams, {1000 // PACE_MS} records/s each",
        Kind.PACED,
        ("paced", "--connections", str(PACED_STREAMS), "--pace", str(PACE_MS)),
        (Measure("cpu_us_record", "CPU µs a record"), ADDED_DELAY, ADDED_P99),
    ),
    Scenario(
        "first",
        "one stream after the other",
        Kind.TIMED,
        ("one", "--records", "3", "--pace", "4"),
        (replace(ADDED_FIRST, goal=0.5),),
    ),
    Scenario(
        "body",
        f"request of {BODY_BYTES // 1024} KiB, 4 at a time",
        Kind.TIMED,
        ("json", "--connections", "4", "--body-bytes", str(BODY_BYTES)),
        (replace(SMALL_CPU, goal=1.2), REQUESTS),
    ),
    Scenario(
        "fresh",
        f"new process, {HELD_STREAMS} streams held",
        Kind.FRESH,
        ("hold", "--connections", str(HELD_STREAMS), "--records", "1000000", "--pace", "500"),
        (
            Measure("start_s", "start to first 200, s", goal=1.3),
            Measure("idle_mib", "memory when idle, MiB", Better.INFORMATION),
            Measure("kib_stream", "memory a stream, KiB"),
        ),
    ),
)
