"""The input of a client that speaks the backend's own dialect, as the backend takes it (spec chatgpt.md, 2.4, 2.12).

Items go as they are, those included that nobody here knows, but for what the backend refuses:

* a text is a message of the user; what a message says is a list of parts, of the kind that its role has;
* system messages are the developer's;
* nothing is stored, so items come without the ids under which the backend would look for them, and without the state
  (``status``) that answers have; a reference to an item has nothing to refer to, and thinking without its
  ``encrypted_content`` has nothing in it;
* names of tools are shortened where they are too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatmock import jsontext
from chatmock.errors import bad_request
from chatmock.providers.chatgpt.contract import TITLE
from chatmock.providers.chatgpt.tool_names import renamed
from chatmock.providers.data_urls import cleaned
from chatmock.providers.responses_items import CALL_KINDS
from chatmock.providers.responses_unkept import is_bare_thinking, refuse_reference

Item = dict[str, Any]

_RESULT_KINDS: Final = ("function_call_output", "custom_tool_call_output")
_STATELESS: Final = frozenset(["message", "reasoning", *CALL_KINDS, *_RESULT_KINDS])
"""Items of which neither id nor status says anything to the model."""
_NAMELESS: Final = _STATELESS | {
    "web_search_call",
    "local_shell_call",
    "local_shell_call_output",
    "tool_search_call",
    "tool_search_output",
}
"""Items whose id nothing else refers to: results and the like go by ``call_id``."""
_TEXTS: Final = ("input_text", "output_text", "text", "refusal")


def passed_input(value: object, names: Mapping[str, str], reads_images: bool) -> list[Item]:
    """The input for a client's *value*: never empty, since the backend wants something to answer.

    :param names: long names of tools, to those that go upstream.
    :param reads_images: whether the model does.
    :raises Refusal: bad request that names the item, for what is no input, for a reference to an item, and for a picture
        that the model cannot read.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise bad_request("'input' must be a text or a list of items.", param="input")
    reader = _Reader(names, reads_images)
    items = [reader.item(item, f"input[{position}]") for position, item in enumerate(value)]
    blank = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": " "}]}
    return [item for item in items if item is not None] or [blank]


def begins_with_rules(value: object) -> bool:
    """Whether a client's input begins with a system or developer message, so that it brings rules of its own."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, Mapping) and first.get("role") in ("system", "developer")


class _Reader:
    __slots__ = ("_names", "_reads_images")

    def __init__(self, names: Mapping[str, str], reads_images: bool) -> None:
        self._names = names
        self._reads_images = reads_images

    def item(self, item: object, where: str) -> Item | None:
        """*item*, which stands at *where*, as it goes upstream; None where there is nothing in it."""
        if not isinstance(item, Mapping):
            raise bad_request(f"{where!r} is no object.", param=where)
        kind = item.get("type") or ("message" if "role" in item else None)
        kind = kind if isinstance(kind, str) else None
        refuse_reference(item, where, TITLE)
        made = {key: each for key, each in item.items() if key not in _left_out(kind)}
        if kind == "message":
            return self._message(made, where)
        if kind == "reasoning":
            return _reasoning(made)
        if kind in CALL_KINDS:
            made = renamed(made, self._names)
        if kind == "function_call":
            made["arguments"] = made.get("arguments") or "{}"
        elif kind in _RESULT_KINDS:
            made["output"] = self._output(made.get("output"), where)
        return made

    def _message(self, message: Item, where: str) -> Item | None:
        role = message.get("role")
        role = "developer" if role == "system" else role
        content = self._parts(message.get("content"), role, f"{where}.content")
        return {**message, "type": "message", "role": role, "content": content} if content else None

    def _output(self, output: object, where: str) -> object:
        if isinstance(output, Mapping):
            return jsontext.dumps(output).decode()
        if isinstance(output, list):
            return self._parts(output, "user", f"{where}.output") or ""
        return output or ""

    def _parts(self, content: object, role: object, where: str) -> list[Item]:
        parts: Sequence[object] = content if isinstance(content, list) else ()
        if isinstance(content, str):
            parts = [{"type": "text", "text": content}]
        made = (self._part(part, role, f"{where}[{position}]") for position, part in enumerate(parts))
        return [part for part in made if part is not None]

    def _part(self, part: object, role: object, where: str) -> Item | None:
        if not isinstance(part, Mapping):
            raise bad_request(f"{where!r} is no object.", param=where)
        kind = part.get("type")
        if kind in _TEXTS:
            text = part.get("refusal") if kind == "refusal" else part.get("text")
            return (
                {"type": "output_text" if role == "assistant" else "input_text", "text": text}
                if text
                else None
            )
        made = {key: value for key, value in part.items() if key != "prompt_cache_breakpoint"}
        if kind == "input_image":
            if not self._reads_images:
                raise bad_request(
                    f"{where!r} is a picture, and the model reads no pictures. Leave it out or pick another model.",
                    param=where,
                )
            if isinstance(url := made.get("image_url"), str):
                made["image_url"] = cleaned(url)
        return made


def _left_out(kind: str | None) -> tuple[str, ...]:
    if kind in _STATELESS:
        return ("id", "status")
    return ("id",) if kind in _NAMELESS else ()


def _reasoning(item: Item) -> Item | None:
    if is_bare_thinking(item):
        return None
    kept = {key: value for key, value in item.items() if value is not None}
    return {**kept, "summary": item.get("summary") or []}
