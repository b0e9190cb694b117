"""Pictures inside a chat: read out of their ``data:`` URLs, and named in a message once uploaded (spec upstreams.md, A1.6).

Pure. The calls in between are made by :mod:`chatmock.qwen_uploads`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import attrs

from chatmock import jsontext
from chatmock.conversation import Image
from chatmock.errors import Kind, Refusal, bad_request
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.data_urls import cleaned
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.contract import FILE_KIND, IMAGE_TYPES, STORE_DOMAIN, TITLE
from chatmock.providers.qwen.oss_signature import StsCredentials
from chatmock.settings import Secret

_HEAD = re.compile(r"data:([a-z0-9.+/-]+)(?:;[a-z0-9=._-]+)*;base64,", re.IGNORECASE)
_STORE_HOST = re.compile(rf"(?:[a-z0-9-]+\.)+{re.escape(STORE_DOMAIN)}")
_VISIBLE = re.compile(r"[!-~]+")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


@attrs.frozen
class Picture:
    """A picture as a client sent it."""

    media_type: str
    """Such as ``image/png``."""
    content: bytes = attrs.field(repr=False)
    digest: str
    """SHA-256 of the content, in hexadecimal."""

    @property
    def name(self) -> str:
        """A file name, the same whenever the same picture comes."""
        return f"{self.digest[:16]}.{IMAGE_TYPES[self.media_type]}"


@attrs.frozen
class Grant:
    """Leave to put one file into the object store."""

    credentials: StsCredentials
    region: str
    upload_url: str
    """Without a query; on a host of Alibaba's store."""
    file_id: str
    file_url: str = attrs.field(repr=False)
    """How the chat reads the file: a link that is signed, and works for who has it."""

    @property
    def link_seconds(self) -> float | None:
        """How long :attr:`file_url` works from now on; None where it does not tell."""
        told = parse_qs(urlsplit(self.file_url).query).get("x-oss-expires", [""])[0]
        return float(told) if re.fullmatch(r"[0-9]{1,9}", told) else None


@attrs.frozen
class UploadedFile:
    """A picture that the chat can see."""

    id: str
    url: str = attrs.field(repr=False)
    name: str
    media_type: str
    size: int
    """Bytes."""
    uploaded_at: int
    """Unix time in milliseconds."""


class _Data(Struct):
    access_key_id: str
    access_key_secret: str
    security_token: str
    region: str
    file_id: str
    file_url: str


class _Answer(Struct):
    data: _Data


_read_answer = jsontext.reader(_Answer)


def read_picture(image: Image, limit: int, param: str | None = None) -> Picture:
    """Decode the picture that *image* carries.

    :param limit: the most bytes it may have.
    :param param: the request's field that it stands in, for messages.
    :raises Refusal: bad request, when it is a link, no picture in base64, of a type that is not taken, or too large.
    """
    require_inline(image, param)
    if len(image.url) > 4 * limit + 1024:  # beyond every way of writing it, percent signs included
        raise _too_large(limit, param)
    url = cleaned(image.url)
    head = _HEAD.match(url)
    media_type = head[1].lower().replace("image/jpg", "image/jpeg") if head is not None else ""
    if head is None or media_type not in IMAGE_TYPES:
        raise bad_request(
            f"chat.qwen.ai takes images of the types {', '.join(IMAGE_TYPES)}, in base64.",
            param,
            "invalid_image_format",
        )
    try:
        content = binascii.a2b_base64(url[head.end() :], strict_mode=True)
    except ValueError:
        content = b""
    if not content:
        raise bad_request("The image's base64 cannot be decoded.", param, "invalid_base64_image")
    if len(content) > limit:
        raise _too_large(limit, param)
    return Picture(media_type, content, hashlib.sha256(content).hexdigest())


