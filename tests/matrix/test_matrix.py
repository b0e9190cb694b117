"""Every dialect by every provider by every feature, streamed and whole, through the official SDKs."""

from __future__ import annotations

import pytest

from chatmock.dialects import DIALECTS as SPOKEN
from chatmock.settings import PROVIDERS as NAMES
from tests.matrix import page, table
from tests.matrix.checks import CHECKS, refused
from tests.matrix.clients import CLIENTS
from tests.matrix.conftest import SetUp
from tests.matrix.table import Cell, Refused, cells
from tests.matrix.upstreams import STAGES


def test_nobody_is_left_out() -> None:
    """A new dialect needs a column and a client, a new provider a row and a stage."""
    assert {dialect.name for dialect in SPOKEN} <= set(table.DIALECTS) & set(CLIENTS)
    assert set(NAMES) <= set(table.PROVIDERS) & set(STAGES)
    assert set(table.FEATURES) == set(CHECKS)
    named = [*table.DIALECTS.values(), *table.PROVIDERS.values()]
    assert {feature for each in named for feature in each} <= set(table.FEATURES)


def test_the_page_is_what_the_table_says() -> None:
    """A run in which every cell comes true writes it anew."""
    assert not page.is_stale(), (
        f"{page.PAGE.name} is stale: run all of tests/matrix, and commit what it writes"
    )


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id) for cell in cells()])
async def test_a_cell(cell: Cell, set_up: SetUp) -> None:
    scene = set_up(cell)
    outcome = cell.outcome
    if isinstance(outcome, Refused):
        await refused(scene, outcome)
    else:
        await CHECKS[cell.feature](scene)
