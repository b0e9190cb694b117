"""The one table: who speaks, who answers, what is asked, and what comes of it. A cell follows from its row and its column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import attrs

from chatmock.dialects import DIALECTS as SPOKEN
from chatmock.settings import PROVIDERS as NAMES

Form = Literal["stream", "whole"]
FORMS: tuple[Form, ...] = ("stream", "whole")


@attrs.frozen
class Works:
    """It is answered."""

    how: str = ""
    """What is to be known of it; empty where it comes as one expects."""


@attrs.frozen
class Refused:
    """It is refused, since there is no such thing here."""

    status: int
    names: str
    """What the message has to say."""
    why: str


@attrs.frozen
class Absent:
    """It cannot be asked, or not be answered: there is nothing to try."""

    why: str


Outcome = Works | Refused | Absent

FEATURES: Mapping[str, str] = {
    "text": "text, every character of it",
    "thinking": "the model's thinking, apart from the text",
    "tools": "a call of a tool, its result sent back, and the answer to that",
    "parallel": "the same with two calls in one answer, after some thinking",
    "seal": "thinking that only the upstream can read, sent back to it with the result of a tool",
    "image": "a picture in the question",
    "structured": "JSON that fits a schema",
    "usage": "the tokens counted by the upstream; where it tells them, those from a cache and those of thinking as well",
    "refusal": "the model declines",
    "early-error": "the upstream refuses with 500, then with 429: the SDK's own exception, its status, and when to come again, where the SDK shows that",
    "late-error": "the upstream tells an error in mid-answer",
    "cut": "the connection to the upstream breaks in mid-answer",
    "leaving": "the client leaves in mid-answer: the upstream is closed and the turn given back",
}
"""What is asked, by name."""

_TEXT_ONLY = "text completions are text in and text out"
_NO_TOOLS = "`/api/generate` has no tools"
_UNSEALED = Absent("there is none: this upstream shows its thinking, or does not tell it")

DIALECTS: Mapping[str, Mapping[str, Outcome]] = {
    "openai-chat": {"seal": Absent("OpenAI chat has no place for it")},
    "openai-completions": {
        "thinking": Works("is left out: a text completion has no place for it"),
        "tools": Refused(400, "'tools'", _TEXT_ONLY),
        "parallel": Refused(400, "'tools'", _TEXT_ONLY),
        "seal": Absent("a text completion has no place for it"),
        "image": Refused(400, "'prompt'", _TEXT_ONLY),
        "structured": Refused(400, "'response_format'", _TEXT_ONLY),
        "refusal": Works("is text: a text completion has no other place for it"),
    },
    "openai-responses": {},
    "ollama-chat": {
        "seal": Absent("Ollama's API has no place for it"),
        "refusal": Works("is text: Ollama's API has no other place for it"),
    },
    "ollama-generate": {
        "tools": Absent(_NO_TOOLS),
        "parallel": Absent(_NO_TOOLS),
        "seal": Absent("Ollama's API has no place for it"),
        "refusal": Works("is text: Ollama's API has no other place for it"),
    },
    "anthropic": {},
}
"""The client APIs, and in what each differs from "it works"."""

PROVIDERS: Mapping[str, Mapping[str, Outcome]] = {
    "chatgpt": {},
    "grok": {},
    "openrouter": {"seal": Absent("OpenRouter's own form of it is not carried to other APIs")},
    "qwen": {
        "seal": _UNSEALED,
        "refusal": Absent("the site chat.qwen.ai does not tell a refusal from other text"),
    },
    "dashscope": {"seal": _UNSEALED},
    "compatible": {"seal": _UNSEALED},
    "ollama": {"seal": _UNSEALED, "refusal": Absent("Ollama does not tell a refusal from other text")},
    "demo": {"seal": _UNSEALED},
}
"""The providers, likewise."""

QUOTED = Works("is told in the upstream's own words alone, which mean something to these clients")

EXCEPTIONS: Mapping[tuple[str, str, str], Outcome] = {
    **{
        (dialect, "ollama", feature): QUOTED
        for dialect in ("ollama-chat", "ollama-generate")
        for feature in ("early-error", "late-error")
    },
    ("anthropic", "grok", "seal"): Absent("xAI is asked in OpenAI chat, which has no place for it"),
}
"""What follows from neither dialect nor provider alone: by dialect, provider and feature."""


@attrs.frozen
class Cell:
    """One thing that is tried."""

    dialect: str
    provider: str
    feature: str
    form: Form

    @property
    def id(self) -> str:
        """Its name."""
        return f"{self.dialect}-{self.provider}-{self.feature}-{self.form}"

    @property
    def stream(self) -> bool:
        """Whether a stream is asked for."""
        return self.form == "stream"

    @property
    def outcome(self) -> Outcome:
        """What comes of it. A dialect that cannot ask is not answered otherwise by any provider."""
        return outcome(self.dialect, self.provider, self.feature)


def outcome(dialect: str, provider: str, feature: str) -> Outcome:
    """What comes of *feature* between *dialect* and *provider*, streamed or whole."""
    named = EXCEPTIONS.get((dialect, provider, feature))
    if named is not None:
        return named
    asked = DIALECTS[dialect].get(feature, Works())
    answered = PROVIDERS[provider].get(feature, Works())
    return answered if isinstance(asked, Works) and not isinstance(answered, Works) else asked


def dialects() -> list[str]:
    """Those that are spoken, in the table's order."""
    spoken = {dialect.name for dialect in SPOKEN}
    return [name for name in DIALECTS if name in spoken]


def providers() -> list[str]:
    """Those there are, in the table's order."""
    return [name for name in PROVIDERS if name in NAMES]


def cells() -> Iterator[Cell]:
    """Everything that can be tried."""
    for dialect in dialects():
        for provider in providers():
            for feature in FEATURES:
                if not isinstance(outcome(dialect, provider, feature), Absent):
                    for form in FORMS:
                        yield Cell(dialect, provider, feature, form)
