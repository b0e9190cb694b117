"""Builds the stream of one answer of chat.qwen.ai, record by record (spec upstreams.md, A1.4)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs


@attrs.frozen
class Ids:
    """What the records of one answer name."""

    chat: str
    parent: str | None
    response: str


class Script:
    """The records of one answer, and how they are played. Every method returns the script.

    :param created: whether ``response.created`` comes first, as it does.
    """

    def __init__(self, created: bool = True) -> None:
        self._created = created
        self._records: list[dict[str, Any] | bytes] = []
        self._input, self._output, self._reasoning, self._cached = 20, 0, 0, 5
        self._ends_at: int | None = None
        self.said = ""
        """The text of the answer."""
        self.fails = False
        """Whether the answer tells that it has failed."""
        self.pause = 0.0
        """Seconds between records."""
        self.before = 0.0
        """Seconds before the status."""
        self.ending = "complete"
        """``complete``, ``cut`` (the connection is aborted) or ``hang`` (nothing more comes)."""

    # --- what is said

    def think(self, *deltas: str) -> Script:
        """Thinking, told in deltas; then its end, which is not that of the answer."""
        for delta in deltas:
            self._reasoning += 1
            self.delta("think", delta)
        return self.delta("think", "", status="finished", usage=False)

    def summary(self, *steps: tuple[str, str], repeats: int = 1) -> Script:
        """Thinking summed up in steps of title and thought: snapshots that grow word by word, each told 1 + *repeats* times."""
        titles: list[str] = []
        thoughts: list[str] = []
        for title, thought in steps:
            titles.append(title)
            thoughts.append("")
            for word in thought.split(" "):
                thoughts[-1] = f"{thoughts[-1]} {word}".lstrip()
                self._reasoning += 1
                for _ in range(1 + repeats):
                    self.delta("thinking_summary", "", extra=_snapshot(titles, thoughts))
        return self.delta(
            "thinking_summary", "", status="finished", extra=_snapshot(titles, thoughts), usage=False
        )

    def answer(self, *deltas: str) -> Script:
        """Text of the answer."""
        for delta in deltas:
            self.said += delta
            self.delta("answer", delta)
        return self

    def web_search(self, query: str, *pages: tuple[str, str]) -> Script:
        """A search by the site itself: the call with growing arguments, then the pages (title, URL) it found."""
        arguments = json.dumps({"queries": [query]})
        self._input += 100  # each round of a tool reads everything again
        for end in (len(arguments) // 2, len(arguments)):
            call = {"name": "web_search", "arguments": arguments[:end]}
            self.delta("web_search", "", function_call=call, function_id="round_0_1")
        found = [
            {
                "title": title,
                "url": url,
                "snippet": f"About {title}.",
                "hostname": url.split("/")[2],
                "date": "",
            }
            for title, url in pages
        ]
        return self.delta(
            "web_search",
            "",
            role="function",
            name="web_search",
            status="finished",
            function_id="round_0_1",
            extra={
                "tool_result": {"docs": found, "used_id": list(range(len(found)))},
                "web_search_info": found,
            },
            usage=False,
        )

    def delta(self, phase: str, content: str, *, usage: bool = True, **fields: Any) -> Script:
        """A frame of any *phase*; *fields* go into its delta, besides ``role`` and ``status: typing``."""
        delta = {"role": "assistant", "content": content, "phase": phase, "status": "typing", **fields}
        record: dict[str, Any] = {"choices": [{"delta": delta}]}
        if usage:
            self._output += 1
            record |= {"usage": self._usage(), "timestamp": 1_790_356_348}
        return self.record(record)

    def tokens(self, input: int, cached: int = 0) -> Script:
        """From here on the frames tell so many input tokens."""
        self._input, self._cached = input, cached
        return self

    def keep_alive(self) -> Script:
        """A sign of life."""
        return self.record({"response.info": {"action": "keep_alive", "timestamp": 1_790_356_350}})

    def skip_think(self) -> Script:
        """The thinking may be skipped, says the site to its page."""
        return self.record({"response.info": {"action": "skip_think", "timestamp": 1_790_356_350}})

    def record(self, value: Mapping[str, Any] | bytes) -> Script:
        """Any record; bytes go out as they are."""
        self._records.append(value if isinstance(value, bytes) else dict(value))
        return self

    # --- how it ends

    def finish(self, empties: int = 3) -> Script:
        """A few empty frames, one of them with an empty usage, and the end of the answer, which has none."""
        for _ in range(empties):
            self.delta("answer", "")
        self.record({"choices": [{"delta": _answer("", "typing")}], "usage": {}})
        return self.record({"choices": [{"delta": _answer("", "finished")}]})._over()

    def error(self, code: str, details: str) -> Script:
        """A failure, as an object."""
        return self.record({"error": {"code": code, "details": details}})._fail()

    def error_text(self, text: str) -> Script:
        """A failure, as a text."""
        return self.record({"error": text})._fail()

    def error_delta(self, code: str, details: str) -> Script:
        """A failure, told in a frame."""
        fault = {"error": {"code": code, "details": details}}
        return self.delta("answer", "", status="error", extra=fault, usage=False)._fail()

    def stopped(self) -> Script:
        """An early end."""
        return self.record({"response.stopped": {}})._over()

    def done(self) -> Script:
        """Another early end."""
        return self.record({"done": True})._over()

    def _fail(self) -> Script:
        self.fails = True
        return self._over()

    def _over(self) -> Script:
        """From here on the chat takes the next message."""
        self._ends_at = len(self._records)
        return self

    # --- how it is played

    def paced(self, pause: float) -> Script:
        """Let *pause* seconds pass between records."""
        self.pause = pause
        return self

    def delayed(self, before: float) -> Script:
        """Let *before* seconds pass first."""
        self.before = before
        return self

    def cut(self) -> Script:
        """Abort the connection after the last record."""
        self.ending = "cut"
        return self

    def hang(self) -> Script:
        """Say nothing more after the last record."""
        self.ending = "hang"
        return self

    @property
    def over_after(self) -> int | None:
        """After how many pieces the chat is free again; None when no record ends the answer."""
        return None if self._ends_at is None else self._ends_at + self._created

    def pieces(self, ids: Ids, phased: bool = True) -> list[bytes]:
        """The stream, record by record, for an answer with these *ids*.

        :param phased: whether its frames tell their phase, which has to be asked for.
        """
        pieces = [_created(ids)] if self._created else []
        return pieces + [_filled(record, ids, phased) for record in self._records]

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self._input,
            "output_tokens": self._output,
            "characters": 0,
            "total_tokens": self._input + self._output,
            "input_tokens_details": {"text_tokens": self._input},
            "output_tokens_details": {
                "reasoning_tokens": self._reasoning,
                "text_tokens": self._output - self._reasoning,
            },
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


def _answer(content: str, status: str) -> dict[str, Any]:
    return {"content": content, "role": "assistant", "status": status, "phase": "answer"}


def _snapshot(titles: Iterable[str], thoughts: Iterable[str]) -> dict[str, Any]:
    return {"summary_title": {"content": list(titles)}, "summary_thought": {"content": list(thoughts)}}


def _created(ids: Ids) -> bytes:
    named = {
        "chat_id": ids.chat,
        "parent_id": ids.parent or "",
        "response_id": ids.response,
        "response_index": "0",
    }
    return _sse({"response.created": named}, b" ")  # the real one has a blank there, too


def _filled(record: dict[str, Any] | bytes, ids: Ids, phased: bool) -> bytes:
    if isinstance(record, bytes):
        return record
    if "choices" in record:
        record = {**record, "response_id": ids.response}
        if not phased:
            delta = {k: v for k, v in record["choices"][0]["delta"].items() if k != "phase"}
            record["choices"] = [{"delta": delta}]
    for name in ("response.info", "response.stopped"):
        if name in record:
            named = {"chat_id": ids.chat, "response_id": ids.response}
            record = {name: {**record[name], **named}}
    return _sse(record)


def _sse(record: Mapping[str, Any], blank: bytes = b"") -> bytes:
    return b"data: " + json.dumps(record, ensure_ascii=False).encode() + blank + b"\n\n"
