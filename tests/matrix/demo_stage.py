"""Scenarios as lines that tell the demo what to do (docs/demo.md)."""

from __future__ import annotations

from typing import Any

import attrs

from tests.matrix.chat_stage import PROMPT
from tests.matrix.scenario import Scenario

_MANY = 40
"""Words of an answer that is to break off."""

_THOUGHT = "I answer by rule and think nothing."
_DECLINES = "I decline"


class DemoStage:
    """The demo, which plays in the daemon itself; see :class:`~tests.matrix.upstreams.Stage`."""

    exact = False
    model = "demo"
    active = 0
    asked = 0

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"provider": "demo"}

    def play(self, scenario: Scenario) -> str:
        """The prompt that asks for *scenario*."""
        return "\n".join([PROMPT, "demo: pace 0", *_directives(scenario)])

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """What it says by its own rules; its tokens are words."""
        text = scenario.by_rule or "".join(scenario.text)
        return attrs.evolve(
            scenario,
            text=() if scenario.ending != "complete" else (text,),
            thinking=scenario.thinking and _THOUGHT,
            refusal=scenario.refusal and (_DECLINES,),
            usage=(len(prompt.split()), len(text.split())),
        )

    def heard(self) -> None:
        """Nobody can look into it: what it was asked it says."""


def _directives(scenario: Scenario) -> list[str]:
    if scenario.status is not None:
        return [f"demo: fail {scenario.status}"]
    ending = {"error": ["demo: fail midway"], "cut": ["demo: cut"], "hang": ["demo: stall"]}
    if scenario.ending != "complete":
        return [f"demo: words {_MANY}", *ending[scenario.ending]]
    lines = ["demo: think"] if scenario.thinking else []
    if scenario.refusal:
        lines.append("demo: refuse")
    elif not scenario.by_rule:
        lines += [f"demo: say {line}" for line in "".join(scenario.text).split("\n")]
    return lines
