"""Everything about Qwen's web chat that may change without notice, in one table (spec upstreams.md, A1).

It is a private API: when it moves, this file moves. Codes and phrases of errors are compared in lower case, codes
without their separators too: the site writes ``RateLimited``, ``Too_Many_Requests`` and ``unauthorized``.
"""

from __future__ import annotations

import re
from typing import Final

TITLE: Final = "Qwen"
SITE: Final = "https://chat.qwen.ai"
"""Where the owner goes with a browser, whatever address chatmock is told to ask."""

# --- addresses (A1.1) -------------------------------------------------------------------------------------------

NEW_CHAT_PATH: Final = "/api/v2/chats/new"
CHAT_PATH: Final = "/api/v2/chats/{chat_id}"
COMPLETIONS_PATH: Final = "/api/v2/chat/completions"
STOP_PATH: Final = "/api/v2/chat/completions/stop"
MODELS_PATH: Final = "/api/v2/models/"
STS_TOKEN_PATH: Final = "/api/v2/files/getstsToken"  # noqa: S105  # a path

# --- headers (A1.2) ---------------------------------------------------------------------------------------------

SOURCE: Final = "web"
"""The value of ``source``."""
VERSION: Final = "0.3.11"
"""The value of ``Version``: the page's own version; 0.2.63 to 0.3.12 have been seen."""

# --- the request (A1.1, A1.3) -----------------------------------------------------------------------------------

CHAT_TYPE: Final = "t2t"
NEW_CHAT: Final = {
    "title": "New Chat",
    "chatId": "",
    "project_id": "",
    "chat_type": CHAT_TYPE,
    "chat_mode": "normal",
}
"""What the body that opens a chat always says; with ``models`` and ``timestamp``, in milliseconds."""
COMPLETION: Final = {"stream": True, "version": "2.1", "incremental_output": True, "chat_mode": "normal"}
"""What the body that asks always says, beside the names of the chat and the answer before, the model, the message and the
time in seconds."""
MESSAGE: Final = {
    "id": None,
    "role": "user",
    "user_action": "chat",
    "model": "",
    "chat_type": CHAT_TYPE,
    "sub_chat_type": CHAT_TYPE,
    "extra": {"meta": {"subChatType": CHAT_TYPE}},
}
"""What its one message always says."""
FEATURES: Final = {"output_schema": "phase", "research_mode": "normal"}
"""What a message's ``feature_config`` always says; with another schema the stream's frames tell no phase."""
SEARCH: Final = "auto_search"
"""The feature of searching the web."""
THINKING_OFF: Final = {"thinking_enabled": False, "auto_thinking": False, "thinking_mode": "Fast"}
THINKING_AUTO: Final = {"thinking_enabled": True, "auto_thinking": True, "thinking_mode": "Auto"}
"""The features that leave it to the site whether to think."""
THINKING_ON: Final = {"thinking_enabled": True, "auto_thinking": False, "thinking_mode": "Thinking"}
THINKING_FORMAT: Final = "thinking_format"
"""The feature of how the thinking is told."""
SUMMARY_FORMAT: Final = "summary"
"""The ``thinking_format`` that gives frames of the phase ``thinking_summary``."""
FULL_FORMAT: Final = "full"
"""The ``thinking_format`` that gives frames of the phase ``think``."""
THINKING_BUDGET: Final = "thinking_budget"
"""The feature of how long to think, in tokens."""
MOST_BODY_BYTES: Final = 128_000
"""Bytes of JSON; the gateway answers larger ones with a captcha: 117 KB passed, 129 KB did not (A1.2)."""
THINKING_BUDGETS: Final = {
    "minimal": 1_024,
    "low": 4_096,
    "medium": 16_384,
    "high": 38_912,
    "xhigh": 65_536,
    "max": 81_920,
    "ultra": 81_920,
}
"""The most tokens to think with, by effort: chatmock's choice, up to what models were seen to have."""

# --- the stream (A1.4) ------------------------------------------------------------------------------------------

