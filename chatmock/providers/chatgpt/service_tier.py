"""Fast mode: whether the request asks for the service tier that answers sooner (spec chatgpt.md, 2.7)."""

from __future__ import annotations

from chatmock.conversation import ChatRequest
from chatmock.errors import bad_request
from chatmock.model import Model
from chatmock.providers.chatgpt.contract import FAST_TIER, TITLE
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.chatgpt.models import PRESUMED
from chatmock.providers.client_fields import ClientFields

FAST_NOTE = "x-chatmock-fast-mode"
"""The response header for a model that cannot do what the owner wants for all requests."""

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_USUAL = ("auto", "default")
"""Tiers that mean the same as none; the backend refuses their names (2.4)."""


def asked_tier(chat: ChatRequest, fields: ClientFields, defaults: Defaults) -> str | None:
    """The ``service_tier`` to ask for, or None.

    The client's ``fast_mode`` goes before its ``service_tier``, and that before the owner's default. Who names
    a tier that does not exist here gets none.

    :raises Refusal: bad request, when the client wants fast mode of a model that has none, and for a
        ``fast_mode`` that is neither yes nor no.
    """
    fast, tier = _fast_mode(fields), fields.take_text("service_tier")
    field = "fast_mode"
    if tier and tier not in (*_USUAL, FAST_TIER):
        fields.ignore("service_tier")
    if fast is None and tier == FAST_TIER:
        fast, field = True, "service_tier"
    if fast is None and tier and tier not in _USUAL:
        fast = False
    wanted = defaults.fast_mode if fast is None else fast
    if not wanted or _has_fast_mode(chat.details):
        return FAST_TIER if wanted else None
    if fast is None:
        fields.notes[FAST_NOTE] = "off (the model has no fast mode)"
        return None
    raise bad_request(
        f"The model {chat.model!r} of {TITLE} has no fast mode. Leave {field!r} out or pick another model.",
        param=field,
    )


def _has_fast_mode(details: Model | None) -> bool:
    """Whether the model has fast mode, or may have: a presumed model, or one with nothing listed, is not known well."""
    if details is None or details in PRESUMED or not (details.service_tiers or details.efforts):
        return True
    return FAST_TIER in details.service_tiers


def _fast_mode(fields: ClientFields) -> bool | None:
    value = fields.take("fast_mode")
    if value is None or isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise bad_request(
        f"'fast_mode' is true or false, or one of {', '.join((*_YES, *_NO))}.", param="fast_mode"
    )
