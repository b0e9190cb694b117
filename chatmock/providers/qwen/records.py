"""The records of Qwen's stream in typed shapes (spec upstreams.md, A1.4).

A delta of text, which is nearly every record, costs one typed read. What only some frames carry is left as plain values
and looked at by its reader.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatmock import jsontext
from chatmock.events import Usage
from chatmock.jsontext import JSONError, Raw, Struct

NO_USAGE: Final = Raw(b"null")
_PROMPT_COUNT: Final = re.compile(rb'"input_tokens"\s*:\s*[0-9]')
_COMPLETION_COUNT: Final = re.compile(rb'"output_tokens"\s*:\s*[0-9]')


class Delta(Struct):
    """What a frame adds. Its phase tells what it is about and whether it adds or repeats."""

    role: str | None = None
    phase: str | None = None
    status: str | None = None
    content: Any = None
    """Text, in the phases that chatmock reads."""
    extra: Any = None


class Choice(Struct):
    """The one choice of a frame."""

    delta: Delta | None = None


class Record(
    Struct, rename={"created": "response.created", "info": "response.info", "stopped": "response.stopped"}
):
    """One record of the stream; which of its fields are there tells its kind."""

    response_id: Any = None
    created: Any = None
    info: Any = None
    """A keep-alive."""
    stopped: Any = None
    done: Any = None
    """True where the site has ended the answer early."""
    choices: list[Choice] | None = None
    usage: Raw = NO_USAGE
    """Left as it came: each frame brings all the counts, and only the last ones are asked for."""
    timestamp: Any = None
    """Unix time in seconds."""
    error: Any = None
    success: Any = None
    ret: Any = None

    @property
    def failed(self) -> bool:
        """Whether it tells an error, in any of the shapes that errors have."""
        return bool(self.error) or self.success is False or self.ret is not None

    @property
    def ended_early(self) -> bool:
        """Whether it says that the answer goes on no more, though it is not finished."""
        return self.stopped is not None or self.done is True

    @property
    def answers_id(self) -> str:
        """The answer's id, wherever in the record it stands; empty where it does not."""
        for place in (self.created, self.info, self.stopped):
            if isinstance(place, Mapping) and isinstance(id := place.get("response_id"), str) and id:
                return id
        return self.response_id if isinstance(self.response_id, str) else ""


_read: Final = jsontext.reader(Record)


def read_record(data: bytes) -> Record | None:
    """One record; None where it holds nothing that is read. Bytes that are not UTF-8 are replaced.

    :raises JSONError: when it is not JSON, or of another shape.
    """
    try:
        return _read(data)
    except JSONError:
        if not data.strip() or data.startswith(b"[DONE]"):
            return None
        return _read(_as_utf8(data))


def read_object(data: bytes) -> dict[str, Any]:
    """A record as plain values.

    :raises JSONError: when it is no JSON object.
    """
    return jsontext.loads_object(_as_utf8(data))


def has_counts(usage: Raw) -> bool:
    """Whether a frame's usage tells the two counts that matter; ``{}`` is no news. It is not decoded for that."""
    return _PROMPT_COUNT.search(usage) is not None and _COMPLETION_COUNT.search(usage) is not None


def read_usage(usage: bytes) -> Usage | None:
    """The counts of a frame, which are of all the answer so far, output with the thinking; None without the two that matter."""
    try:
        told = jsontext.loads(usage)
    except JSONError:  # what is not decoded at once is not checked for UTF-8 either
        return None
    prompt, completion = _count(told, "input_tokens"), _count(told, "output_tokens")
    if prompt is None or completion is None:
        return None
    return Usage(
        prompt,
        completion,
        cached_tokens=_count(told.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(told.get("output_tokens_details"), "reasoning_tokens"),
    )


def summary_entries(extra: Any) -> list[tuple[str, str]]:
    """Titles and thoughts of a summary's snapshot, all there are so far; what is missing of a pair is empty."""
    titles, thoughts = _texts(extra, "summary_title"), _texts(extra, "summary_thought")
    return list(itertools.zip_longest(titles, thoughts, fillvalue=""))


def web_pages(extra: Any) -> Iterator[tuple[str, str]]:
    """Address and title of each web page that a frame tells of: ``web_search_info``, ``tool_result.docs``."""
    if not isinstance(extra, Mapping):
        return
    result = extra.get("tool_result")
    docs = result.get("docs") if isinstance(result, Mapping) else result
    for pages in (extra.get("web_search_info"), docs):
        for page in pages if isinstance(pages, list) else ():
            url = page.get("url") if isinstance(page, Mapping) else None
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                title = page.get("title")
                yield url, title if isinstance(title, str) else ""


def _texts(extra: Any, key: str) -> list[str]:
    holder = extra.get(key) if isinstance(extra, Mapping) else None
    content = holder.get("content") if isinstance(holder, Mapping) else None
    if isinstance(content, str):
        content = [content]
    return [text if isinstance(text, str) else "" for text in content] if isinstance(content, list) else []


def _count(counts: Any, key: str) -> int | None:
    value = counts.get(key) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _as_utf8(data: bytes) -> bytes:
    return data if data.isascii() else data.decode("utf-8", "replace").encode()