def require_inline(image: Image, param: str | None = None) -> None:
    """See that *image* carries its picture: nothing is fetched.

    :raises Refusal: bad request, when it is a link.
    """
    if image.url[:5].lower() != "data:":
        raise bad_request(
            "chat.qwen.ai takes only inline images: send the picture as a data: URL in base64, not as a link.",
            param,
            "invalid_image_url",
        )


def _too_large(limit: int, param: str | None) -> Refusal:
    return bad_request(
        f"The image is larger than {limit} bytes (CHATMOCK_MAX_IMAGE_BYTES). Send a smaller one.",
        param,
        "image_too_large",
    )


def grant_body(picture: Picture) -> bytes:
    """The body of the request for leave to upload *picture*."""
    asked = {"filename": picture.name, "filesize": len(picture.content), "filetype": FILE_KIND}
    return jsontext.dumps(asked)


def read_grant(body: bytes, base_url: str) -> Grant:
    """The leave in the answer *body* to :func:`grant_body`.

    :param base_url: where the chat itself is: only one at a loopback address may send the picture to another one.
    :raises Refusal: upstream failed, when it is no such answer, or names a place that is no store of Alibaba's.
    """
    try:
        data = _read_answer(body).data
    except JSONError:
        raise _unusable("its answer cannot be read") from None
    for name in ("access_key_id", "access_key_secret", "security_token", "file_id"):
        if not _VISIBLE.fullmatch(getattr(data, name)):
            raise _unusable(f"its {name} is no plain text")
    if not _REGION.fullmatch(data.region):
        raise _unusable("its region is no name of one")
    credentials = StsCredentials(
        data.access_key_id, Secret(data.access_key_secret), Secret(data.security_token)
    )
    upload_url = _store_url(data.file_url, base_url)
    return Grant(credentials, data.region, upload_url, data.file_id, data.file_url)


def _store_url(file_url: str, base_url: str) -> str:
    """*file_url* without its query, put together anew from what was checked."""
    try:
        parts = urlsplit(file_url)
        host, port = parts.hostname or "", parts.port
        here = urlsplit(base_url).hostname or ""
    except ValueError:
        raise _unusable("its file_url is no URL") from None
    path = quote(unquote(parts.path), safe="/-._~")
    if "@" in parts.netloc or len(path) < 2:
        raise _unusable("its file_url names no object")
    if parts.scheme == "https" and port in (None, 443) and _STORE_HOST.fullmatch(host):
        return f"https://{host}{path}"
    if parts.scheme == "http" and _is_loopback(host) and _is_loopback(here):
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}{'' if port is None else f':{port}'}{path}"
    raise _unusable("it names a place outside Alibaba's object store, to which nothing was sent")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _unusable(why: str) -> Refusal:
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"{TITLE} did not say in a usable way where to put the image: {why}. Ask again; if it stays so, its API has "
        "changed and chatmock has to follow.",
        code="upstream_protocol",
    )


def uploaded_file(picture: Picture, grant: Grant, now: float) -> UploadedFile:
    """*picture* as the chat knows it after its upload at *now*, Unix time in seconds."""
    return UploadedFile(
        grant.file_id, grant.file_url, picture.name, picture.media_type, len(picture.content), int(now * 1000)
    )


def file_entry(file: UploadedFile, item_id: str, task_id: str) -> dict[str, Any]:
    """*file* as an entry of a message's ``files``.

    :param item_id: a fresh UUID, as is *task_id*.
    """
    meta = {"name": file.name, "size": file.size, "content_type": file.media_type}
    inner = {
        **contract.INNER_FILE,
        "created_at": file.uploaded_at,
        "filename": file.name,
        "id": file.id,
        "meta": meta,
        "update_at": file.uploaded_at,
    }
    return {
        **contract.FILE,
        "file": inner,
        "id": file.id,
        "url": file.url,
        "name": file.name,
        "size": file.size,
        "itemId": item_id,
        "file_type": file.media_type,
        "uploadTaskId": task_id,
    }
