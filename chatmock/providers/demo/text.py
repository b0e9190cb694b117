"""What the demo says: text that tells a client's builder what arrived, and how it is counted in tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from chatmock import jsontext
from chatmock.providers.demo.asked import Asked, MessageBody

_MOST_QUOTED = 40
"""Words of a text that are repeated."""
_MOST_LISTED = 8
"""Pictures, tools or results that are named one by one."""
_TOKEN = re.compile(r"\s*\S+|\s+\Z")
_JSON_TEXT_OR_MARK = re.compile(r'("(?:[^"\\]|\\.)*")|([,:])')


def tokens(text: str) -> list[str]:
    """Cut *text* into the demo's tokens: a token is a word with the white space before it.

    White space at the very end is a token of its own. Joined, the tokens are the text again.
    """
    return _TOKEN.findall(text)


def json_text(value: Any) -> str:
    """Write *value* as JSON with a space after every comma and colon, so that it has words to be cut at."""
    compact = jsontext.dumps(value).decode()
    return _JSON_TEXT_OR_MARK.sub(lambda found: found[1] or f"{found[2]} ", compact)


def count_prompt(asked: Asked) -> int:
    """Count the tokens of a request: those of all text in its messages."""
    return sum(len(tokens(text)) for message in asked.body.messages for text in message.texts())


def thought(asked: Asked) -> str:
    """Give the reasoning before an answer."""
    effort = asked.body.reasoning_effort
    wished = f" The effort asked for is {effort[:20]}." if effort else ""
    return (
        f"The last user message has {len(tokens(asked.text))} words, the conversation {_messages(asked)}.{wished}"
        " I answer by rule and think nothing."
    )


def reply(asked: Asked, choice: int) -> str:
    """Say what arrived. Of several choices each says which it is."""
    choices = asked.body.n or 1
    sentences = [f"Choice {choice + 1} of {choices}."] if choices > 1 else []
    if asked.results:
        sentences.extend(_results(asked))
    else:
        sentences.append(f"You said: {_quoted(asked.text)}." if asked.text else "You said nothing.")
    sentences.append(f"I received {_messages(asked)}.")
    system = [
        text for m in asked.body.messages if m.role in ("system", "developer") for text in m.texts() if text
    ]
    if system:
        sentences.append(f"The system text is: {_quoted(' '.join(system))}.")
    sentences.extend(_parts(asked))
    if offered := [tool.name for _, tool in asked.body.usable_tools]:
        sentences.append(f"Tools offered: {_listed(offered)}.")
    return " ".join(sentences)


def words(count: int) -> str:
    """Say *count* words, numbered so that a lost one shows."""
    return " ".join([f"word{number}" for number in range(1, count + 1)])


def _messages(asked: Asked) -> str:
    roles = Counter(message.role[:20] for message in asked.body.messages)
    told = ", ".join(f"{count} {role}" for role, count in roles.items())
    return f"{len(asked.body.messages)} {'message' if len(asked.body.messages) == 1 else 'messages'} ({told})"


def _results(asked: Asked) -> Iterator[str]:
    names = {call.id: call.name for call in asked.earlier_calls()}
    for result in asked.results[:_MOST_LISTED]:
        name = names.get(result.tool_call_id or "") or result.tool_call_id or "unknown"
        yield f"The tool {name} answered: {_quoted(''.join(result.texts()))}."
    if len(asked.results) > _MOST_LISTED:
        yield f"{len(asked.results) - _MOST_LISTED} more tools answered."


def _parts(asked: Asked) -> Iterator[str]:
    messages = asked.body.messages
    pictures = [_picture(image) for message in messages for image in message.parts("image_url")]
    if pictures:
        yield f"Pictures: {len(pictures)} ({_listed(pictures)})."
    others = [kind for message in messages for kind in _unread(message)]
    if others:
        yield f"Parts I cannot read: {_listed(others)}."


def _unread(message: MessageBody) -> list[str]:
    if message.content is None or isinstance(message.content, str):
        return []
    kinds = [str(part.get("type"))[:40] for part in message.content]
    return [kind for kind in kinds if kind not in ("text", "refusal", "image_url")]


def _picture(image: Any) -> str:
    """Describe a picture: media type and size of one that came along, the address of one that did not."""
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        return "one without a URL"
    if not url.startswith("data:"):
        return f"a link to {url[:100]}"
    head, _, data = url[5:].partition(",")
    media_type, *options = head.split(";")
    in_base64 = (len(data) - data[-2:].count("=")) * 3 // 4
    size = in_base64 if "base64" in options else len(unquote_to_bytes(data))
    return f"{media_type[:60] or 'text/plain'} of {size} bytes"


def _quoted(text: str) -> str:
    cut = tokens(text)
    shown = "".join(cut[:_MOST_QUOTED]).strip()
    return f'"{shown}{"…" if len(cut) > _MOST_QUOTED else ""}"'


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
