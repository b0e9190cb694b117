"""The provider of a fresh install: answers by rule, at a given pace, without account or network (docs/demo.md).

It is an upstream of the OpenAI chat wire like others, only that no socket leads to it: :func:`script` says what
its server would send, and :mod:`chatmock.playback` plays that. So everything between it and the client is the
same as with a real upstream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal, bad_request
from chatmock.model import Model
from chatmock.providers.demo.asked import MODELS
from chatmock.providers.demo.script import BASE_URL, Script, script
from chatmock.providers.interface import (
    IGNORED,
    Amendment,
    Credential,
    Headers,
    Passage,
    StreamDecoder,
    UpstreamRequest,
    passes,
)
from chatmock.providers.openai_compatible import WIRE, OpenAICompatible
from chatmock.providers.openai_differences import Differences

__all__ = ["Demo", "Script", "script"]

_MOST_NAMED = 20
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_ADAPTER = OpenAICompatible(
    "demo",
    BASE_URL,
    # The one place where a key is named is the message for a 401, and that only comes when a line asks for it.
    Differences(title="The demo", key_setting="the line 'demo: fail 401'", default_model=MODELS[0]),
)


@attrs.frozen
class Demo:
    """The :class:`~chatmock.providers.interface.Provider`."""

    name: str = attrs.field(default="demo", init=False)
    title: str = attrs.field(default=_ADAPTER.title, init=False)
    wires: Collection[str] = attrs.field(default=(WIRE,), init=False)
    default_model: str | None = attrs.field(default=MODELS[0], init=False)
    retired: Mapping[str, str] = attrs.field(factory=dict, init=False)
    presumed: Sequence[Model] = attrs.field(default=(), init=False)
    efforts: Sequence[str] = attrs.field(default=(), init=False)
    embedder: None = attrs.field(default=None, init=False)

    def request(self, chat: ChatRequest, credential: Credential) -> UpstreamRequest:
        """Write the request that asks *chat*, with a note of the fields that mean nothing to the demo.

        :raises Refusal: bad request, for what the demo does not have: log probabilities, audio, prediction, web search.
        """
        _refuse_impossible(chat)
        written = _ADAPTER.request(chat, credential)
        ignored = list(_ignored(chat))
        if not ignored:
            return written
        return attrs.evolve(written, notes={**written.notes, IGNORED: _listed(ignored)})

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """Change a refused request: the demo has nothing that would make it take one."""
        return _ADAPTER.amend(chat, refusal)

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """Make a fresh decoder."""
        return _ADAPTER.decoder(chat)

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage:
        """Make a fresh passage."""
        return _ADAPTER.passage(chat, identity)

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        return _ADAPTER.refusal(status, headers, body)

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """Write the request for the list of models."""
        return _ADAPTER.catalogue_request(credential)

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """Read the list of models."""
        return _ADAPTER.read_catalogue(body)


def _refuse_impossible(chat: ChatRequest) -> None:
    extras = chat.extras
    if chat.logprobs or chat.top_logprobs:
        raise bad_request("The demo answers by rule: it has no log probabilities to tell.", "logprobs")
    modalities = extras.get("modalities") or ()
    if any(modality != "text" for modality in modalities):
        raise bad_request("The demo answers in text only.", "modalities")
    for field, lacks in (
        ("audio", "it does not speak"),
        ("prediction", "it has no use for a prediction of its answer"),
        ("web_search_options", "it has no network to search"),
    ):
        if extras.get(field) is not None:
            raise bad_request(f"The demo cannot heed '{field}': {lacks}.", field)


def _ignored(chat: ChatRequest) -> Iterator[str]:
    """Go through the request fields that have no effect here."""
    yield from (field for field in chat.extras if field != "modalities")
    if chat.source is None or not passes(chat, (WIRE,)):
        return
    body = chat.source.body
    yield from (field for field in ("functions", "function_call") if body.get(field) is not None)
    if body.get("parallel_tool_calls") and not chat.tools:
        yield "parallel_tool_calls"
    options = body.get("stream_options")
    if isinstance(options, dict):
        yield from (f"stream_options.{name}" for name in options if name != "include_usage" and options[name])
    for place, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") not in ("function", "custom"):
            yield f"tools[{place}]"


def _listed(names: Sequence[str]) -> str:
    """Name fields in a header. The client chose the names: those that are not plain are only counted."""
    shown = [name for name in names if _NAME.fullmatch(name)][:_MOST_NAMED]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])
