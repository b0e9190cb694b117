"""Puts the pictures of a chat where Qwen can see them: leave from the chat, then a signed ``PUT`` (spec upstreams.md, A1.6).

The same picture is uploaded once, however many requests bring it and whatever their URLs look like, and again when its
link is about to end. It is known by the digest of its URL, so that one that is there already is not decoded again, and
by that of its content.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from chatmock import jsontext
from chatmock.conversation import Image
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.interface import UpstreamRequest
from chatmock.providers.qwen.contract import LINK_MARGIN, STS_TOKEN_PATH, TITLE
from chatmock.providers.qwen.errors import read_refusal, tells_error
from chatmock.providers.qwen.images import (
    Grant,
    Picture,
    UploadedFile,
    file_entry,
    grant_body,
    read_grant,
    read_picture,
    require_inline,
    uploaded_file,
)
from chatmock.providers.qwen.oss_signature import sign_put
from chatmock.upstream import ERROR_BODY_LIMIT, Upstream, read_start, response_headers

V = TypeVar("V")
STORE_TITLE = f"{TITLE}'s object store"
_READ_SECONDS = 30.0
_MOST_KEPT = 256
_LARGE_CHARS = 1_400_000
"""The characters of a URL from which on it is decoded in a thread: a megabyte in base64."""
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_SKEWED = "RequestTimeTooSkewed"

Key = tuple[str, str, bytes]
"""Where the chat is, the picture's type and the digest of its content; without a type, the digest of its URL."""


@attrs.define(eq=False)
class _Upload:
    """One upload under way, or one reading of a URL, and who waits for it."""

    waiters: list[Deferred[UploadedFile]] = attrs.field(factory=list)
    running: Deferred[Any] | None = None


