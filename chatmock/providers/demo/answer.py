"""The demo's answer to a request, as runs of tokens: what each choice thinks, says and calls, and why it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from chatmock.providers.demo.asked import Asked
from chatmock.providers.demo.effort import Effort
from chatmock.providers.demo.schema import example
from chatmock.providers.demo.text import count_prompt, json_text, reply, thought, tokens, words
from chatmock.providers.demo.tools import Call, calls

_REFUSAL = "I am the demo, and I decline because a line 'demo: refuse' told me to."
_SCHEMA_PARAM = "response_format.json_schema.schema"
_FIELDS = {"reasoning": "reasoning_content", "text": "content", "refusal": "refusal"}


@attrs.frozen
class Run:
    """Tokens of one kind in a row. The first token of a call is the tool's name, the others are its argument."""

    kind: Literal["reasoning", "text", "refusal", "call"]
    tokens: Sequence[str] = attrs.field(repr=False)
    call: Call | None = None

    def delta(self, place: int) -> dict[str, Any]:
        """Say the token at *place* as OpenAI chat streams it."""
        token = self.tokens[place]
        if self.call is not None:
            return {"tool_calls": [self.call.piece(token, first=place == 0)]}
        return {_FIELDS[self.kind]: token}


@attrs.frozen
class Choice:
    """One of the answers side by side."""

    runs: tuple[Run, ...]
    finish: Literal["stop", "length", "tool_calls"]

    @property
    def size(self) -> int:
        """How many tokens it has."""
        return sum(len(run.tokens) for run in self.runs)

    @property
    def has_text(self) -> bool:
        """Whether it has content, be it empty, as opposed to calls or a refusal."""
        return all(run.kind == "reasoning" for run in self.runs) or any(
            run.kind == "text" for run in self.runs
        )

    def delta(self, place: int) -> dict[str, Any] | None:
        """Say the token at *place*; None after the last."""
        for run in self.runs:
            if place < len(run.tokens):
                return run.delta(place)
            place -= len(run.tokens)
        return None

    def joined(self, kind: str) -> str:
        """Join the tokens of one kind."""
        return "".join(["".join(run.tokens) for run in self.runs if run.kind == kind])


@attrs.frozen
class Answer:
    """Everything that is answered."""

    choices: tuple[Choice, ...]
    prompt_tokens: int

    @property
    def usage(self) -> Mapping[str, Any]:
        """OpenAI's usage object."""
        completion = sum(choice.size for choice in self.choices)
        runs = [run for choice in self.choices for run in choice.runs]
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "completion_tokens_details": {
                "reasoning_tokens": sum(len(run.tokens) for run in runs if run.kind == "reasoning")
            },
        }


def answer(asked: Asked) -> Answer:
    """Answer a request.

    :raises Refusal: bad request, where arguments or output are to fit a schema for which no example is found.
    """
    called = () if asked.directives.content else calls(asked)
    count = asked.body.n or 1
    if called:
        spoken = [_calling(called, len(called) * choice) for choice in range(count)]
    else:
        spoken = _speaking(asked, count)
    thinking = (Run("reasoning", tokens(thought(asked))),) if asked.thinks else ()
    finish: Literal["stop", "tool_calls"] = "tool_calls" if called else "stop"
    choices = [_limited(Choice((*thinking, *runs), finish), asked.most_tokens) for runs in spoken]
    return Answer(tuple(choices), count_prompt(asked))


def _calling(called: Sequence[Call], further: int) -> tuple[Run, ...]:
    """Make the runs of calls whose ids count on by *further*."""
    numbered = [attrs.evolve(call, number=call.number + further) for call in called]
    return tuple(Run("call", (call.name, *tokens(call.argument)), call) for call in numbered)


def _speaking(asked: Asked, count: int) -> list[tuple[Run, ...]]:
    if asked.directives.refuse:
        return [(Run("refusal", tokens(_REFUSAL)),)] * count
    given = _given_text(asked)
    if given is not None:
        return [_text(given, asked.stops)] * count
    wraps = asked.body.response_format is not None and asked.body.response_format.type == "json_object"
    texts = [reply(asked, choice) for choice in range(count)]
    return [_text(json_text({"answer": text}) if wraps else text, asked.stops) for text in texts]


def _given_text(asked: Asked) -> str | None:
    """Find the text that does not depend on what was said: told by a directive, or by a schema."""
    if asked.directives.say is not None:
        return asked.directives.say
    if asked.directives.words is not None:
        return words(asked.directives.words)
    wanted = asked.body.response_format
    if wanted is not None and wanted.type == "json_schema":
        schema = wanted.json_schema.schema if wanted.json_schema is not None else None
        return json_text(example(True if schema is None else schema, _SCHEMA_PARAM, Effort()))
    return None


def _text(text: str, stops: Sequence[str]) -> tuple[Run, ...]:
    """Make the run of *text* up to the first of *stops*, which is not said."""
    ends = [place for place in map(text.find, stops) if place >= 0]
    return (Run("text", tokens(text[: min(ends, default=len(text))])),)


def _limited(choice: Choice, most: int | None) -> Choice:
    """Cut *choice* to *most* tokens."""
    if most is None or choice.size <= most:
        return choice
    runs = []
    for run in choice.runs:
        if most > 0:
            runs.append(attrs.evolve(run, tokens=run.tokens[:most]))
        most -= len(run.tokens)
    return Choice(tuple(runs), "length")
