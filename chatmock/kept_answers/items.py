"""The items of a conversation, and how one goes on from another (spec upstreams.md, D3). Pure."""

from __future__ import annotations

from typing import Any

from chatmock import jsontext
from chatmock.errors import Refusal, bad_request
from chatmock.jsontext import JSONError
from chatmock.kept_answers.entries import KeptAnswer


def as_items(input: object) -> list[Any]:
    """The ``input`` of a request as items: text is a message of the user's. What it is else is not looked at."""
    if isinstance(input, str):
        return [_user_message(input)] if input else []
    return list(input) if isinstance(input, list) else []


def conversation(kept: KeptAnswer) -> list[Any]:
    """The items of the conversation up to and with the answer *kept*: what was asked, and what was answered.

    :raises JSONError: when they cannot be read.
    """
    asked = jsontext.loads(kept.items)
    answered = jsontext.loads_object(kept.response).get("output")
    if not isinstance(asked, list) or not isinstance(answered, list):
        raise JSONError("expected the items of a conversation")
    return [*asked, *answered]


def _user_message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def previous_not_found(id: str) -> Refusal:
    """There is no such answer to go on from, in OpenAI's words."""
    return bad_request(
        f"Previous response with id '{id[:100]}' not found. It was not kept, has grown too old, or is another client's: send"
        " the whole conversation as 'input', without 'previous_response_id'.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def nothing_is_kept() -> Refusal:
    """The owner of the daemon wants no answers kept."""
    return bad_request(
        "This server keeps no answers (CHATMOCK_RESPONSES_DAYS is 0), so there is none to go on from. Send the whole"
        " conversation as 'input', without 'previous_response_id'.",
        param="previous_response_id",
        code="previous_response_not_found",
    )
