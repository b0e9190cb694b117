"""The scene of each program: an upstream that greets, calls a tool when told to, and repeats what the tool has said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from tests.chunks import DONE, chunk, completion, text_stream, usage
from tests.upstreams.playing_site import Asked, Reply

PROGRAMS = Path(os.environ.get("CHATMOCK_CLIENTS", Path(__file__).parents[2] / ".clients")).absolute()
"""Where ``tests/clients/install`` has put them."""
GREETING = "Good morning from the upstream."
ORDER = "Now use the tool."
"""What the user says so that the upstream calls the tool."""
REPEATS = "The tool said:"
SECONDS = 90


def program(*parts: str) -> str:
    """The path of an installed program; the test is skipped where it is not."""
    path = PROGRAMS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{parts[-1]} is not installed: run tests/clients/install")
    return str(path)


def upstream_calling(tool: str, arguments: Mapping[str, Any]) -> Callable[[Asked], Reply]:
    """Answers of an OpenAI-compatible server whose model calls *tool* once when it is told to."""

    def answer(asked: Asked) -> Reply:
        # Agents put further instructions behind what the user says.
        last = [each for each in asked.body["messages"] if each["role"] not in ("system", "developer")][-1]
        if last["role"] == "tool":
            return _say(asked, f"{REPEATS} {_text(last['content'])}")
        offered = [each["function"]["name"] for each in asked.body.get("tools", ())]
        if tool in offered and ORDER in _text(last.get("content")):
            return _call(asked, tool, json.dumps(arguments))
        return _say(asked, GREETING)

    return answer


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _say(asked: Asked, text: str) -> Reply:
    if asked.body.get("stream"):
        return Reply(text_stream(*_pieces(text)))
    whole = json.dumps(completion({"content": text})).encode()
    return Reply([whole], content_type=b"application/json")


def _pieces(text: str) -> list[str]:
    return [text[:7], text[7:]]


def _call(asked: Asked, tool: str, arguments: str) -> Reply:
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}
    if not asked.body.get("stream"):
        message = {"content": None, "tool_calls": [call]}
        return Reply(
            [json.dumps(completion(message, "tool_calls")).encode()], content_type=b"application/json"
        )
    opening = {
        "role": "assistant",
        "tool_calls": [{"index": 0, **call, "function": {"name": tool, "arguments": ""}}],
    }
    goes_on = [
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        for piece in _pieces(arguments)
    ]
    return Reply([chunk(opening), *goes_on, chunk(finish="tool_calls"), usage(), DONE])


async def run(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with only *env* and what every program needs around it.

    :raises subprocess.TimeoutExpired: when it does not end.
    """
    around = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8", **env}

    def in_thread() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(argv),
            cwd=folder,
            env=around,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    done: subprocess.CompletedProcess[str] = await deferToThread(in_thread)
    return done
