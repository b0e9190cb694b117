"""Scenarios as lines that tell the demo what to do (docs/demo.md)."""

from __future__ import annotations

from typing import Any

import attrs

from tests.matrix.chat_stage import PROMPT
from tests.matrix.scenario import Scenario, Tokens

_MANY = 40
"""Words of an answer that is to break off."""
_BEFORE = "word1 word2 word3 word4 word5"
"""What it says before it does."""
_THOUGHT = "I answer by rule and think nothing."
_THOUGHTS = f"The last user message has 1 words, the conversation 1 message (1 user). The effort asked for is high. {_THOUGHT}"
"""All that it thinks, but for the numbers and the effort: for their count."""
_DECLINES = "I decline"


class DemoStage:
    """The demo, which plays in the daemon itself; see :class:`~tests.matrix.upstreams.Stage`."""

    exact = False
    watched = False
    retry_after = "2"
    model = "demo"

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"provider": "demo"}

    @property
    def active(self) -> int:
        """It has no connections."""
        raise AssertionError("nobody can look into the demo")

    @property
    def asked(self) -> int:
        """Nobody counts them."""
        raise AssertionError("nobody can look into the demo")

    def play(self, scenario: Scenario) -> str:
        """The prompt that asks for *scenario*."""
        return "\n".join([PROMPT, "demo: pace 0", *_directives(scenario)])

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """What it says by its own rules; its tokens are words."""
        text = scenario.by_rule or "".join(scenario.text)
        thoughts = len(_THOUGHTS.split()) if scenario.thinking else 0
        return attrs.evolve(
            scenario,
            text=(_BEFORE if scenario.ending != "complete" else text,),
            thinking=scenario.thinking and _THOUGHT,
            refusal=scenario.refusal and (_DECLINES,),
            usage=Tokens(len(prompt.split()), len(text.split()) + thoughts, reasoning=thoughts),
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
