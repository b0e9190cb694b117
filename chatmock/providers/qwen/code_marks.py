"""Whether a place in a model's prose is inside of code: a Markdown fence, or inline code.

Read while it comes, in one pass that keeps no text. A fence is a line that begins with three backticks or tildes or more,
however far it is indented, and ends with a line that begins with as many of the same. Inline code is between two runs
of equally many backticks in a line: one that has begun counts, since its end is not known yet.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"\n|`+|~+|[^\n`~]+")
_FENCE: Final = 3
_MARKS: Final = "`~"


class CodeMarks:
    """A reader of prose."""

    __slots__ = ("_at_line_start", "_fence", "_inline", "_run")

    def __init__(self) -> None:
        self._at_line_start = True
        self._run = ""
        """The marks at the end of what was read, which may go on."""
        self._fence = ""
        """The marks that began the fence; empty outside of one."""
        self._inline = 0
        """How many backticks began the inline code; 0 outside."""

    def feed(self, text: str) -> None:
        """Read on; *text* may be cut anywhere."""
        for found in _TOKEN.finditer(text):
            token = found[0]
            if token[0] in _MARKS and self._run[:1] in ("", token[0]):
                if len(self._run) < 1000:
                    self._run += token
                continue
            self._end_run()
            if token[0] in _MARKS:
                self._run = token
            elif token[0] == "\n":
                self._at_line_start, self._inline = True, 0
            elif not token.isspace():
                self._at_line_start = False

    @property
    def inside(self) -> bool:
        """Whether what comes next, which is no mark, is code."""
        self._end_run()
        return bool(self._fence or self._inline)

    def _end_run(self) -> None:
        run, self._run = self._run, ""
        if not run:
            return
        if self._at_line_start and len(run) >= _FENCE and (not self._fence or run.startswith(self._fence)):
            self._fence = "" if self._fence else run
        elif not self._fence and run[0] == "`":
            self._inline = {0: len(run), len(run): 0}.get(self._inline, self._inline)
        self._at_line_start = False
