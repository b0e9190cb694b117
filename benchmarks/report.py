"""Turns the figures into rows, and the rows into a table, a document and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .measuring import Figures, medians
from .scenarios import Better, Measure, Scenario
from .targets import BASELINE, CHATMOCK, DIRECT, TARGETS

Results = dict[str, dict[str, list[Figures]]]
"""The figures of each round, by the key of the scenario and the target."""


@dataclass(frozen=True)
class Row:
    """One measure of one scenario; figures in the unit of the title, None where there is none."""

    scenario: str
    measure: str
    better: str
    direct: float | None
    baseline: float | None
    chatmock: float | None
    ratio: float | None
    """chatmock by baseline."""
    goal: float | None

    def behind(self, floor: float) -> bool:
        """Whether chatmock is behind the baseline by more than the floor allows.

        A row whose goal is above 1 is held to its goal: chatmock does work there that the baseline does not.
        """
        if self.ratio is None or self.better == Better.INFORMATION.value:
            return False
        if self.better == Better.HIGHER.value:
            return self.ratio * floor < 1.0
        return self.ratio > max(1.0, self.goal or 1.0) * floor


def rows(scenarios: Sequence[Scenario], results: Results) -> Iterator[Row]:
    """The rows of the table, in the order of the scenarios."""
    for scenario in scenarios:
        for measure in scenario.measures:
            taken = {target: medians(rounds) for target, rounds in results[scenario.key].items()}
            yield row(scenario, measure, taken)


def row(scenario: Scenario, measure: Measure, figures: dict[str, Figures]) -> Row:
    """One row: the figures scaled, what the direct way takes taken off where only the addition counts."""
    values = {target: figures.get(target, {}).get(measure.figure) for target in TARGETS}
    shown = {target: None if value is None else value * measure.scale for target, value in values.items()}
    direct, baseline, chatmock = shown[DIRECT], shown[BASELINE], shown[CHATMOCK]
    if measure.added:
        baseline, chatmock = less(baseline, direct), less(chatmock, direct)
    ratio = chatmock / baseline if chatmock is not None and baseline is not None and baseline > 0 else None
    better = measure.better.value
    return Row(scenario.title, measure.title, better, direct, baseline, chatmock, ratio, measure.goal)


def less(value: float | None, direct: float | None) -> float | None:
    """What a proxy adds to the direct way; unknown when one of them is."""
    return None if value is None or direct is None else value - direct


def number(value: float | None) -> str:
    """A figure with about three digits that mean something."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")


def table(lines: Sequence[Row]) -> str:
    """The rows as text, in aligned columns."""
    cells: list[tuple[str, ...]] = [("scenario", "measure", DIRECT, BASELINE, CHATMOCK, "ratio", "goal")]
    last = ""
    for line in lines:
        title = "" if line.scenario == last else line.scenario
        last = line.scenario
        figures = (line.direct, line.baseline, line.chatmock, line.ratio)
        goal = "" if line.goal is None else f"≤ {line.goal:g}"
        cells.append((title, line.measure, *map(number, figures), goal))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, tuple("-" * width for width in widths))
    return "\n".join(aligned(row, widths) for row in cells)


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of the table: two columns of words, then figures."""
    words = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    figures = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*words, *figures]).rstrip()


def verdict(lines: Sequence[Row], faults: Sequence[str], floor: float) -> list[str]:
    """What fails a check: rows behind the baseline, rows without a ratio, and requests that failed."""
    named = [f"failed: {fault}" for fault in faults]
    for line in lines:
        if line.behind(floor):
            named.append(f"behind the baseline: {line.scenario}, {line.measure}: ratio {number(line.ratio)}")
        elif line.ratio is None and line.better != Better.INFORMATION.value:
            named.append(f"not compared: {line.scenario}, {line.measure}")
    return named


def document(
    about: dict[str, Any], lines: Sequence[Row], results: Results, faults: Sequence[str]
) -> dict[str, Any]:
    """Everything as one JSON document: the rows, and the figures of each round behind them."""
    shown = [asdict(line) for line in lines]
    return {"about": about, "rows": shown, "rounds": results, "faults": list(faults)}
