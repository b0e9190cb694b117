"""Every fault of an upstream, in every dialect, before and after the first delta: the right ending, and nothing left
(spec security.md, 4; P30-P33, P51-P53).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.admission.backoff import Backoff
from chatmock.dialects import DIALECTS
from chatmock.relay import BodyRelay
from tests.conftest import Start, until
from tests.security.fault_table import GONE, KEY, TABLE, answer, settings_of
from tests.security.verdicts import ASKING, check_silence, verdict
from tests.test_lifetimes import slots
from tests.upstreams.hostile import FAULTS, HostileServer

CELLS = [
    pytest.param(dialect.name, name, moment, id=f"{name}-{moment}-{dialect.name}")
    for name, line in TABLE.items()
    for moment in ("whole", "first", "later")
    if getattr(line, moment) is not None
    for dialect in DIALECTS
]


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(FAULTS)
    assert {dialect.name for dialect in DIALECTS} <= set(ASKING), "say how a client of it asks"


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another try is made at once."""
    monkeypatch.setattr("chatmock.service.Backoff", lambda chance: Backoff(lambda: 0.0))


@pytest.fixture
def small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no end is carried for 4 MiB, not 32."""
    monkeypatch.setattr(BodyRelay.__init__, "__defaults__", (math.inf, 4 * 1024 * 1024))


@pytest.fixture(autouse=True)
def secret_log() -> Iterator[None]:
    """No line of the log holds the upstream's key, whatever it has answered."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(f"{formatEvent(event)} {event.get('log_failure')!r}")

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)
    assert not any(KEY in line for line in lines)


@pytest.mark.parametrize(("dialect", "fault", "moment"), CELLS)
@pytest.mark.usefixtures("small_answers")
async def test_a_fault(hostile: HostileServer, start: Start, dialect: str, fault: str, moment: str) -> None:
    line = TABLE[fault]
    daemon = start(**settings_of(hostile.url, **line.settings))
    model = f"{fault}.{'later' if moment == 'later' else 'first'}"
    asking = ASKING[dialect].request(model, moment != "whole")
    answered, received = await answer(daemon.url, hostile, asking, model)
    assert verdict(answered, dialect, moment != "whole") in getattr(line, moment), received[-2000:]
    if not line.kept:
        await until(lambda: not hostile.open, GONE)
    assert slots(daemon) == (0, 0)
    words = (
        KEY,
        KEY[8:],
        "127.0.0.1",
        f":{hostile.port.getHost().port}",
        "chat/completions HTTP",
        "Traceback",
        "ghost",
    )
    check_silence(received, words)
    assert "set-cookie" not in answered.fields
    assert line.asked is None or len(hostile.chats) == line.asked
    assert not any(b"\r\ncookie:" in head.lower() for head in hostile.chats)
