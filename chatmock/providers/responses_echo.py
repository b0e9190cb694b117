"""What a response object tells the client of its own request: as the client wrote it, where the upstream was sent
something else (spec chatgpt.md, 3.8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest, Identity
from chatmock.providers.responses_items import CALL_KINDS
from chatmock.providers.responses_unkept import SEALED

_ALWAYS_THE_CLIENTS: Final = ("previous_response_id",)
"""Fields that chatmock deals with itself, so that the upstream never knows them."""


@attrs.frozen
class Echo:
    """What is put into the response objects of one answer."""

    id: str
    """The answer's id, where the upstream gives none."""
    fields: Mapping[str, Any] = attrs.field(repr=False)
    names: Mapping[str, str] = attrs.field(factory=dict)
    """Names of tools as sent upstream, to those of the client."""
    created: int = 0
    """When the answer was asked for, in Unix seconds, where the upstream does not tell."""
    seals: bool = True
    """Whether the client gets the thinking in its upstream's own form."""

    @classmethod
    def of(
        cls,
        chat: ChatRequest,
        identity: Identity,
        names: Mapping[str, str] | None = None,
        changed: Iterable[str] = (),
        hidden: Iterable[str] = (),
        *,
        seals: bool = True,
    ) -> Echo:
        """What the client of *chat*, which came with a Responses body, is to be told.

        :param names: as :attr:`names`.
        :param changed: the fields of the body that were not sent as they are.
        :param hidden: those whose value upstream is no business of the client's: null unless it has sent one.
        :param seals: as :attr:`seals`.
        """
        body: Mapping[str, Any] = {} if chat.source is None else chat.source.body
        fields = {key: body[key] for key in changed if body.get(key) is not None}
        fields.update((key, body.get(key)) for key in (*hidden, *_ALWAYS_THE_CLIENTS))
        fields["model"] = chat.asked_model or chat.model
        fields["store"] = chat.keep and body.get("store") is not False
        return cls(f"resp_{identity.id}", fields, names or {}, identity.created, seals)

    def settle(self, response: dict[str, Any]) -> bool:
        """Put *response* in order where it stands; whether that changed it."""
        changed = False
        if not isinstance(response.get("id"), str) or not response["id"]:
            response["id"], changed = self.id, True
        if response.get("created_at") is None:
            response["created_at"], changed = self.created, True
        if response.get("object") != "response":
            response["object"], changed = "response", True
        for key, value in self.fields.items():
            if key not in response or response[key] != value:
                response[key], changed = value, True
        if not isinstance(response.get("output"), list):
            response["output"], changed = [], True
        for item in response["output"]:
            changed |= self.name(item)
        return changed

    def name(self, item: object) -> bool:
        """Give the call in *item*, if it is one, its tool's name as the client knows it; whether that changed it."""
        if not isinstance(item, dict) or item.get("type") not in CALL_KINDS:
            return False
        name = item.get("name")
        if not isinstance(name, str) or name not in self.names:
            return False
        item["name"] = self.names[name]
        return True

    def shown(self, item: object) -> object:
        """*item* as the client gets it: itself, or one without the seal that is not the client's."""
        if self.seals or not isinstance(item, dict) or item.get("type") != "reasoning":
            return item
        return {key: value for key, value in item.items() if key != SEALED} if SEALED in item else item

    def show_all(self, response: dict[str, Any]) -> bool:
        """Put the items of *response* as the client gets them; whether they are the same."""
        output = response["output"]
        response["output"] = shown = list(map(self.shown, output))
        return all(one is other for one, other in zip(shown, output, strict=True))


def settle_usage(response: dict[str, Any]) -> bool:
    """Give the token counts in *response* the details that the official clients read without asking; whether that changed
    them. What the upstream does not tell is 0 there, which is what the API says of it."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return False
    changed = False
    for key, details in (
        ("input_tokens_details", ("cached_tokens", "cache_write_tokens")),
        ("output_tokens_details", ("reasoning_tokens",)),
    ):
        told = usage.get(key)
        if not isinstance(told, dict):
            usage[key] = told = {}
        for detail in details:
            if not isinstance(told.get(detail), int):
                told[detail], changed = 0, True
    if not isinstance(usage.get("total_tokens"), int):
        counts = (usage.get("input_tokens"), usage.get("output_tokens"))
        usage["total_tokens"], changed = sum(n for n in counts if isinstance(n, int)), True
    return changed