ANSWER: Final = "answer"
"""The phase of the answer's text, told in deltas. Only its ``finished`` ends a stream."""
THINK: Final = "think"
"""The phase of the thinking's text, told in deltas."""
SUMMARY: Final = "thinking_summary"
"""The phase of the thinking summed up, told in snapshots of all there is so far."""
SOURCE_PHASES: Final = frozenset([ANSWER, "web_search", "web_extractor"])
"""Phases whose frames may tell web pages that the answer builds on."""
FINISHED: Final = "finished"
FAILED: Final = "error"
"""The status of a frame that tells a failure in ``extra.error``."""
FUNCTION_ROLE: Final = "function"
"""The role of frames that tell what one of the site's own tools gave."""
RECORD_LIMIT: Final = 8 * 1024 * 1024
"""Bytes; frames of search results repeat whole pages."""

# --- errors (A1.5) ----------------------------------------------------------------------------------------------

USED_UP_CODES: Final = frozenset(["ratelimited", "quotalimited"])
"""A day's usage is used up; ``num`` tells the hours until there is more."""
TOO_MANY_CODES: Final = frozenset(["toomanyrequests"])
CHAT_BUSY_CODES: Final = frozenset(["parallellimited"])
CHAT_BUSY_PHRASES: Final = ("chat is in progress",)
UNAUTHORIZED_CODES: Final = frozenset(["unauthorized"])
EXPIRED_PHRASES: Final = ("token has expired",)
FORBIDDEN_CODES: Final = frozenset(["forbidden"])
CONTEXT_LENGTH_CODES: Final = frozenset(["contextlengthexceeded"])
BAD_REQUEST_CODES: Final = frozenset(["badrequest"])
INTERNAL_CODES: Final = frozenset(["internalservererror"])
INTERNAL_PHRASES: Final = ("internal error", "internal server error")
SERVER_BUSY_CODES: Final = frozenset(["serverbusy"])
SERVER_BUSY_PHRASES: Final = ("server busy", "server is busy")
MISSING: Final = re.compile(r"\b(model|parent|chat|conversation).*?\bnot (?:exist|found)")
"""What does not exist, by the first thing that the text names: a model, or a chat with what is in it."""
CAPTCHA_MARKS: Final = (
    "fail_sys_",
    "rgv587_error",
    "aliyun_waf",
    "_____tmd_____",
    "action=captcha",
    "x5secdata",
)
"""What only the gateway in front of the site writes, in its JSON and in its pages."""
BUSY_WAIT: Final = 3.0
"""Seconds after which a chat that was stopped can be asked again: 2 to 4."""

CHAT_BUSY: Final = "chat_busy"
"""Our code of a refusal: the chat still answers something else; stop that, wait, ask again."""
CHAT_NOT_FOUND: Final = "chat_not_found"
"""Our code of a refusal: the chat was deleted, or is another account's; open a new one."""
PARENT_NOT_FOUND: Final = "chat_parent_not_found"
"""Our code of a refusal: the answer that was to be gone on from is gone; tell everything anew."""
CAPTCHA: Final = "upstream_captcha"
"""Our code of a refusal: the gateway wants to see a person. Never asked again by itself."""

# --- models (A1.1) ----------------------------------------------------------------------------------------------

ALIASES: Final = {"qwen": "qwen3.7-plus", "qwen3-max-preview": "qwen3.8-max"}
"""Names that clients were told, to the models that stand in for them now; the owner's own go before these."""
EFFORTS: Final = ("none", "low", "medium", "high")
"""The efforts that a model which thinks can be asked for; the request says them in the site's own words."""

# --- files (A1.6) -----------------------------------------------------------------------------------------------

FILE_KIND: Final = "image"
"""What a picture is called when leave to upload it is asked for, and in a message."""
FILE: Final = {
    "type": FILE_KIND,
    "collection_name": "",
    "progress": 0,
    "status": "uploaded",
    "greenNet": "success",
    "error": "",
    "showType": FILE_KIND,
    "file_class": "vision",
}
"""What a picture's entry in a message always says."""
INNER_FILE: Final[dict[str, object]] = {"data": {}, "hash": None}
"""What the ``file`` in such an entry always says."""
STORE_DOMAIN: Final = "aliyuncs.com"
"""The domain of the object stores; a picture is sent to no other."""
IMAGE_TYPES: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
}
"""The types of pictures that are uploaded, and how their files' names end."""
ENTRY_BYTES: Final = 4_096
"""The room for a picture's entry in a message, whose links are signed; measured ones take half of it."""
LINK_MARGIN: Final = 90.0
"""Seconds before the end of an uploaded file's link at which it is not used for another request: links have been
seen to last 300 s, and the model reads the picture some time after it was asked."""
