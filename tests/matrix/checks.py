"""What each feature has to come to, said once: for every dialect, every provider, streamed and whole."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.threads import deferToThread

from tests.conftest import Daemon, until
from tests.matrix.chat_stage import TROUBLE
from tests.matrix.clients import Client
from tests.matrix.scenario import (
    CLOCK,
    PNG,
    RESULTS,
    SCHEMA,
    SEAL,
    WEATHER,
    Fault,
    Heard,
    Scenario,
    Seen,
    Tokens,
    Tool,
    Wish,
    call,
)
from tests.matrix.table import QUOTED, Cell, Refused
from tests.matrix.upstreams import Stage
from tests.test_lifetimes import slots

_WORDS = ("Grüß Gott, ", "世界 🌍!\n", 'It is "25°" <warm> ', "& dry:\n{}")
_THOUGHT = "Let me look at the map."
_LOST = {
    "stream": "before it was complete",
    "whole": "before it was complete|closed the connection|cannot be read",
}
"""How it is told that the connection to the upstream has broken."""
_SOON = 5.0
"""Seconds in which all is to be over after a client has left; far below every timeout of the daemon."""


@attrs.frozen
class Scene:
    """One cell, set up."""

    cell: Cell
    daemon: Daemon
    stage: Stage
    client: Client

    @property
    def title(self) -> str:
        """The provider, as messages call it."""
        return self.daemon.service.accounts.by_name[self.cell.provider].provider.title

    def blames(self, message: str) -> bool:
        """Whether *message* tells of the upstream's fault: by its name, or in its own words alone."""
        return message == TROUBLE if self.cell.outcome == QUOTED else self.title in message

    def wish(self, scenario: Scenario, **more: Any) -> Wish:
        """Set the stage, and say what is to be asked."""
        return Wish(self.stage.model, self.stage.play(scenario), self.cell.stream, **more)

    async def ask(self, scenario: Scenario, **more: Any) -> tuple[Seen, Scenario]:
        """Ask for *scenario*: what was seen, and what should have been."""
        wish = self.wish(scenario, **more)
        seen = await deferToThread(self.client.ask, wish)
        return seen, self.stage.told(scenario, wish.prompt)

    async def answer(self, scenario: Scenario, **more: Any) -> tuple[Seen, Scenario]:
        """The same, where there is an answer."""
        seen, told = await self.ask(scenario, **more)
        assert seen.fault is None, seen.fault
        return seen, told

    def answering(self, requests: int) -> bool:
        """Whether the upstream is answering so many *requests*, as far as one can look."""
        return not self.stage.watched or self.stage.active == requests

    def heard(self) -> Heard | None:
        """What the upstream was asked."""
        return self.stage.heard()

    def same(self, said: str, told: str) -> None:
        """Fail unless *said* is what was to be told, or has it, where the upstream is not exact."""
        assert bool(said) == bool(told), said
        if self.stage.exact:
            assert said == told
        else:
            assert told in said


Check = Callable[[Scene], Awaitable[None]]


async def _text(scene: Scene) -> None:
    seen, told = await scene.answer(Scenario(_WORDS))
    scene.same(seen.text, "".join(told.text))
    assert (seen.thinking, seen.refusal, seen.calls) == ("", "", [])
    assert seen.finish == scene.client.finishes["stop"]


async def _thinking(scene: Scene) -> None:
    seen, told = await scene.answer(Scenario(_WORDS, thinking=_THOUGHT), thinks=True)
    scene.same(seen.text, "".join(told.text))
    if scene.cell.dialect == "openai-completions":
        assert told.thinking not in seen.text
    else:
        scene.same(seen.thinking.strip(), told.thinking)
    heard = scene.heard()
    assert heard is None or heard.thinks


async def _tools(scene: Scene) -> None:
    await _round_trip(scene, [WEATHER])


async def _parallel(scene: Scene) -> None:
    await _round_trip(scene, [WEATHER, CLOCK], _THOUGHT)


async def _seal(scene: Scene) -> None:
    await _round_trip(scene, [WEATHER], _THOUGHT, seals=True)
    heard = scene.heard()
    assert heard is not None
    assert list(heard.seals) == [SEAL]


async def _round_trip(
    scene: Scene, tools: Sequence[Tool], thinking: str = "", *, seals: bool = False
) -> None:
    """The tools are called, their results go back with all that came before, and lead to an answer."""
    wanted = {"tools": tools, "thinks": bool(thinking), "seals": seals}
    calls = [call(tool, f"call_{tool.name}_1") for tool in tools]
    calling = Scenario(calls=calls, thinking=thinking, seal=SEAL, by_rule=" ")
    first, told = await scene.answer(calling, **wanted)
    scene.same(first.thinking.strip(), told.thinking)
    assert [(made.name, made.arguments) for made in first.calls] == [(c.name, c.arguments) for c in calls]
    assert len({made.id for made in first.calls if made.id}) in (0, len(calls))
    assert first.finish == scene.client.finishes["tool_calls"]
    assert first.text.strip() == ""
    results = [RESULTS[tool.name] for tool in tools]
    final = Scenario([f"So it is {' and '.join(results)}."], by_rule=results[-1])
    second, told = await scene.answer(final, **wanted, after=first)
    scene.same(second.text, "".join(told.text))
    assert second.calls == []
    assert second.finish == scene.client.finishes["stop"]
    heard = scene.heard()
    if heard is None:
        assert all(result in second.text for result in results)
    else:
        assert heard.tools == {tool.name for tool in tools}
        assert heard.results == results


