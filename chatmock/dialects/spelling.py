"""Refuses fields of clients that are spelled almost as one that chatmock reads: ``Model``, ``meſſages``.

Some upstreams are sent the client's own body, and JSON readers in Go (Ollama's) and elsewhere take ``Model`` for
``model``, the later one of the two counting. A key's models and the limits would then be checked on one value, and
another one be answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.errors import bad_request

_MADE_OF_FIELDS: Final = """
content custom function function_call functions image_url input input_audio json_schema messages options output prompt
reasoning response_format source stream_options system text thinking tool_calls tool_choice tools
"""
_PLAIN: Final = """
arguments audio background best_of budget_tokens context data description detail dimensions disable_parallel_tool_use
display echo effort encoding_format file format frequency_penalty generate_summary id images include include_obfuscation
include_usage index input_schema instructions is_error keep_alive logit_bias logprobs max_completion_tokens
max_output_tokens max_tokens max_tool_calls media_type metadata modalities mode model n name num_ctx num_predict
output_config output_format parallel_tool_calls parameters prediction presence_penalty previous_response_id
prompt_cache_key raw reasoning_content reasoning_effort refusal role safety_identifier schema seed service_tier shift
signature stop stop_sequences store stream strict suffix summary temperature template think title tool_call_id tool_name
tool_use_id top_k top_logprobs top_p truncate truncation type url user user_id verbose verbosity web_search_options
"""
_FOLLOWED: Final = frozenset(_MADE_OF_FIELDS.split())
"""Fields whose values are made of further ones. What people define themselves is none of them: the schemas of tools,
what a tool was called with, metadata."""
_LISTS: Final = frozenset(["input", "output"])
"""Those of them that are what a tool got or gave unless they are lists."""
FIELDS: Final = _FOLLOWED | frozenset(_PLAIN.split())
"""Every field that chatmock reads in a request of any dialect, wherever it stands."""


def check_spelling(body: Mapping[str, Any]) -> None:
    """See that no field of *body*, or of what it is made of, differs from a known one in its letters' case only.

    :raises Refusal: bad request, naming the field and how it is spelled.
    """
    waiting: list[Any] = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += [each for each in value if isinstance(each, dict | list)]
            continue
        if not FIELDS.issuperset(value):
            _check_names(value)
        for name, inner in value.items():
            if name in _FOLLOWED and isinstance(inner, list if name in _LISTS else (dict, list)):
                waiting.append(inner)


def _check_names(value: Mapping[str, Any]) -> None:
    for name in value:
        # Folding as Unicode has it takes ſ for s and the Kelvin sign for k, as Go does, and some more.
        if name not in FIELDS and (known := name.casefold()) in FIELDS:
            raise bad_request(f"unknown field {name!r}: it is spelled {known!r}", param=name)
