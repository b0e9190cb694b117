"""A plain client of the fake chat.qwen.ai, which writes what a page would write (spec upstreams.md, A1.3)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.iweb import IResponse

from chatmock.providers.interface import UpstreamRequest
from chatmock.upstream import UpstreamClient, read_start
from tests.upstreams.qwen_server import TOKEN, QwenServer

MODEL = "qwen3.7-plus"
SECONDS = 1_790_356_346
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


@attrs.frozen
class Got:
    """A whole answer."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    @property
    def fault(self) -> tuple[str, str]:
        """Code and details of a refusal in the usual envelope."""
        value = self.json
        assert value["success"] is False
        return value["data"]["code"], value["data"]["details"]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of a stream."""
        assert self.content_type.startswith("text/event-stream"), self.body
        return [json.loads(part.removeprefix(b"data: ")) for part in self.body.split(b"\n\n") if part.strip()]

    @property
    def response_id(self) -> str:
        """The id of the answer."""
        id = self.records[0]["response.created"]["response_id"]
        assert isinstance(id, str)
        return id

    @property
    def text(self) -> str:
        """The text of the answer."""
        deltas = [record["choices"][0]["delta"] for record in self.records if "choices" in record]
        return "".join(delta["content"] for delta in deltas if delta.get("phase") == "answer")


class Page:
    """The client.

    :param headers: of every request.
    """

    def __init__(self, server: QwenServer, headers: Mapping[str, str] = HEADERS) -> None:
        self.server = server
        self.headers = dict(headers)
        self.upstream = UpstreamClient(reactor, 5, 5, 2)

    def open(self, method: str, path: str, body: Any = None) -> Deferred[IResponse]:
        """Send a request; fires at the head of the answer."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.upstream.send(
            "Qwen", UpstreamRequest(method, self.server.url + path, self.headers, content)
        )

    async def ask(self, method: str, path: str, body: Any = None) -> Got:
        """Send a request, read the answer."""
        response = await self.open(method, path, body)
        content = await read_start(response, reactor, 1 << 20, 5)
        kind = response.headers.getRawHeaders(b"content-type", [b""])[0].decode()
        return Got(response.code, kind, content)

    async def new_chat(self, **more: Any) -> str:
        """A new chat's id."""
        got = await self.ask("POST", "/api/v2/chats/new", new_chat(**more))
        id = got.json["data"]["id"]
        assert isinstance(id, str)
        return id

    async def say(self, chat_id: str, text: str, parent_id: str | None = None, **message: Any) -> Got:
        """Send a message, read the answer."""
        return await self.ask("POST", completions(chat_id), turn(chat_id, text, parent_id, **message))

    async def stop(self, chat_id: str, response_id: str | None) -> Got:
        """Free a chat."""
        body = {"chat_id": chat_id, "response_id": response_id}
        return await self.ask("POST", "/api/v2/chat/completions/stop", body)


def completions(chat_id: str) -> str:
    """The path of a chat's answers."""
    return f"/api/v2/chat/completions?chat_id={chat_id}"


def new_chat(**more: Any) -> dict[str, Any]:
    """The body that opens a chat."""
    fixed = {"title": "New Chat", "models": [MODEL], "chat_type": "t2t", "chat_mode": "normal"}
    return {**fixed, "timestamp": SECONDS * 1000, **more}


def turn(chat_id: str, text: str, parent_id: str | None = None, **message: Any) -> dict[str, Any]:
    """The body that sends a message; *message* changes fields of it."""
    sent = {
        "id": None,
        "fid": str(uuid.uuid4()),
        "parentId": parent_id,
        "parent_id": parent_id,
        "childrenIds": [str(uuid.uuid4())],
        "role": "user",
        "content": text,
        "user_action": "chat",
        "files": [],
        "timestamp": SECONDS,
        "models": [MODEL],
        "model": "",
        "chat_type": "t2t",
        "sub_chat_type": "t2t",
        "feature_config": {"thinking_enabled": False, "output_schema": "phase"},
        "extra": {"meta": {"subChatType": "t2t"}},
        **message,
    }
    ids = {"chatId": chat_id, "chat_id": chat_id, "parentId": parent_id, "parent_id": parent_id}
    fixed = {"stream": True, "version": "2.1", "incremental_output": True, "chat_mode": "normal"}
    return {**fixed, **ids, "model": MODEL, "messages": [sent], "timestamp": SECONDS}
