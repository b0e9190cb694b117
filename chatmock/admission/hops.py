"""Refuses what chatmock itself asks of an Ollama that is a chatmock. Pure."""

from __future__ import annotations

from typing import Final

from chatmock.admission.head import Head
from chatmock.errors import bad_request
from chatmock.providers.interface import HOP

_FIELD: Final = HOP.lower().encode()


def check_hop(head: Head) -> None:
    """See that *head* does not come from a chatmock that takes this one for an Ollama: it might be this one.

    :raises Refusal: bad request.
    """
    if head.fields(_FIELD):
        raise bad_request(
            "What a chatmock has as its real Ollama is a chatmock, perhaps itself. Set CHATMOCK_OLLAMA_UPSTREAM to where the"
            " real Ollama is; a chatmock elsewhere can be a CHATMOCK_COMPATIBLE_BASE_URL.",
            code="request_loop",
        )
