"""What the owner wants of requests that do not say."""

from __future__ import annotations

import attrs

from chatmock.providers.chatgpt.contract import SUMMARIES
from chatmock.providers.efforts import EFFORTS


@attrs.frozen
class Defaults:
    """The owner's settings that go into requests.

    :raises ValueError: for a word that is no effort or summary.
    """

    effort: str = attrs.field(default="medium", validator=attrs.validators.in_(EFFORTS))
    summary: str = attrs.field(default="auto", validator=attrs.validators.in_(SUMMARIES))
    web_search: bool = False
    fast_mode: bool = False
    instructions: str = ""
    """For requests without system text of their own; may be empty."""