async def _image(scene: Scene) -> None:
    seen, told = await scene.answer(
        Scenario(["A picture."], by_rule=f"image/png of {len(PNG)} bytes"), picture=True
    )
    scene.same(seen.text, "".join(told.text))
    heard = scene.heard()
    assert heard is None or list(heard.pictures) == [PNG]


async def _structured(scene: Scene) -> None:
    seen, _ = await scene.answer(Scenario(['{"city":', ' "Paris"}'], by_rule="{"), schema=True)
    assert json.loads(seen.text) == {"city": "Paris"}
    heard = scene.heard()
    assert heard is None or heard.schema == SCHEMA


async def _usage(scene: Scene) -> None:
    scenario = Scenario(["one ", "two ", "three"], thinking="Let me.", usage=Tokens(11, 7, 3, 2))
    seen, told = await scene.answer(scenario, thinks=True)
    details = {} if scene.client.shows_details else {"cached": 0, "reasoning": 0}
    assert seen.usage == attrs.evolve(told.usage, **details)


async def _refusal(scene: Scene) -> None:
    seen, told = await scene.answer(Scenario(refusal=["I can", "not."]))
    shown, other = (seen.refusal, seen.text) if scene.client.shows_refusals else (seen.text, seen.refusal)
    scene.same(shown, "".join(told.refusal))
    assert other == ""
    assert seen.finish == scene.client.finishes["refusal"]


async def _early_error(scene: Scene) -> None:
    for status, becomes in ((500, 502), (429, 429)):
        seen, _ = await scene.ask(Scenario(status=status))
        fault = _raised(scene, seen, becomes)
        assert scene.blames(fault.message)
        if status == 429 and scene.client.shows_headers:
            assert fault.retry_after == scene.stage.retry_after


async def _late_error(scene: Scene) -> None:
    await _breaks(
        scene, Scenario(_WORDS, ending="error"), TROUBLE if scene.stage.exact else "demo: fail midway"
    )


async def _cut(scene: Scene) -> None:
    await _breaks(scene, Scenario(_WORDS, ending="cut"), _LOST[scene.cell.form])


async def _breaks(scene: Scene, scenario: Scenario, why: str) -> None:
    """A stream gives what it has and raises; a whole answer is an error, and nothing else."""
    seen, told = await scene.ask(scenario)
    if not scene.cell.stream:
        fault = _raised(scene, seen, 502)
        assert scene.blames(fault.message)
        assert re.search(why, fault.message)
        return
    scene.same(seen.text, "".join(told.text))
    assert seen.finish == ""
    broken = seen.fault
    assert broken is not None, seen
    assert issubclass(broken.kind, scene.client.breaks)
    assert broken.status is None
    assert scene.blames(broken.message)
    assert re.search(why, broken.message)


def _raised(scene: Scene, seen: Seen, status: int) -> Fault:
    """The SDK's own exception for *status*, and nothing before it."""
    fault = seen.fault
    assert fault is not None, seen
    assert seen == Seen(fault=fault)
    assert (fault.kind, fault.status) == (scene.client.raises[status], status), fault
    return fault


async def _leaving(scene: Scene) -> None:
    wish = scene.wish(Scenario(["The first words ", "and more"], ending="hang"))
    if scene.cell.stream:
        assert await deferToThread(scene.client.begin, wish)
    else:
        asking = deferToThread(scene.client.ask, wish)
        await until(lambda: slots(scene.daemon) == (1, 0) and scene.answering(1))
        scene.client.shut()
        seen = await asking
        assert seen.fault is not None
        assert issubclass(seen.fault.kind, scene.client.loses)
    await until(lambda: slots(scene.daemon) == (0, 0) and scene.answering(0), _SOON)


CHECKS: Mapping[str, Check] = {
    "text": _text,
    "thinking": _thinking,
    "tools": _tools,
    "parallel": _parallel,
    "seal": _seal,
    "image": _image,
    "structured": _structured,
    "usage": _usage,
    "refusal": _refusal,
    "early-error": _early_error,
    "late-error": _late_error,
    "cut": _cut,
    "leaving": _leaving,
}
"""By feature."""

_ASKED: Mapping[str, Mapping[str, Any]] = {
    "thinking": {"thinks": True},
    "tools": {"tools": [WEATHER]},
    "parallel": {"tools": [WEATHER, CLOCK]},
    "image": {"picture": True},
    "structured": {"schema": True},
}


async def refused(scene: Scene, outcome: Refused) -> None:
    """The cell's feature is asked for, and refused before anybody upstream hears of it."""
    seen, _ = await scene.ask(Scenario(["Never."]), **_ASKED.get(scene.cell.feature, {}))
    assert outcome.names in _raised(scene, seen, outcome.status).message
    assert not scene.stage.watched or scene.stage.asked == 0
