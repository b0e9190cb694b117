"""Several clients, random faults: nothing bad is told, nothing is left (spec security.md, P54).

The full storm of 10 000 is ``python -m tests.security.fault_storm``.
"""

from __future__ import annotations

from twisted.internet import reactor

from tests.security.fault_storm import Storm


async def test_five_hundred_faults() -> None:
    figures = await Storm(reactor, seed=5).run(500, clients=8)
    assert figures.passed, "\n".join(figures.lines())
