"""The lines of a message that tell the demo what to do: ``demo: words 100``, ``demo: fail 429`` and so on."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from chatmock.errors import bad_request

Ending = Literal["complete", "fail midway", "cut", "stall", "stall first"]

FAILURES = (401, 403, 404, 429, 500, 503, 529)
MOST_WORDS = 100_000
MOST_PACE = 60_000
KNOWN = (
    f"fail {'|'.join(map(str, FAILURES))}",
    "fail midway",
    "cut",
    "stall",
    "stall first",
    f"words N (0 to {MOST_WORDS})",
    f"pace MS (0 to {MOST_PACE})",
    "think",
    "refuse",
    "say TEXT",
)
"""Every directive, as messages name them."""

_PREFIX = "demo:"
_LINE_END = re.compile(r"\r\n|\r|\n")
_SAY = re.compile(r"say(?: (.*))?", re.DOTALL)
_COUNTED = re.compile(r"(words|pace) +(\d{1,9})")
_FAIL = re.compile(r"fail +(\d{3})")
_FAIL_MIDWAY: Ending = "fail midway"
_ENDINGS: tuple[Ending, ...] = (_FAIL_MIDWAY, "cut", "stall", "stall first")


@attrs.frozen
class Directives:
    """What a message tells the demo to do."""

    status: int | None = None
    """The HTTP status to fail with."""
    ending: Ending = "complete"
    words: int | None = None
    """How many words to say."""
    pace: int | None = None
    """Milliseconds before each word."""
    think: bool = False
    refuse: bool = False
    say: str | None = None
    """The exact answer."""

    @property
    def content(self) -> str | None:
        """The directive that says what is answered, if there is one."""
        chosen = {"say": self.say is not None, "words": self.words is not None, "refuse": self.refuse}
        return next((name for name, said in chosen.items() if said), None)


def read_directives(text: str) -> tuple[Directives, str]:
    """Take the directives out of a message, one a line; return them and what is left of *text*.

    :raises Refusal: bad request, naming the directives there are, for an unknown one, one with a value that
        is out of its range, and two that contradict each other.
    """
    found: dict[str, Any] = {}
    left: list[str] = []
    for line in _LINE_END.split(text):
        start = line.lstrip()
        if not start.startswith(_PREFIX):
            left.append(line)
            continue
        name, value = _read(start.removeprefix(_PREFIX).lstrip())
        if name == "say" and name in found:
            found[name] += "\n" + value
        elif name in found:
            raise bad_request(f"Two 'demo:' lines set the {name}: send one of them.", "messages")
        else:
            found[name] = value
    if len(found.keys() & {"say", "words", "refuse"}) > 1:
        raise bad_request(
            "The lines 'demo: say', 'demo: words' and 'demo: refuse' exclude each other.", "messages"
        )
    if len(found.keys() & {"status", "ending"}) > 1:
        raise bad_request(
            "The lines 'demo: fail', 'demo: cut' and 'demo: stall' exclude each other.", "messages"
        )
    return Directives(**found), "\n".join(left).strip()


def _read(line: str) -> tuple[str, Any]:
    """Name and value of one directive, as :class:`Directives` has them."""
    if spoken := _SAY.fullmatch(line):
        return "say", spoken[1] or ""
    words = " ".join(line.split())
    if words in _ENDINGS:
        return "ending", words
    if words in ("think", "refuse"):
        return words, True
    if (failure := _FAIL.fullmatch(words)) and int(failure[1]) in FAILURES:
        return "status", int(failure[1])
    if counted := _COUNTED.fullmatch(words):
        most = MOST_WORDS if counted[1] == "words" else MOST_PACE
        if int(counted[2]) <= most:
            return counted[1], int(counted[2])
    raise bad_request(
        f"There is no line 'demo: {words[:60]}'. There are: {', '.join(KNOWN)}.",
        "messages",
        "unknown_directive",
    )
