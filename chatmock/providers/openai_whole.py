"""Whole answers of the OpenAI chat wire, checked and put in order for clients of the same wire."""

from __future__ import annotations

from typing import Any, Final

from chatmock import jsontext
from chatmock.conversation import Identity
from chatmock.errors import Kind, Refusal
from chatmock.events import FinishReason
from chatmock.jsontext import JSONError
from chatmock.providers.openai_chunks import whole_usage
from chatmock.providers.openai_differences import Differences

_INDICES: Final = range(128)
"""As many choices as OpenAI's ``n`` may ask for."""


def read_whole(body: bytes, differences: Differences) -> dict[str, Any]:
    """The answer in *body*, whose choices all have a message that a client can read.

    :raises JSONError: when it is none.
    :raises Refusal: when it is an error.
    """
    answer = jsontext.loads_object(body)
    choices = answer.get("choices")
    if answer.get("error"):
        raise differences.read_error(answer)
    if (failed := _failed_choice(choices)) is not None:
        raise differences.read_error(failed)
    if not isinstance(choices, list) or not choices or not all(map(_is_sound, choices)):
        raise JSONError("it has no choices, or one without a message")
    return answer


def unreadable(title: str, fault: str) -> Refusal:
    """The refusal for an answer of the upstream *title* that is none."""
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"{title} sent an answer that cannot be read ({fault}). Ask again.",
        code="upstream_malformed",
    )


def settle_whole(
    answer: dict[str, Any], differences: Differences, model: str, fallback: Identity
) -> tuple[FinishReason, ...]:
    """Put *answer* in order where it stands; returns the finish reasons of its choices.

    :param model: the name of the model, *fallback*: id and time, where the upstream tells none.
    """
    for key in ("id", "model"):
        if not isinstance(answer.get(key), str):
            answer[key] = str(answer[key]) if isinstance(answer.get(key), int) else ""
    answer["id"] = answer["id"] or f"chatcmpl-{fallback.id}"
    answer["object"] = "chat.completion"
    if not isinstance(answer.get("created"), int):
        answer["created"] = fallback.created
    answer["model"] = answer["model"] or model
    usage = answer.pop("usage", None)
    if isinstance(usage, dict):
        answer["usage"] = whole_usage(usage)
    return tuple(_settle(place, choice, differences) for place, choice in enumerate(answer["choices"]))


def _settle(place: int, choice: dict[str, Any], differences: Differences) -> FinishReason:
    message = choice["message"]
    message["role"] = "assistant"
    message.setdefault("content", None)
    if message.get("reasoning") and not message.get("reasoning_content"):
        message["reasoning_content"] = message["reasoning"]
    calls = message.get("tool_calls") or []
    for index, call in enumerate(calls):
        call["id"] = call.get("id") or f"call_{place}_{index}"
        call["type"] = call.get("type") or "function"
    if choice.get("index") not in _INDICES:
        choice["index"] = place
    given, native = choice.get("finish_reason"), choice.get("native_finish_reason")
    given = given if isinstance(given, str) and given else ("tool_calls" if calls else "stop")
    reason = differences.reason(given, native)
    choice["finish_reason"] = given if given == "function_call" else reason
    return reason


def _is_sound(choice: Any) -> bool:
    """Whether a client can read a choice of a whole answer; text in parts is put together."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return False
    content, calls = message.get("content"), message.get("tool_calls") or []
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        content = message["content"] = "".join(part for part in parts if isinstance(part, str))
    return (
        (content is None or isinstance(content, str))
        and isinstance(calls, list)
        and all(isinstance(call, dict) for call in calls)
    )


def _failed_choice(choices: Any) -> dict[str, Any] | None:
    """The error object of a choice that ended in one, in a whole answer."""
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error"):
            return {
                "error": choice.get("error")
                or {"message": "The answer ended with an error that is not explained."}
            }
    return None
