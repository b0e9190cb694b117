"""Which route a path is of, for a log: what else stands in a path may be anything, a secret too (security.md, P43)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from chatmock.openapi.operations import OPERATIONS

NO_ROUTE: Final = "-"
_FIXED: Final = {each.path for each in OPERATIONS if "{" not in each.path}
_OPEN: Final = [
    (re.compile(re.sub(r"\\\{[a-z]+\\\}", ".+", re.escape(path))), path)
    for path in dict.fromkeys(each.path for each in OPERATIONS if "{" in each.path)
]


@lru_cache(maxsize=256)
def template_of(path: str) -> str:
    """``/v1/models/{name}`` for ``/v1/models/gpt-5``; :data:`NO_ROUTE` for a path that the daemon does not answer."""
    if path in _FIXED:
        return path
    return next((template for pattern, template in _OPEN if pattern.fullmatch(path)), NO_ROUTE)