class Uploads:
    """The uploaded pictures of one account.

    :param wall_clock: Unix time in seconds.
    :param new_id: makes a fresh UUID.
    :param limit: the most bytes of a picture.
    :param lifetime: seconds for which an uploaded picture is used again, unless its link ends before.
    :param in_thread: runs a function that takes a while; here and now unless given.
    """

    def __init__(
        self,
        upstream: Upstream,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        new_id: Callable[[], str],
        limit: int,
        lifetime: float,
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
    ) -> None:
        self._upstream = upstream
        self._clock = clock
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._limit = limit
        self._lifetime = lifetime
        self._in_thread = in_thread
        self._known: OrderedDict[Key, Key] = OrderedDict()
        """Which picture a URL holds."""
        self._kept: OrderedDict[Key, tuple[UploadedFile, float]] = OrderedDict()
        self._running: dict[Key, _Upload] = {}

    async def file_of(self, image: Image, headers: Mapping[str, str], base_url: str) -> dict[str, Any]:
        """The entry of a message's ``files`` for *image*, uploaded before unless it is there already.

        Cancelling ends the wait; the last one who waits for a picture ends its upload, too.

        :param headers: those of every request to the chat; the object store sees none of them.
        :param base_url: where the chat is.
        :raises Refusal: bad request for the image; what the chat refused the upload with; upstream failed or timed out.
        """
        require_inline(image)
        url = base_url, "", image.digest
        file = self._recall(self._known.get(url))
        if file is None:
            file = await self._join(url, lambda: self._read(url, image, headers, base_url))
        else:
            self._known.move_to_end(url)
        return file_entry(file, self._new_id(), self._new_id())

    def _recall(self, key: Key | None) -> UploadedFile | None:
        """The file uploaded earlier, if it may still be used."""
        kept = None if key is None else self._kept.get(key)
        if key is None or kept is None:
            return None
        file, until = kept
        if self._clock.seconds() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return file

    def _keep(self, key: Key, file: UploadedFile, grant: Grant, began: float) -> None:
        lifetime = self._lifetime
        if grant.link_seconds is not None:
            lifetime = min(lifetime, grant.link_seconds - LINK_MARGIN)
        _put_last(self._kept, key, (file, began + lifetime))

    def _join(
        self, key: Key, begin: Callable[[], Coroutine[Any, Any, UploadedFile]]
    ) -> Deferred[UploadedFile]:
        """The result of what is under way for *key*; it is begun unless something is."""
        upload = self._running.get(key)
        if upload is None:
            upload = self._running[key] = _Upload()
        joined = upload
        waiter: Deferred[UploadedFile] = Deferred(lambda left: self._leave(key, joined, left))
        upload.waiters.append(waiter)
        if upload.running is None:
            upload.running = Deferred.fromCoroutine(begin())
            upload.running.addBoth(self._settle, key, upload)
        return waiter

    def _leave(self, key: Key, upload: _Upload, waiter: Deferred[UploadedFile]) -> None:
        """A waiter is cancelled."""
        if waiter in upload.waiters:
            upload.waiters.remove(waiter)
        if not upload.waiters and self._running.get(key) is upload:
            del self._running[key]
            if upload.running is not None:
                upload.running.cancel()

    def _settle(self, result: UploadedFile | Failure, key: Key, upload: _Upload) -> Failure | None:
        """The upload is over: tell who waits. Nobody does after a cancel."""
        if self._running.get(key) is upload:
            del self._running[key]
        waiters, upload.waiters = upload.waiters, []
        for waiter in waiters:
            if waiter.called:
                continue
            if isinstance(result, Failure) and isinstance(result.value, Refusal):
                waiter.errback(attrs.evolve(result.value))  # one for each: who gets it may add to it
            else:
                waiter.callback(result)  # a Failure is passed on as one
        unheard = isinstance(result, Failure) and not waiters and not result.check(CancelledError, Refusal)
        return result if unheard and isinstance(result, Failure) else None

    async def _read(self, url: Key, image: Image, headers: Mapping[str, str], base_url: str) -> UploadedFile:
        """The file of *image*: that of the same picture under another URL, or one that is uploaded now."""
        picture = await self._decoded(image)
        key = base_url, picture.media_type, bytes.fromhex(picture.digest)
        file = self._recall(key)
        if file is None:
            file = await self._join(key, lambda: self._upload(key, picture, headers, base_url))
        _put_last(self._known, url, key)
        return file

    async def _upload(
        self, key: Key, picture: Picture, headers: Mapping[str, str], base_url: str
    ) -> UploadedFile:
        began = self._clock.seconds()
        grant = await self._ask_grant(picture, headers, base_url)
        await self._put(picture, grant)
        file = uploaded_file(picture, grant, self._wall_clock())
        self._keep(key, file, grant, began)
        return file

    async def _decoded(self, image: Image) -> Picture:
        if len(image.url) < _LARGE_CHARS:
            return read_picture(image, self._limit)
        picture: Picture = await self._in_thread(read_picture, image, self._limit)
        return picture

    async def _ask_grant(self, picture: Picture, headers: Mapping[str, str], base_url: str) -> Grant:
        asking = UpstreamRequest(
            "POST",
            base_url.rstrip("/") + STS_TOKEN_PATH,
            {**headers, "Content-Type": "application/json", "Accept": "application/json"},
            grant_body(picture),
        )
        response = await self._upstream.send(TITLE, asking)
        body = await self._body(response)
        if _is_refused(response.code, body):
            raise read_refusal(response.code, response_headers(response), body)
        return read_grant(body, base_url)

    async def _put(self, picture: Picture, grant: Grant) -> None:
        now = datetime.fromtimestamp(self._wall_clock(), UTC)
        signed = sign_put(grant.upload_url, grant.region, grant.credentials, picture.media_type, now)
        asking = UpstreamRequest("PUT", grant.upload_url, signed, picture.content)
        response = await self._upstream.send(STORE_TITLE, asking)
        body = await self._body(response)
        if response.code != 200:
            raise _not_stored(response.code, body)

    def _body(self, response: IResponse) -> Deferred[bytes]:
        return read_start(response, self._clock, ERROR_BODY_LIMIT, _READ_SECONDS)


def _put_last(kept: OrderedDict[Key, V], key: Key, value: V) -> None:
    """Keep *value*, and of all that is kept only the latest."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)


def _is_refused(status: int, body: bytes) -> bool:
    """Whether *body* tells why there is no leave to upload: an error in JSON, of any status, or a page."""
    try:
        return status != 200 or tells_error(jsontext.loads_object(body))
    except JSONError:
        return body.lstrip().startswith(b"<")


def _not_stored(status: int, body: bytes) -> Refusal:
    """Why the object store did not take a picture; of its page only the code is told, the rest repeats the signature."""
    code = _CODE.search(body)
    said = code[1].decode() if code is not None else "no reason given"
    advice = (
        "This machine's clock is wrong: set it." if said == _SKEWED else "Ask again, or leave the image out."
    )
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"{STORE_TITLE} did not take the image: it answered {status} ({said}). {advice}",
        code="upstream_upload_failed",
        retryable=status >= 500,
    )
