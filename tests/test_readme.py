"""The README keeps its word: its table is the settings', and its commands are those that are run."""

from __future__ import annotations

import os
import re
from pathlib import Path

from chatmock.settings import markdown_table

ROOT = Path(__file__).parents[1]
VENV = "python3 -m venv .venv && "


def commands() -> list[str]:
    """The single-line shell blocks of the README, in order."""
    return re.findall(r"^```sh\n([^\n]+)\n```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


def test_the_settings_table_is_the_generated_one() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    _, start, rest = text.partition("<!-- settings -->\n")
    table, end, _ = rest.partition("<!-- /settings -->")
    assert start
    assert end
    assert table.strip() == markdown_table().strip(), (
        "write chatmock.settings.markdown_table() into the README"
    )


def test_the_first_command_makes_a_venv_and_serves() -> None:
    run = commands()[0]
    assert run.startswith(VENV)
    assert run.endswith(".venv/bin/chatmock serve")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    test = commands()[1]
    assert test.startswith(VENV)
    assert "pytest" in test
    script = ROOT / ".ci" / "run"
    assert test in script.read_text("utf-8")
    assert os.access(script, os.X_OK)
