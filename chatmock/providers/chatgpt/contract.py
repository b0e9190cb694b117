"""Everything about ChatGPT's login and backend that may change without notice, in one table (spec chatgpt.md, 1.1, 2.1, 2.2)."""

from __future__ import annotations

import uuid
from typing import Final

from chatmock import __version__

TITLE: Final = "ChatGPT"
WIRE: Final = "openai-responses"

SCOPE: Final = "openid profile email offline_access"
AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105  # a path
DEVICE_CODE_PATH: Final = "/api/accounts/deviceauth/usercode"
DEVICE_TOKEN_PATH: Final = "/api/accounts/deviceauth/token"  # noqa: S105  # a path
DEVICE_PAGE: Final = "/codex/device"
DEVICE_REDIRECT_PATH: Final = "/deviceauth/callback"
CALLBACK_PORT: Final = 1455
CALLBACK_PATH: Final = "/auth/callback"
AUTH_CLAIM: Final = "https://api.openai.com/auth"
"""The claim of the tokens that tells account and plan."""
LOG_IN_AGAIN: Final = frozenset(
    [
        "refresh_token_expired",
        "refresh_token_reused",
        "refresh_token_invalidated",
        "refresh_token_revoked",
        "invalid_grant",
    ]
)
"""Errors of the token endpoint after which only a new login helps (1.9)."""
PASSING_REFUSALS: Final = frozenset(
    [
        "rate_limit_exceeded",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unsupported_country_region_territory",
    ]
)
"""Errors with which a refresh is refused for now, or from where it comes: the login is as good as it was."""

RESPONSES_PATH: Final = "/responses"
MODELS_PATH: Final = "/models"
CLIENT_VERSION: Final = "0.146.0"
"""The catalogue leaves out models that are newer than this client version (2.9)."""
ORIGINATOR: Final = "chatmock"
USER_AGENT: Final = f"chatmock/{__version__}"
BETA: Final = "responses=experimental"

MOST_NAME_CHARS: Final = 64
"""Longer names of functions are refused (2.4)."""
RECORD_LIMIT: Final = 32 * 1024 * 1024
"""Bytes; an event that repeats a whole answer or carries a picture goes beyond the usual megabyte (3.1)."""

USAGE_HEADERS: Final = "x-codex-"
"""How the headers begin that tell what is used of the plan's limits (2.11)."""

MOST_CALL_ID_CHARS: Final = 64
"""Longer ids of calls are replaced: OpenAI's Responses API takes no longer ones."""
SUMMARIES: Final = ("auto", "concise", "detailed", "none")
"""Ways to sum up the thinking; ``none`` is asked for by leaving the field out (2.7)."""
VERBOSITIES: Final = ("low", "medium", "high")
FAST_TIER: Final = "priority"
"""The only service tier that may be named in a request (2.4)."""
ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
"""What a request that does not store its answer includes, always along with ``reasoning`` (2.3)."""
HOSTED_TOOL_TYPES: Final = ("web_search", "web_search_preview")
HOSTED_TOOL_KEYS: Final = frozenset(["type", "search_context_size", "user_location", "filters"])
MOST_HOSTED_TOOLS_BYTES: Final = 32_768
"""Bytes of JSON that a client's ``responses_tools`` may take (2.8)."""
CACHE_NAMESPACE: Final = uuid.UUID("6f0b5c7e-6c0e-4a39-9d3c-52f6a8a1d0b4")
"""The namespace of the cache keys that chatmock makes; another one would empty every prompt cache."""
