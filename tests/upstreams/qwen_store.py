"""A fake of the object store behind chat.qwen.ai: it works out the V4 signature by itself, and refuses any other.

The rules are those of Alibaba's document on signatures in the header; the code is independent of chatmock's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import attrs

from tests.upstreams.playing_site import Reply

BUCKET = "qwen-webui-prod"
REGION = "ap-southeast-1"
_AUTHORIZATION = re.compile(
    r"OSS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([a-z0-9-]+)/oss/aliyun_v4_request,"
    r"\s?(?:AdditionalHeaders=([a-z0-9;-]+),\s?)?Signature=([0-9a-f]{64})"
)
_SKEW = 900.0


@attrs.frozen
class Granted:
    """Leave that was given to put one object."""

    secret: str
    token: str
    path: str
    size: int
    until: float


@attrs.frozen
class Stored:
    """An object."""

    content: bytes
    content_type: str


class ObjectStore:
    """The store: one bucket.

    :param now: Unix time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.region = f"oss-{REGION}"
        """As the chat tells it; without ``oss-`` has been seen, too."""
        self.link_seconds: int | None = 300
        """How long a file's link works; None for links that do not tell."""
        self.grant_seconds = 300.0
        self.objects: dict[str, Stored] = {}
        """By path, the bucket in front."""
        self.granted: dict[str, Granted] = {}
        self.refused: list[str] = []
        """The codes of refusals so far."""

    def grant(self, url: str, filename: str, size: int) -> dict[str, Any]:
        """The ``data`` of the chat's answer to a request for leave; the store is at *url*."""
        file_id, key_id = str(uuid.uuid4()), f"STS.{uuid.uuid4().hex}"
        file_path = f"user-1/{file_id}_{filename}"
        path = f"/{BUCKET}/{file_path}"
        granted = Granted(uuid.uuid4().hex, f"CAIS{uuid.uuid4().hex}+/=", path, size, self._until())
        self.granted[key_id] = granted
        link = f"{url}{path}"
        if self.link_seconds is not None:
            link += f"?x-oss-expires={self.link_seconds}&x-oss-signature={'0' * 64}"
        return {
            "access_key_id": key_id,
            "access_key_secret": granted.secret,
            "security_token": granted.token,
            "bucketname": BUCKET,
            "region": self.region,
            "endpoint": "oss-accelerate.aliyuncs.com",
            "file_path": file_path,
            "file_url": link,
            "file_id": file_id,
        }

    def _until(self) -> float:
        return self.now() + self.grant_seconds

    def put(self, path: str, query: str, headers: Mapping[str, str], content: bytes) -> Reply:
        """Take an object, or say why not."""
        fault = self._fault(path, query, headers, content)
        if fault is not None:
            status, code = fault
            self.refused.append(code)
            page = f"<?xml version='1.0'?><Error><Code>{code}</Code><StringToSign>{headers.get('x-oss-security-token')}</StringToSign></Error>"
            return Reply([page.encode()], status=status, content_type=b"application/xml")
        self.objects[unquote(path)] = Stored(content, headers["content-type"])
        return Reply(status=200, content_type=b"application/xml", headers={b"etag": b'"1"'})

    def _fault(
        self, path: str, query: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, str] | None:
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        moment = headers.get("x-oss-date", "")
        if found is None or headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
            return 400, "InvalidArgument"
        key_id, day, region, additional, signature = found.groups()
        granted = self.granted.get(key_id)
        if granted is None:
            return 403, "InvalidAccessKeyId"
        if not hmac.compare_digest(headers.get("x-oss-security-token", "").encode(), granted.token.encode()):
            return 403, "InvalidSecurityToken"
        if self.now() > granted.until:
            return 403, "SecurityTokenExpired"
        try:
            sent = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return 400, "InvalidArgument"
        if abs(sent - self.now()) > _SKEW:
            return 403, "RequestTimeTooSkewed"
        if region != REGION or day != moment[:8]:
            return 400, "InvalidArgument"
        right = signature_v4(
            "PUT", path, query, headers, granted.secret, region, (additional or "").split(";")
        )
        if signature != right:
            return 403, "SignatureDoesNotMatch"
        if unquote(path) != granted.path:
            return 403, "AccessDenied"
        if len(content) != granted.size:
            return 400, "InvalidSize"
        return None


def signature_v4(
    method: str,
    resource: str,
    query: str,
    headers: Mapping[str, str],
    secret: str,
    region: str,
    additional: Iterable[str] = (),
) -> str:
    """The signature of a request to the store.

    :param resource: the path, the bucket in front. *query*: as in the URL. *headers*: names in lower case.
    """

    def encoded(text: str) -> str:
        return quote(text, safe="")

    def signed(name: str) -> bool:
        return name in ("content-type", "content-md5") or name.startswith("x-oss-")

    pairs = sorted((encoded(k), encoded(v)) for k, v in parse_qsl(query, keep_blank_values=True))
    also = sorted({name for name in additional if name in headers and not signed(name)})
    canonical = f"{method}\n" + "/".join(encoded(part) for part in unquote(resource).split("/")) + "\n"
    canonical += "&".join(f"{k}={v}" if v else k for k, v in pairs) + "\n"
    for name in sorted(headers):
        if signed(name) or name in also:
            canonical += f"{name}:{headers[name].strip()}\n"
    canonical += "\n" + ";".join(also) + "\n" + headers["x-oss-content-sha256"]
    moment = headers["x-oss-date"]
    scope = [moment[:8], region, "oss", "aliyun_v4_request"]
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"aliyun_v4" + secret.encode()
    for part in [*scope, f"OSS4-HMAC-SHA256\n{moment}\n{'/'.join(scope)}\n{hashed}"]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
