"""The items of a Responses answer: each opens, grows and closes, and tells so in the stream's records.

Which records there are, their order and their fields are those of OpenAI's own streams (spec upstreams.md, D3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chatmock import jsontext
from chatmock.dialects.responses_records import Records, TextForm
from chatmock.dialects.responses_tools import unwrapped_input
from chatmock.jsontext import JSONError

Value = dict[str, Any]
Ending = Literal["completed", "incomplete"]


class Item(ABC):
    """What all items have in common.

    :param index: the item's place in the answer's output.
    """

    def __init__(self, records: Records, index: int, id: str) -> None:
        self.records = records
        self.index = index
        self.id = id
        self.closed = False

    @abstractmethod
    def value(self, status: str) -> Value:
        """The item as JSON."""

    def added(self) -> None:
        """Tell that the item has begun."""
        self.records.add(
            "response.output_item.added", output_index=self.index, item=self.value("in_progress")
        )

    def close(self, ending: Ending) -> Value:
        """Tell that the item has ended; returns it whole."""
        self.closed = True
        whole = self.value(ending)
        self.records.add("response.output_item.done", output_index=self.index, item=whole)
        return whole

    def place(self, **more: int) -> Value:
        """Where in the answer something of the item stands."""
        return {"item_id": self.id, "output_index": self.index, **more}


class Message(Item):
    """What the model says: parts of text and of refusal, of which the last is open.

    :param start: how many characters the answer's text had before.
    """

    def __init__(self, records: Records, index: int, id: str, start: int) -> None:
        super().__init__(records, index, id)
        self._parts: list[Value] = []
        self._pieces: list[str] = []
        self._kind = ""
        self._form: TextForm | None = None
        self._start = start
        """Where in the answer's text the open part begins."""
        self.end = start
        """Where in the answer's text the parts that are closed end."""

    def value(self, status: str) -> Value:
        """The item as JSON."""
        content = list(self._parts)
        return {"id": self.id, "type": "message", "status": status, "content": content, "role": "assistant"}

    def text(self, text: str, logprobs: Sequence[Mapping[str, Any]] | None) -> None:
        """The model says more."""
        form = self._form
        if form is None or self._kind != "output_text":
            form = self._begin("output_text")
        self._pieces.append(text)
        if logprobs is None:
            self.records.add_text(form, text)
            return
        told = [_logprob(each) for each in logprobs]
        self._parts[-1]["logprobs"] += told
        where = self.place(content_index=len(self._parts) - 1)
        self.records.add("response.output_text.delta", **where, delta=text, logprobs=told)

    def refusal(self, text: str) -> None:
        """The model declines."""
        form = self._form
        if form is None or self._kind != "refusal":
            form = self._begin("refusal")
        self._pieces.append(text)
        self.records.add_text(form, text)

    def cite(self, annotation: Mapping[str, Any]) -> None:
        """Something of the text has a source."""
        if self._kind != "output_text":
            self._begin("output_text")
        part = self._parts[-1]
        told = _annotation(annotation, self._start)
        where = self.place(content_index=len(self._parts) - 1)
        number = len(part["annotations"])
        part["annotations"].append(told)
        self.records.add(
            "response.output_text.annotation.added", **where, annotation_index=number, annotation=told
        )

    def close(self, ending: Ending) -> Value:
        """Tell that the item has ended."""
        self._end_part()
        return super().close(ending)

    def _begin(self, kind: Literal["output_text", "refusal"]) -> TextForm:
        self._end_part()
        self._start = self.end
        self._kind = kind
        where = self.place(content_index=len(self._parts))
        part: Value = {"type": kind}
        part |= {"refusal": ""} if kind == "refusal" else {"annotations": [], "logprobs": [], "text": ""}
        self._parts.append(part)
        self.records.add("response.content_part.added", **where, part=part)
        after: Value = {"logprobs": []} if kind == "output_text" else {}
        self._form = TextForm(f"response.{kind}.delta", where, after)
        return self._form

    def _end_part(self) -> None:
        if self._form is None:
            return
        self._form = None
        whole, self._pieces = "".join(self._pieces), []
        self.end += len(whole) if self._kind == "output_text" else 0
        part, where = self._parts[-1], self.place(content_index=len(self._parts) - 1)
        field = "refusal" if self._kind == "refusal" else "text"
        part[field] = whole
        more = {"logprobs": part["logprobs"]} if field == "text" else {}
        self.records.add(f"response.{self._kind}.done", **where, **{field: whole}, **more)
        self.records.add("response.content_part.done", **where, part=part)
        self._kind = ""


