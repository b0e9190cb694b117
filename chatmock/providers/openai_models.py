"""Reads a ``/models`` answer: OpenAI's list, and what the several servers tell of each model besides.

========================================================  ==================================================
OpenRouter (spec upstreams.md, C)                         ``context_length``, ``architecture.input_modalities`` and
                                                          ``.output_modalities``, ``supported_parameters``, ``reasoning``
xAI (B1)                                                  ``context_length``, a price for the pictures of a prompt
vLLM, SGLang                                              ``max_model_len``
llama.cpp                                                 ``meta.n_ctx``, else ``meta.n_ctx_train``; ``architecture`` too
LM Studio, Together, Groq, Mistral                        ``max_context_length``, ``context_window``, ``type``,
                                                          ``capabilities``
========================================================  ==================================================

DashScope, Ollama and OpenAI itself tell no more than the name. What is not told stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.model import Model

_WINDOWS: Final = ("context_length", "max_model_len", "max_context_length", "context_window")
_OUTPUTS: Final = {"embedding": ("embeddings",), "embeddings": ("embeddings",)}
"""Of the kinds of models (``type``) that do something else than to answer in text."""
_TOOLS: Final = ("tools", "tool_use", "function_calling")
_VISION: Final = ("vision", "multimodal")


def read_models(title: str, body: bytes) -> Sequence[Model]:
    """The models of the upstream *title*, in its order, those that give no text last: the first may be its default.

    Entries without an id are passed over.

    :raises Refusal: upstream failed, when it is no such list.
    """
    try:
        data = jsontext.loads_object(body)["data"]
        models = [_model(entry) for entry in data if isinstance(entry.get("id"), str) and entry["id"]]
    except (JSONError, KeyError, TypeError, AttributeError):
        raise Refusal(Kind.UPSTREAM_FAILED, f"{title} sent a list of models that cannot be read.") from None
    return sorted(models, key=lambda model: "completion" not in model.capabilities)


def _model(entry: Mapping[str, Any]) -> Model:
    created, owner = entry.get("created"), entry.get("owned_by")
    parameters, able = _words(entry.get("supported_parameters")), _abilities(entry.get("capabilities"))
    reasoning = entry.get("reasoning")
    efforts = reasoning.get("supported_efforts") if isinstance(reasoning, Mapping) else None
    return Model(
        entry["id"],
        created=int(created) if isinstance(created, int | float) else None,
        owned_by=owner if isinstance(owner, str) else None,
        context_length=_window(entry),
        efforts=_words(efforts)[::-1],
        inputs=_inputs(entry, able),
        outputs=_outputs(entry),
        parameters=parameters,
        thinks=True if isinstance(reasoning, Mapping) else _told("reasoning", parameters),
        calls_tools=_told("tools", parameters) if parameters else _able(_TOOLS, able),
    )


def _window(entry: Mapping[str, Any]) -> int | None:
    """The window in tokens: that which the server was started with rather than that which the model was made for."""
    meta, provider = _object(entry, "meta"), _object(entry, "top_provider")
    told = [entry.get(name) for name in _WINDOWS]
    told += [meta.get("n_ctx"), meta.get("n_ctx_train"), provider.get("context_length")]
    return next((n for n in told if isinstance(n, int) and not isinstance(n, bool) and n > 0), None)


def _inputs(entry: Mapping[str, Any], able: Mapping[str, bool]) -> tuple[str, ...]:
    told = _words(_object(entry, "architecture").get("input_modalities"))
    if told:
        return told
    price = entry.get("prompt_image_token_price")
    reads = (
        (isinstance(price, int | float) and price > 0) or entry.get("type") == "vlm" or _able(_VISION, able)
    )
    return ("text", "image") if reads else ()


def _outputs(entry: Mapping[str, Any]) -> tuple[str, ...]:
    told = _words(_object(entry, "architecture").get("output_modalities"))
    kind = entry.get("type")
    return told or (_OUTPUTS.get(kind, ()) if isinstance(kind, str) else ())


def _abilities(told: object) -> Mapping[str, bool]:
    """What is told by a list of words, or by an object of truths. A word that a list lacks may not be one of its server's."""
    if isinstance(told, Mapping):
        return {name: able for name, able in told.items() if isinstance(able, bool)}
    return dict.fromkeys(_words(told), True)


def _able(names: Iterable[str], able: Mapping[str, bool]) -> bool | None:
    """Whether the model can do what goes by one of *names*; None where that is not told."""
    return next((able[name] for name in names if name in able), None)


def _told(parameter: str, parameters: Sequence[str]) -> bool | None:
    """Whether the model takes *parameter*, where the upstream tells which ones it takes."""
    return parameter in parameters if parameters else None


def _words(told: object) -> tuple[str, ...]:
    words: Iterable[object] = told if isinstance(told, list) else ()
    return tuple(word for word in words if isinstance(word, str))


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}
