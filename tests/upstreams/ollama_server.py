"""A fake Ollama over real HTTP (spec upstreams.md, E): it answers and refuses what the real one does.

A test gives it models, and scripts of what is said; what is asked of a model that is not there, or that it cannot do, is
refused in Ollama's words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from tests.upstreams.playing_site import Asked, PlayingSite, Reply

LINES = b"application/x-ndjson"
JSON = b"application/json; charset=utf-8"
AT = "2026-08-04T19:59:11.820116Z"
COUNTS = {
    "total_duration": 7577982042,
    "load_duration": 58847000,
    "prompt_eval_count": 262,
    "prompt_eval_duration": 707514083,
    "eval_count": 473,
    "eval_duration": 6286536118,
}


_NAMES = """
model name messages prompt system template suffix images content role options num_predict stream think format tools
tool_calls function arguments keep_alive insecure username password verbose max_tokens input
"""
FIELDS = frozenset(_NAMES.split())
"""What the real one reads."""


OF_USERS = frozenset(["arguments", "format", "parameters"])
"""Fields whose values have names of the users' own."""


class Pairs(list[tuple[str, Any]]):
    """An object as it is written."""


def as_go_reads(value: Any, struct: bool = True) -> Any:
    """JSON as Go reads it into its structs: the case of names does not count, and of several the last one is taken."""
    if not isinstance(value, Pairs):
        return [as_go_reads(each, struct) for each in value] if isinstance(value, list) else value
    found: dict[str, Any] = {}
    for written, inner in value:
        name = written.casefold() if struct and written.casefold() in FIELDS else written
        found[name] = as_go_reads(inner, struct and name not in OF_USERS)
    return found


@attrs.frozen
class Tag:
    """A model that has been pulled."""

    name: str
    """With its tag."""
    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 40960
    family: str = "qwen3"
    told: bool = True
    """Whether ``/api/tags`` tells capabilities and context, as newer builds do."""

    @property
    def digest(self) -> str:
        """Of its manifest."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def entry(self) -> dict[str, Any]:
        """Its entry in ``/api/tags``."""
        details: dict[str, Any] = {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": "4.0B",
            "quantization_level": "Q4_K_M",
        }
        entry = {
            "name": self.name,
            "model": self.name,
            "modified_at": "2026-06-19T17:15:40.188240254-07:00",
            "size": 2497293931,
            "digest": self.digest,
            "details": details,
        }
        if self.told:
            details["context_length"] = self.context_length
            entry["capabilities"] = list(self.capabilities)
        return entry

    def shown(self) -> dict[str, Any]:
        """The answer of ``/api/show``."""
        return {
            "license": "Apache",
            "modelfile": f"FROM {self.name}",
            "parameters": "temperature 0.6",
            "template": "{{ .Prompt }}",
            "details": self.entry()["details"],
            "model_info": {
                "general.architecture": self.family,
                f"{self.family}.context_length": self.context_length,
            },
            "capabilities": list(self.capabilities),
            "modified_at": self.entry()["modified_at"],
        }


@attrs.frozen
class Said:
    """What a model answers."""

    text: tuple[str, ...] = ("Hel", "lo <you>.")
    thinking: tuple[str, ...] = ()
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Name and arguments of each."""
    reason: str = "stop"
    error: str | None = None
    """The text of a failure after all of that, in the stream."""
    pause: float = 0.0
    before: float = 0.0
    ending: str = "complete"
    """As of a :class:`Reply`; without a last line unless it is ``complete``."""

    def steps(self, thinks: bool) -> list[dict[str, Any]]:
        """What is said, one thing at a time: a piece of thinking, text or a call."""
        found: list[dict[str, Any]] = [{"thinking": piece} for piece in self.thinking if thinks]
        found += [{"content": piece} for piece in self.text]
        found += [
            {"call": {"id": f"call_ab12cd3{n}", "name": name, "arguments": arguments}, "index": n}
            for n, (name, arguments) in enumerate(self.calls)
        ]
        return found