class Thinking(Item):
    """What the model thinks: parts of summary and of the thinking itself, of which the last is open."""

    def __init__(self, records: Records, index: int, id: str) -> None:
        super().__init__(records, index, id)
        self._summary: list[Value] = []
        self._content: list[Value] = []
        self._pieces: list[str] = []
        self._part: tuple[str, int] | None = None
        self._form: TextForm | None = None
        self.seal = ""

    def value(self, status: str) -> Value:
        """The item as JSON. OpenAI's have no status."""
        whole: Value = {"id": self.id, "type": "reasoning", "summary": list(self._summary)}
        if self._content:
            whole["content"] = list(self._content)
        if self.seal:
            whole["encrypted_content"] = self.seal
        return whole

    def think(self, text: str, part: tuple[str, int]) -> None:
        """The model thinks on, in *part*: whether that is ``text`` or a ``summary``, and its number."""
        form = self._form
        if form is None or part != self._part:
            form = self._begin(part)
        self._pieces.append(text)
        self.records.add_text(form, text)

    def close(self, ending: Ending) -> Value:
        """Tell that the item has ended."""
        self._end_part()
        return super().close(ending)

    def _begin(self, part: tuple[str, int]) -> TextForm:
        self._end_part()
        self._part = part
        if part[0] == "summary":
            where = self.place(summary_index=len(self._summary))
            value = {"type": "summary_text", "text": ""}
            self._summary.append(value)
            self.records.add("response.reasoning_summary_part.added", **where, part=value)
            self._form = TextForm("response.reasoning_summary_text.delta", where, {})
        else:
            where = self.place(content_index=len(self._content))
            value = {"type": "reasoning_text", "text": ""}
            self._content.append(value)
            self.records.add("response.content_part.added", **where, part=value)
            self._form = TextForm("response.reasoning_text.delta", where, {})
        return self._form

    def _end_part(self) -> None:
        if self._form is None or self._part is None:
            return
        self._form = None
        whole, self._pieces = "".join(self._pieces), []
        if self._part[0] == "summary":
            where, part = self.place(summary_index=len(self._summary) - 1), self._summary[-1]
            names = ("response.reasoning_summary_text.done", "response.reasoning_summary_part.done")
        else:
            where, part = self.place(content_index=len(self._content) - 1), self._content[-1]
            names = ("response.reasoning_text.done", "response.content_part.done")
        part["text"] = whole
        self.records.add(names[0], **where, text=whole)
        self.records.add(names[1], **where, part=part)


class Call(Item):
    """A call of one of the client's functions."""

    def __init__(self, records: Records, index: int, id: str, call_id: str, name: str) -> None:
        super().__init__(records, index, id)
        self.call_id = call_id
        self.name = name
        self.pieces: list[str] = []
        self._form = TextForm("response.function_call_arguments.delta", self.place(), {})

    @property
    def complete(self) -> bool:
        """Whether the arguments are a whole object, to which nothing can be added."""
        try:
            jsontext.loads_object("".join(self.pieces))
        except JSONError:
            return False
        return True

    def value(self, status: str) -> Value:
        """The item as JSON."""
        arguments = "".join(self.pieces)
        said = {"type": "function_call", "status": status, "arguments": arguments, "call_id": self.call_id}
        return {"id": self.id, **said, "name": self.name}

    def grow(self, arguments: str) -> None:
        """The arguments go on."""
        if arguments:
            self.pieces.append(arguments)
            self.records.add_text(self._form, arguments)

    def close(self, ending: Ending) -> Value:
        """Tell that the item has ended. Arguments that never came are an empty object."""
        if not self.pieces and ending == "completed":
            self.grow("{}")
        self.records.add(
            "response.function_call_arguments.done",
            **self.place(),
            arguments="".join(self.pieces),
            name=self.name,
        )
        return super().close(ending)


class CustomCall(Call):
    """A call of one of the client's custom tools, told when it is whole: its plain text is within JSON until then."""

    def value(self, status: str) -> Value:
        """The item as JSON."""
        input = "" if status == "in_progress" else self._input
        said = {"type": "custom_tool_call", "status": status, "input": input, "call_id": self.call_id}
        return {"id": self.id, **said, "name": self.name}

    def grow(self, arguments: str) -> None:
        """The arguments go on."""
        self.pieces.append(arguments)

    def close(self, ending: Ending) -> Value:
        """Tell that the item has ended, and its input."""
        input, where = self._input, self.place()
        if input:
            self.records.add("response.custom_tool_call_input.delta", **where, delta=input)
        self.records.add("response.custom_tool_call_input.done", **where, input=input)
        return Item.close(self, ending)

    @property
    def _input(self) -> str:
        return unwrapped_input("".join(self.pieces))


def _annotation(value: Mapping[str, Any], start: int) -> Value:
    """OpenAI chat's *value* as it is here: flat, and counted from the *start* of the part in the answer's text."""
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) else None
    told: Value = {"type": kind, **inner} if isinstance(inner, Mapping) else dict(value)
    for name in ("start_index", "end_index"):
        position = told.get(name)
        told[name] = max(position - start, 0) if isinstance(position, int) else 0
    told.setdefault("title", "")
    return told


def _logprob(value: Mapping[str, Any]) -> Value:
    """OpenAI chat's *value* as it is here: with bytes in any case."""
    told = {**value, "bytes": value.get("bytes") or []}
    told["top_logprobs"] = [
        {**each, "bytes": each.get("bytes") or []} for each in value.get("top_logprobs") or ()
    ]
    return told
