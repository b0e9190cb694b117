"""A fake of chat.qwen.ai over real HTTP, with the object store behind it, which refuses what the real ones refuse.

It keeps chats as the real one does (spec upstreams.md, A1): one message a request, the rest chosen by ``parent_id``; a chat
is locked while it answers, and stays so when the client leaves without ``/stop``. What the real one forgives without a
word although the answer suffers (a wrong ``parent_id`` loses the conversation) is noted in `faults`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import attrs

from tests.upstreams import qwen_errors as errors
from tests.upstreams.playing_site import Asked, PlayingSite, Reply
from tests.upstreams.qwen_chats import Chat, Chats, Turn
from tests.upstreams.qwen_rules import check_completion, check_grant, check_new_chat
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_store import BUCKET, ObjectStore

TOKEN = "qwen-token"
BODY_LIMIT = 128 * 1024
_PREFIX = "/api/v2/"


def model(id: str, **more: Any) -> dict[str, Any]:
    """An entry of the list of models; *more* goes into its ``meta``."""
    meta = {
        "capabilities": {"vision": True, "document": True, "thinking": True, "search": True},
        "abilities": {"vision": 1, "thinking": 4},
        "max_context_length": 1_000_000,
        "max_generation_length": 65_536,
        "max_thinking_generation_length": 81_920,
        "chat_type": ["t2t", "search"],
        "modality": ["text", "image"],
        **more,
    }
    info = {"is_active": True, "is_visitor_active": True, "meta": meta}
    return {"id": id, "name": id.title(), "object": "model", "owned_by": "qwen", "info": info}


MODELS: Sequence[dict[str, Any]] = (
    model("qwen3.7-plus"),
    model(
        "qwen3.7-max",
        capabilities={"vision": False, "thinking": True, "search": True},
        modality=["text"],
        chat_type=["t2t"],
    ),
    model("qwen3-max-preview", capabilities={"vision": True, "thinking": False}, max_context_length=262_144),
)


@attrs.frozen
class Stopped:
    """A call of ``/stop``."""

    chat_id: str
    response_id: str | None


class QwenServer(PlayingSite):
    """The fake.

    :param now: Unix time in seconds, for the store.
    """

    def __init__(self, reactor: Any, token: str = TOKEN, now: Callable[[], float] = time.time) -> None:
        super().__init__(reactor)
        self.tokens = {token}
        """Those it takes."""
        self.ended: set[str] = set()
        """Tokens that have expired."""
        self.models: Sequence[dict[str, Any]] = MODELS
        self.chats = Chats()
        self.store = ObjectStore(now)
        self.busy_status = 200
        """The status of "The chat is in progress!": 200 and 400 have been seen."""
        self.answer: Callable[[Turn], Script | Reply] = lambda turn: Script().answer("Hello").finish()
        """What to answer to a message. A `Reply` does not lock the chat."""
        self.planned: dict[str, list[Reply]] = defaultdict(list)
        """What an endpoint answers next instead of doing anything; see `plan`."""
        self.stops: list[Stopped] = []
        self.faults: list[str] = []
        """What the real one would have let pass, to the harm of the conversation or of the account."""
        self._ids: set[str] = set()

    # --- what tests tell and ask

    def say(self, *deltas: str) -> None:
        """Answer every message alike."""
        self.answer = lambda turn: Script().answer(*deltas).finish()

    def play(self, *scripts: Script | Reply) -> None:
        """Answer with the one after the other; the last is used again and again."""
        rest = list(scripts)
        self.answer = lambda turn: rest.pop(0) if len(rest) > 1 else rest[0]

    def plan(self, endpoint: str, *replies: Reply) -> None:
        """Let *endpoint*, by its path without ``/api/v2/``, or ``store``, answer these next."""
        self.planned[endpoint] += replies

    def calls(self, endpoint: str) -> list[Asked]:
        """The requests to *endpoint* so far, refused ones too."""
        return [asked for asked in self.asked if endpoint_of(asked) == endpoint]

    @property
    def endpoints(self) -> list[str]:
        """The endpoints of the requests so far, refused ones too."""
        return [endpoint_of(asked) for asked in self.asked]

    @property
    def locked(self) -> list[str]:
        """The ids of chats that take no message now."""
        return self.chats.locked

    def delete(self, chat_id: str) -> None:
        """The owner deletes a chat."""
        chat = self.chats.get(chat_id)
        assert chat is not None, "there is no such chat"
        chat.deleted = True

    # --- the endpoints

    def read(self, asked: Asked) -> Any:
        """The JSON of what is posted as such; None for anything else."""
        is_json = asked.headers.get("content-type", "").startswith("application/json")
        return super().read(asked) if is_json and asked.method == "POST" else None

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*."""
        endpoint = endpoint_of(asked)
        planned = self.planned[endpoint]
        if planned:
            return planned.pop(0)
        if endpoint == "store":
            return self._store(asked)
        if len(asked.content) > BODY_LIMIT:
            return errors.captcha()
        refused = self._unauthorized(asked)
        if refused is not None:
            return refused
        if endpoint == "chat/completions":
            return self._complete(asked)
        try:
            return self._simple(asked)
        except AssertionError as fault:
            return _bad(fault)

    def _unauthorized(self, asked: Asked) -> Reply | None:
        scheme, _, bearer = asked.headers.get("authorization", "").partition(" ")
        cookies = [cookie.strip().partition("=") for cookie in asked.headers.get("cookie", "").split(";")]
        told = {bearer} if scheme == "Bearer" else set()
        told |= {value for name, _, value in cookies if name == "token"}
        if told & self.ended:
            return errors.token_expired()
        return None if told and told <= self.tokens else errors.unauthorized()

    def _simple(self, asked: Asked) -> Reply:
        """Everything but an answer."""
        body = asked.body if isinstance(asked.body, dict) else {}
        match asked.method, endpoint_of(asked).split("/"):
            case "GET", ["models", ""]:
                return errors.success({"data": list(self.models)})
            case "GET", ["", "api", "models"]:
                return errors.as_json({"data": list(self.models)})
            case "GET", ["", "api", "v1", "auths", ""]:
                return errors.as_json({"id": "user-1", "email": "owner@example.com", "role": "user"})
            case "POST", ["chats", "new"]:
                return self._new_chat(body)
            case "GET", ["chats", ""]:
                listed = [{"id": chat.id} for chat in self.chats if not chat.deleted]
                return errors.success(listed)
            case "GET" | "DELETE", ["chats", chat_id]:
                return self._one_chat(asked.method, chat_id)
            case "POST", ["chat", "completions", "stop"]:
                return self._stop(body)
            case "POST", ["files", "getstsToken"]:
                check_grant(body)
                return errors.success(self.store.grant(self.url, body["filename"], body["filesize"]))
        return errors.failure("Not_Found", "Not Found", 404)

    def _new_chat(self, body: Mapping[str, Any]) -> Reply:
        check_new_chat(body)
        if not self._knows(body["models"][0]):
            return errors.failure("Not_Found", "Model not found")
        return errors.success({"id": self.chats.open(body["models"][0]).id})

    def _one_chat(self, method: str, chat_id: str) -> Reply:
        chat = self.chats.get(chat_id)
        if chat is None:
            return errors.chat_not_exist(chat_id)
        if method == "DELETE":
            chat.deleted = True
            return errors.success({"status": True})
        return errors.success({"id": chat.id, "models": [chat.model], "chat": {"history": chat.history()}})

    def _stop(self, body: Mapping[str, Any]) -> Reply:
        response_id = body.get("response_id") or None
        self.stops.append(Stopped(str(body.get("chat_id")), response_id))
        chat = self.chats.get(body.get("chat_id"))
        if chat is None:
            return errors.chat_not_exist(str(body.get("chat_id")))
        running = chat.answering
        if running is not None and response_id in (None, running.response_id):
            running.stop()
        elif response_id is not None and chat.turn(response_id) is None:
            self.faults.append("stop: the response_id is not of this chat")
        return errors.success({"status": True})

    def _complete(self, asked: Asked) -> Reply:
        body = asked.body if isinstance(asked.body, dict) else {}
        chat_id = dict(parse_qsl(asked.query)).get("chat_id", "")
        try:
            check_completion(body, chat_id, self._ids)
        except AssertionError as fault:
            return _bad(fault)
        chat = self.chats.get(chat_id)
        if chat is None:
            return errors.chat_not_exist(chat_id)
        if not self._knows(body["model"]):
            return errors.failure("Not_Found", "Model not found")
        if chat.answering is not None:
            return errors.in_progress(self.busy_status)
        pictures = self._pictures(body["messages"][0])
        if pictures is None:
            return errors.failure("Bad_Request", "The file is not there.")
        return self._begin(asked, chat, body, pictures)

    def _begin(self, asked: Asked, chat: Chat, body: Mapping[str, Any], pictures: tuple[bytes, ...]) -> Reply:
        message = body["messages"][0]
        turn = chat.take(message, body, self._parent(chat, body["parent_id"]))
        turn.pictures = pictures
        answer = self.answer(turn)
        if isinstance(answer, Reply):
            turn.end()
            chat.turns.remove(turn)
            return answer
        self._ids |= {message["fid"], message["childrenIds"][0]}
        turn.answer = answer.said
        turn.failed = answer.fails or not answer.said
        phased = message["feature_config"].get("output_schema") == "phase"
        pieces = answer.pieces(turn.ids, phased)
        reply = Reply(
            pieces,
            content_type=b"text/event-stream; charset=utf-8",
            headers={b"x-actual-status-code": b"200"},
            pause=answer.pause,
            before=answer.before,
            ending=answer.ending,
            course=turn,
        )
        turn.over_after = answer.over_after
        if "br" in asked.headers.get("accept-encoding", ""):
            reply.headers[b"content-encoding"] = b"br"
            reply.pieces = [b"\x8b\x07\x80brotli\x03"]
        return reply

    def _parent(self, chat: Chat, parent_id: str | None) -> Turn | None:
        """The turn to go on from; where there is none, the conversation is lost, silently."""
        parent = chat.turn(parent_id)
        if parent is None and parent_id is not None:
            self.faults.append("completions: the parent_id is not of this chat, the context is lost")
        elif parent is None and not all(turn.failed for turn in chat.turns):
            self.faults.append("completions: no parent_id in a chat with turns, the context is lost")
        return parent

    def _knows(self, model: object) -> bool:
        return any(known["id"] == model for known in self.models)

    def _pictures(self, message: Mapping[str, Any]) -> tuple[bytes, ...] | None:
        """What is behind the message's files; None where one was not uploaded."""
        prefix = self.url
        paths = [file["url"].partition("?")[0].removeprefix(prefix) for file in message.get("files", ())]
        if not all(path in self.store.objects for path in paths):
            return None
        return tuple(self.store.objects[path].content for path in paths)

    def _store(self, asked: Asked) -> Reply:
        if "cookie" in asked.headers or asked.headers.get("authorization", "").startswith("Bearer"):
            self.faults.append("store: the account's token was sent to the object store")
        if asked.method != "PUT" or not asked.path.startswith(f"/{BUCKET}/"):
            return errors.failure("Not_Found", "Not Found", 404)
        return self.store.put(asked.path, asked.query, asked.headers, asked.content)


def endpoint_of(asked: Asked) -> str:
    """The path without ``/api/v2/``; ``store`` for everything in the object store."""
    return "store" if asked.path.startswith(f"/{BUCKET}/") else asked.path.removeprefix(_PREFIX)


def _bad(fault: AssertionError) -> Reply:
    return errors.failure("Bad_Request", str(fault).partition("\n")[0])