class OllamaServer(PlayingSite):
    """The fake, with one model that thinks and one that does not."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.tags = [
            Tag("qwen3:4b", ("completion", "tools", "thinking")),
            Tag("llama3.2:latest", ("completion", "tools", "vision"), 131072, "llama"),
            Tag("all-minilm:latest", ("embedding",), 512, "bert"),
        ]
        self.hidden: list[Tag] = []
        """There, but not in ``/api/tags`` yet: pulled a moment ago."""
        self.answer: Callable[[Asked], Said] = lambda asked: Said()
        self.pulled: list[dict[str, Any]] = pulling("0" * 64)
        self.pull_pause = 0.0
        self.pull_ending = "complete"
        self.override: Callable[[Asked], Reply | None] = lambda asked: None
        """Answers in place of the rest, where a test wants to say every byte."""

    def say(self, **said: Any) -> None:
        """Answer every question alike."""
        fixed = Said(**said)
        self.answer = lambda asked: fixed

    def at(self, *paths: str) -> list[Asked]:
        """The requests to *paths* so far."""
        return [asked for asked in self.asked if asked.path in paths]

    def read(self, asked: Asked) -> Any:
        """The JSON of the body; the Go decoder's text where it is none."""
        try:
            return as_go_reads(json.loads(asked.content, object_pairs_hook=Pairs)) if asked.content else None
        except ValueError:
            return "invalid character 'x' looking for beginning of value"

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*."""
        reply = self.override(asked)
        if reply is not None:
            return reply
        if asked.method in ("GET", "HEAD"):
            return self._told(asked.path)
        posts: dict[str, Callable[[Asked], Reply]] = {
            "/api/show": self._show,
            "/api/chat": lambda asked: self._native(asked, _chat_line),
            "/api/generate": lambda asked: self._native(asked, _generate_line),
            "/api/pull": self._pull,
            "/api/embed": self._embed,
            "/v1/chat/completions": self._openai,
            "/v1/embeddings": self._openai_embed,
        }
        if asked.path not in posts:
            return _page(404)
        if asked.body is None:
            return _refused(asked, 400, "missing request body")
        if not isinstance(asked.body, dict):
            return _refused(asked, 400, str(asked.body))
        return posts[asked.path](asked)

    def _told(self, path: str) -> Reply:
        if path == "/":
            return Reply([b"Ollama is running"], content_type=b"text/plain; charset=utf-8")
        told: dict[str, Any] = {
            "/api/version": {"version": "0.33.0"},
            "/api/tags": {"models": [tag.entry() for tag in self.tags]},
            "/v1/models": {
                "object": "list",
                "data": [{"id": t.name, "object": "model", "created": 1781914540, "owned_by": "library"} for t in self.tags],
            },
        }  # fmt: skip
        return _json(told[path]) if path in told else _page(404)

    def find(self, name: object) -> Tag | None:
        """The model of that *name*, with ``:latest`` or without."""
        names = {name, f"{name}:latest"}
        return next((tag for tag in (*self.tags, *self.hidden) if tag.name in names), None)

    def _show(self, asked: Asked) -> Reply:
        name = asked.body.get("model") or asked.body.get("name")
        if not name:
            return _refused(asked, 400, "model is required")
        tag = self.find(name)
        return _refused(asked, 404, f"model '{name}' not found") if tag is None else _json(tag.shown())

    def _pull(self, asked: Asked) -> Reply:
        name = asked.body.get("model") or asked.body.get("name")
        if not name:
            return _refused(asked, 400, "invalid model name")
        if asked.body.get("stream") is False:
            last = self.pulled[-1]
            return _refused(asked, 500, last["error"]) if "error" in last else _json(last)
        if "error" not in self.pulled[-1]:
            self.tags.append(Tag(name if ":" in name else f"{name}:latest"))
        return Reply(
            [_line(each) for each in self.pulled],
            content_type=LINES,
            pause=self.pull_pause,
            ending=self.pull_ending,
        )

    def _judge(self, asked: Asked, thinks: bool) -> tuple[Tag | None, Reply | None]:
        """The model that is asked, or why it is not."""
        name = asked.body.get("model")
        if not name:
            return None, _refused(asked, 400, "model is required")
        tag = self.find(name)
        if tag is None:
            return None, _refused(asked, 404, f"model '{name}' not found")
        verb = "generate" if asked.path == "/api/generate" else "chat"
        if "completion" not in tag.capabilities:
            return None, _refused(asked, 400, f'"{name}" does not support {verb}')
        if thinks and "thinking" not in tag.capabilities:
            return None, _refused(asked, 400, f'"{name}" does not support thinking')
        if asked.body.get("tools") and "tools" not in tag.capabilities:
            return None, _refused(asked, 400, f"{name} does not support tools")
        return tag, None

    def _native(self, asked: Asked, line: Callable[..., dict[str, Any]]) -> Reply:
        think = asked.body.get("think")
        if isinstance(think, str) and think not in ("low", "medium", "high", "max"):
            return _refused(asked, 400, f'invalid think value: "{think}"')
        tag, refused = self._judge(asked, bool(think))
        if tag is None or refused is not None:
            assert refused is not None
            return refused
        name, stream = asked.body["model"], asked.body.get("stream") is not False
        if not asked.body.get("messages") and not asked.body.get("prompt"):
            reason = "unload" if asked.body.get("keep_alive") == 0 else "load"
            last = line(name, {}) | {"done": True, "done_reason": reason}
            return Reply([_line(last)], content_type=LINES) if stream else _json(last)
        said = self.answer(asked)
        steps = said.steps("thinking" in tag.capabilities and think is not False)
        last = line(name, {}) | {"done": True, "done_reason": said.reason, **COUNTS}
        if not stream:
            whole = line(name, _together(steps)) | last_fields(last)
            return _refused(asked, 500, said.error) if said.error else _json(whole, said)
        pieces = [_line(line(name, step)) for step in steps]
        if said.error is not None:
            pieces.append(_line({"error": said.error}))
        elif said.ending == "complete":
            pieces.append(_line(last))
        return Reply(pieces, 200, LINES, {}, said.pause, said.before, said.ending)

    def _embed(self, asked: Asked) -> Reply:
        tag = self.find(asked.body.get("model"))
        if tag is None:
            return _refused(asked, 404, f"model '{asked.body.get('model')}' not found")
        given = asked.body.get("input") or []
        inputs = [given] if isinstance(given, str) else given
        vectors = [[float(len(text)), 0.5] for text in inputs]
        return _json({"model": asked.body["model"], "embeddings": vectors, "prompt_eval_count": 3})

    def _openai_embed(self, asked: Asked) -> Reply:
        name = asked.body.get("model")
        if self.find(name) is None:
            return _refused(asked, 404, f"model '{name}' not found")
        given = asked.body.get("input") or []
        inputs = [given] if isinstance(given, str) else given
        data = [
            {"object": "embedding", "embedding": [float(len(text)), 0.5], "index": n}
            for n, text in enumerate(inputs)
        ]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return _json({"object": "list", "data": data, "model": name, "usage": usage})

    def _openai(self, asked: Asked) -> Reply:
        effort = asked.body.get("reasoning_effort")
        if effort not in (None, "low", "medium", "high", "none"):
            return _refused(asked, 400, f"invalid reasoning value: '{effort}'")
        tag, refused = self._judge(asked, effort not in (None, "none"))
        if tag is None or refused is not None:
            assert refused is not None
            return refused
        said = self.answer(asked)
        steps = said.steps("thinking" in tag.capabilities and effort != "none")
        if not asked.body.get("stream"):
            return _refused(asked, 500, said.error) if said.error else _json(_completion(asked, said, steps))
        return _chunks(asked, said, steps)


def pulling(digest: str, total: int = 2_000_000) -> list[dict[str, Any]]:
    """The lines of a pull that succeeds."""
    part = f"pulling {digest[:12]}"
    return [
        {"status": "pulling manifest"},
        {"status": part, "digest": f"sha256:{digest}", "total": total},
        {"status": part, "digest": f"sha256:{digest}", "total": total, "completed": total},
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]


def last_fields(last: dict[str, Any]) -> dict[str, Any]:
    """What the last line has that no other one has."""
    return {key: value for key, value in last.items() if key not in ("message", "response", "thinking")}


def _call(call: dict[str, Any], index: int) -> dict[str, Any]:
    return {
        "id": call["id"],
        "function": {"index": index, "name": call["name"], "arguments": call["arguments"]},
    }


def _chat_line(name: str, step: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.get("content", "")}
    if "thinking" in step:
        message["thinking"] = step["thinking"]
    calls = step.get("calls") or ([(step["call"], step["index"])] if "call" in step else [])
    if calls:
        message["tool_calls"] = [_call(call, index) for call, index in calls]
    return {"model": name, "created_at": AT, "message": message, "done": False}


def _generate_line(name: str, step: dict[str, Any]) -> dict[str, Any]:
    said = {"response": step.get("content", "")}
    if "thinking" in step:
        said["thinking"] = step["thinking"]
    return {"model": name, "created_at": AT, **said, "done": False}


def _together(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"content": "".join(step.get("content", "") for step in steps)}
    thinking = "".join(step.get("thinking", "") for step in steps)
    if thinking:
        found["thinking"] = thinking
    found["calls"] = [(step["call"], step["index"]) for step in steps if "call" in step]
    return found


def _openai_call(step: dict[str, Any]) -> dict[str, Any]:
    call = step["call"]
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {"id": call["id"], "index": step["index"], "type": "function", "function": function}


def _reason(said: Said) -> str:
    return "tool_calls" if said.calls else said.reason


_USAGE = {"prompt_tokens": 262, "completion_tokens": 473, "total_tokens": 735}


def _completion(asked: Asked, said: Said, steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    whole = _together(steps)
    message: dict[str, Any] = {"role": "assistant", "content": whole["content"]}
    if "thinking" in whole:
        message["reasoning"] = whole["thinking"]
    if whole["calls"]:
        message["tool_calls"] = [_openai_call(step) for step in steps if "call" in step]
    return {
        "id": "chatcmpl-418",
        "object": "chat.completion",
        "created": 1785873551,
        "model": asked.body["model"],
        "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": message, "finish_reason": _reason(said)}],
        "usage": _USAGE,
    }


def _chunks(asked: Asked, said: Said, steps: Sequence[dict[str, Any]]) -> Reply:
    base = {
        "id": "chatcmpl-418",
        "object": "chat.completion.chunk",
        "created": 1785873551,
        "model": asked.body["model"],
        "system_fingerprint": "fp_ollama",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _record({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    pieces: list[bytes] = []
    for step in steps:
        delta: dict[str, Any] = {"content": step.get("content", "")}
        if not pieces:
            delta = {"role": "assistant", **delta}
        if "thinking" in step:
            delta["reasoning"] = step["thinking"]
        if "call" in step:
            delta["tool_calls"] = [_openai_call(step)]
        pieces.append(chunk(delta))
    if said.error is not None:
        pieces.append(
            _record({"error": {"message": said.error, "type": "api_error", "param": None, "code": None}})
        )
    elif said.ending == "complete":
        pieces.append(chunk({"content": ""}, _reason(said)))
        if (asked.body.get("stream_options") or {}).get("include_usage"):
            pieces.append(_record({**base, "choices": [], "usage": _USAGE}))
        pieces.append(b"data: [DONE]\n\n")
    return Reply(pieces, 200, b"text/event-stream", {}, said.pause, said.before, said.ending)


def _line(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
    return text.encode() + b"\n"


def _record(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _json(value: dict[str, Any], said: Said | None = None) -> Reply:
    more = {} if said is None else {"before": said.before, "ending": said.ending}
    return Reply([_line(value).rstrip()], content_type=JSON, **more)


def _page(status: int) -> Reply:
    return Reply([b"404 page not found"], status, b"text/plain")


def _refused(asked: Asked, status: int, message: str) -> Reply:
    if asked.path.startswith("/v1/"):
        kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
        body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    else:
        body = {"error": message}
    return Reply([json.dumps(body).encode()], status, JSON)
