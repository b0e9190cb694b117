"""The page of the matrix: what is written, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix import page, table
from tests.matrix.table import Absent, Cell, Refused, Works, cells, outcome


def test_a_row_for_each_provider_and_a_table_for_each_dialect() -> None:
    lines = page.page().splitlines()
    assert [line[3:] for line in lines if line.startswith("## ")] == table.dialects()
    for provider in table.providers():
        rows = [line for line in lines if line.startswith(f"| `{provider}` |")]
        assert len(rows) == len(table.dialects())
        assert all(row.count("|") == len(table.FEATURES) + 2 for row in rows)


def test_what_a_dialect_cannot_ask_no_provider_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    refused, absent, named = Refused(400, "x", "why"), Absent("why"), Works("differs")
    monkeypatch.setattr(table, "DIALECTS", {"d": {"tools": refused}, "e": {"refusal": Works("is text")}})
    monkeypatch.setattr(table, "PROVIDERS", {"p": {"tools": absent, "refusal": absent}, "q": {}})
    monkeypatch.setattr(table, "EXCEPTIONS", {("e", "q", "text"): named})
    assert outcome("d", "p", "tools") == refused
    assert outcome("e", "p", "refusal") == absent
    assert outcome("e", "q", "refusal") == Works("is text")
    assert (outcome("e", "q", "text"), outcome("e", "p", "text")) == (named, Works())


def test_it_is_written_when_every_cell_has_come_true(tmp_path: Path) -> None:
    ids = [cell.id for cell in cells()]
    assert len(set(ids)) == len(ids)
    page.note(tmp_path, "one", ids[::2])
    assert not page.has_come_true(tmp_path)
    page.note(tmp_path, "two", ids[3::2])
    assert not page.has_come_true(tmp_path)
    page.note(tmp_path, "two", ids[1::2])
    assert page.has_come_true(tmp_path)


def test_it_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "matrix.md")
    assert page.is_stale()
    page.write()
    assert not page.is_stale()
    assert [each.name for each in tmp_path.iterdir()] == ["matrix.md"]


def test_a_cell_is_named_after_what_it_tries() -> None:
    assert Cell("anthropic", "qwen", "tools", "stream").id == "anthropic-qwen-tools-stream"
