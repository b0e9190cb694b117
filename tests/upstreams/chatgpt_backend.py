"""A fake of ChatGPT's Codex backend over real HTTP, which refuses what the real one refuses (spec chatgpt.md, 2.4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.upstreams.chatgpt_rules import ACCEPTED, check
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

LIMITS = {
    b"x-codex-primary-used-percent": b"12.5",
    b"x-codex-primary-window-minutes": b"300",
    b"x-codex-primary-reset-after-seconds": b"18000.0",
    b"x-codex-secondary-used-percent": b"40",
    b"x-codex-secondary-window-minutes": b"10080",
    b"x-codex-secondary-reset-after-seconds": b"200000",
    b"x-codex-plan-type": b"plus",
}
MODELS: Sequence[dict[str, Any]] = (
    {
        "slug": "gpt-5.6-sol",
        "display_name": "GPT-5.6 Sol",
        "default_reasoning_level": "low",
        "supported_reasoning_levels": [
            {"effort": e} for e in ("low", "medium", "high", "xhigh", "max", "ultra")
        ],
        "visibility": "list",
        "priority": 1,
        "service_tiers": [{"id": "priority", "name": "Fast"}],
        "context_window": 272000,
        "input_modalities": ["text", "image"],
        "supports_parallel_tool_calls": True,
        "support_verbosity": True,
    },
    {
        "slug": "gpt-5.4-mini",
        "supported_reasoning_levels": [{"effort": e} for e in ("low", "medium", "high", "xhigh")],
        "visibility": "list",
        "priority": 23,
        "service_tiers": [],
        "input_modalities": ["text"],
        "supports_parallel_tool_calls": False,
        "support_verbosity": False,
    },
    {"slug": "codex-auto-review", "visibility": "hide", "priority": 2},
)


class ChatGPTBackend(OpenAIServer):
    """The fake.

    :param honours: whether an access token is good; the issuer's own answer, in most tests.
    """

    def __init__(self, reactor: Any, honours: Callable[[str], bool]) -> None:
        super().__init__(reactor, None, "/backend-api/codex")
        self.honours = honours
        self.models = MODELS
        self.etag = '"one"'
        self.not_modified = 0
        """How often the catalogue was answered with 304."""

    def asks(self) -> list[Asked]:
        """The requests for an answer so far, refused ones too."""
        return [asked for asked in self.asked if asked.path.endswith("/responses")]

    def stream(self, *events: Mapping[str, Any], **more: Any) -> None:
        """Answer every request with *events*."""
        self.reply([sse(event) for event in events], **{"headers": LIMITS, **more})

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*."""
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.honours(token):
            return detail(401, "Could not parse your authentication token. Please try signing in again.")
        if not asked.headers.get("chatgpt-account-id"):
            return detail(401, "No account.")
        path = asked.path.removeprefix(self.prefix)
        if path == "/models":
            return self._catalogue(asked)
        if path != "/responses":
            return detail(404, "Not Found")
        return self._wrong(asked) or self.answer(asked)

    def _catalogue(self, asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == self.etag:
            self.not_modified += 1
            return Reply(status=304, headers={b"etag": self.etag.encode()})
        body = json.dumps({"models": list(self.models or ())}).encode()
        return Reply([body], content_type=b"application/json", headers={b"etag": self.etag.encode()})

    def _wrong(self, asked: Asked) -> Reply | None:
        """The refusal of a request that the real backend would not take."""
        body = asked.body
        if asked.headers.get("accept") != "text/event-stream" or not asked.headers.get("originator"):
            return detail(400, "Unsupported client")
        if not isinstance(body, dict):
            return detail(400, "Request body must be an object")
        if not isinstance(body.get("instructions"), str):
            return detail(400, "Instructions are required")
        if body.get("stream") is not True:
            return detail(400, "Stream must be set to true")
        if body.get("store") is not False:
            return detail(400, "Store must be set to false")
        if not isinstance(body.get("input"), list) or not body["input"]:
            return detail(400, "Input must be a list")
        for field in body:
            if field not in ACCEPTED:
                return detail(400, f"Unsupported parameter: {field}")
        if body["model"] not in {model["slug"] for model in self.models or ()}:
            return detail(400, f"The '{body['model']}' model is not supported when using Codex with ChatGPT.")
        if any(item.get("role") == "system" for item in body["input"]):
            return detail(400, "System messages are not allowed")
        try:
            check(body)
        except (AssertionError, KeyError, TypeError) as fault:
            return detail(400, f"Invalid request: {fault!r}")
        return None


def detail(status: int, text: str) -> Reply:
    """A refusal of the backend's validation."""
    return Reply([json.dumps({"detail": text}).encode()], status=status, content_type=b"application/json")


def sse(event: Mapping[str, Any]) -> bytes:
    """*event* as the backend frames it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


class Script:
    """Builds the events of one answer, numbered and with the fields that the real ones have."""

    def __init__(self, model: str = "gpt-5.6-sol") -> None:
        self._model = model
        self._items = 0
        self.events: list[dict[str, Any]] = []
        for kind in ("response.created", "response.in_progress"):
            self.add(kind, response=self._response("in_progress"))

    def add(self, kind: str, **fields: Any) -> Script:
        """One event."""
        self.events.append({"type": kind, "sequence_number": len(self.events), **fields})
        return self

    def text(self, *deltas: str, annotations: Iterable[Mapping[str, Any]] = ()) -> Script:
        """A message."""
        at, id = self._open("message", role="assistant", content=[])
        where = {"item_id": id, "output_index": at, "content_index": 0}
        self.add(
            "response.content_part.added",
            **where,
            part={"type": "output_text", "text": "", "annotations": []},
        )
        for delta in deltas:
            self.add("response.output_text.delta", **where, delta=delta, logprobs=[])
        for i, annotation in enumerate(annotations):
            self.add(
                "response.output_text.annotation.added", **where, annotation_index=i, annotation=annotation
            )
        text = "".join(deltas)
        part = {"type": "output_text", "text": text, "annotations": list(annotations)}
        self.add("response.output_text.done", **where, text=text, logprobs=[])
        self.add("response.content_part.done", **where, part=part)
        return self._close(at, id, "message", role="assistant", content=[part])

    def refusal(self, *deltas: str) -> Script:
        """A message in which the model declines."""
        at, id = self._open("message", role="assistant", content=[])
        where = {"item_id": id, "output_index": at, "content_index": 0}
        for delta in deltas:
            self.add("response.refusal.delta", **where, delta=delta)
        part = {"type": "refusal", "refusal": "".join(deltas)}
        self.add("response.refusal.done", **where, refusal=part["refusal"])
        return self._close(at, id, "message", role="assistant", content=[part])

    def reasoning(self, *parts: str) -> Script:
        """A reasoning item with a summary of *parts*."""
        at, id = self._open("reasoning", summary=[])
        for i, text in enumerate(parts):
            where = {"item_id": id, "output_index": at, "summary_index": i}
            self.add(
                "response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""}
            )
            for word in text.split(" "):
                last = text.endswith(word)
                self.add("response.reasoning_summary_text.delta", **where, delta=word + ("" if last else " "))
            self.add("response.reasoning_summary_text.done", **where, text=text)
        summary = [{"type": "summary_text", "text": text} for text in parts]
        return self._close(at, id, "reasoning", summary=summary, encrypted_content="sealed")

    def calls(self, *calls: tuple[str, str, str], streamed: bool = True) -> Script:
        """Function calls (id, name, arguments), their argument deltas interleaved; or told only when they are done."""
        opened = [self._open("function_call", call_id=id, name=name, arguments="") for id, name, _ in calls]
        if streamed:
            for place in range(max(len(arguments) for _, _, arguments in calls)):
                for (at, item), (_, _, arguments) in zip(opened, calls, strict=True):
                    if place < len(arguments):
                        self.add(
                            "response.function_call_arguments.delta",
                            item_id=item,
                            output_index=at,
                            delta=arguments[place],
                        )
        for (at, item), (id, name, arguments) in zip(opened, calls, strict=True):
            if streamed:
                self.add(
                    "response.function_call_arguments.done",
                    item_id=item,
                    output_index=at,
                    arguments=arguments,
                )
            self._close(at, item, "function_call", call_id=id, name=name, arguments=arguments)
        return self

    def web_search(self) -> Script:
        """A search by the backend itself."""
        at, id = self._open("web_search_call")
        for stage in ("in_progress", "searching", "completed"):
            self.add(f"response.web_search_call.{stage}", item_id=id, output_index=at)
        return self._close(at, id, "web_search_call", action={"type": "search", "query": "q"})

    def end(self, status: str = "completed", **fields: Any) -> list[dict[str, Any]]:
        """The last event; all of them."""
        usage = {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 5},
            "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 30,
        }
        self.add(f"response.{status}", response={**self._response(status), "usage": usage, **fields})
        return self.events

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "model": self._model,
            "output": [],
            "usage": None,
            "error": None,
            "incomplete_details": None,
        }

    def _open(self, kind: str, **fields: Any) -> tuple[int, str]:
        at, self._items = self._items, self._items + 1
        id = f"item_{at}"
        item = {"id": id, "type": kind, "status": "in_progress", **fields}
        self.add("response.output_item.added", output_index=at, item=item)
        return at, id

    def _close(self, at: int, id: str, kind: str, **fields: Any) -> Script:
        item = {"id": id, "type": kind, "status": "completed", **fields}
        return self.add("response.output_item.done", output_index=at, item=item)
