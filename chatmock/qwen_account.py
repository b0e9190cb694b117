"""The owner's Qwen account, put together: its credential, its uploads, the calls of its answers."""

from __future__ import annotations

import time
import uuid
from typing import Any

import attrs

from chatmock.account import Account, FixedCredential
from chatmock.providers.interface import Credential
from chatmock.providers.qwen import Qwen
from chatmock.providers.qwen.contract import ALIASES, TITLE
from chatmock.providers.qwen.token import expiry_note, token_expiry
from chatmock.qwen_calls import QwenCalls
from chatmock.qwen_uploads import Uploads
from chatmock.settings import Secret, Settings
from chatmock.threads import Threads
from chatmock.upstream import Upstream
from chatmock.watch import Watch

_UPLOAD_SECONDS = 3600.0
"""How long an uploaded picture is used again, unless its link ends before."""
_SOON_SECONDS = 86400.0


@attrs.define
class QwenAccount:
    """The account, and what of it has to be stopped with the daemon."""

    account: Account
    _token: Secret
    calls: QwenCalls

    @classmethod
    def of(cls, settings: Settings, upstream: Upstream, reactor: Any, threads: Threads) -> QwenAccount | None:
        """The account that *settings* describe; None without a token."""
        token = settings.qwen_auth_token
        if token is None:
            return None
        provider = Qwen(
            settings.qwen_base_url,
            settings.qwen_cookies,
            settings.qwen_headers,
            settings.qwen_model,
            settings.qwen_chat_id,
            token,
        )
        uploads = Uploads(
            upstream,
            reactor,
            time.time,
            lambda: str(uuid.uuid4()),
            settings.max_image_bytes,
            _UPLOAD_SECONDS,
            threads,
        )
        calls = QwenCalls(provider, uploads, reactor, time.time)
        account = Account(
            provider,
            calls,
            FixedCredential(Credential(token)),
            upstream,
            settings.qwen_models,
            settings.qwen_aliases,
            ALIASES,
            has_chats=True,
            watch=Watch(provider.name, provider.title, settings.max_cooldown, reactor, time.time),
        )
        return cls(account, token, calls)

    @property
    def notice(self) -> str:
        """What the owner should know of the token when the daemon starts; empty for nothing."""
        return token_notice(self._token, time.time())

    async def stop(self) -> None:
        """Let no chat stay locked."""
        await self.calls.stop()


def token_notice(token: Secret, now: float) -> str:
    """A warning about a token that has ended or soon will; empty for none.

    :param now: Unix time in seconds.
    """
    ends = token_expiry(token)
    if ends is None or ends > now + _SOON_SECONDS:
        return ""
    return f"{TITLE}'s token {expiry_note(token, now)}: get a fresh one from the browser (QWEN_AUTH_TOKEN)"
