"""Signs an upload to Alibaba's object store (OSS): version 4, in the ``Authorization`` header (spec upstreams.md, A1.6).

The canonical form and the way to the key follow Alibaba's document "Include a V4 signature in the Authorization
header". Signed are the method, the bucket and the object's name, the content type and every ``x-oss-`` header. The
content itself is not: the connection protects it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import attrs

from chatmock.settings import Secret

_ALGORITHM: Final = "OSS4-HMAC-SHA256"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_STORES: Final = ".aliyuncs.com"
_UNRESERVED: Final = "/-._~"


@attrs.frozen
class StsCredentials:
    """A key that may do one thing for a few minutes, as Alibaba's token service hands them out."""

    access_key_id: str = attrs.field(repr=False)
    access_key_secret: Secret
    security_token: Secret


def sign_put(
    url: str, region: str, credentials: StsCredentials, content_type: str, now: datetime
) -> dict[str, str]:
    """The headers of a ``PUT`` to *url*, which carries no query of its own.

    :param region: where the bucket is, such as ``ap-southeast-1``; ``oss-`` before it is left out.
    :param now: the time in UTC; the store refuses one that is 15 minutes off.
    """
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Type": content_type,
        "x-oss-content-sha256": _UNSIGNED,
        "x-oss-date": moment,
        "x-oss-security-token": credentials.security_token.reveal(),
    }
    day, place = moment[:8], region.removeprefix("oss-")
    scope = f"{day}/{place}/oss/aliyun_v4_request"
    digest = hashlib.sha256(_canonical_put(_resource(url), headers).encode()).hexdigest()
    signed = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signature = _mac(_signing_key(credentials.access_key_secret, day, place), signed).hex()
    credential = f"{credentials.access_key_id}/{scope}"
    return {**headers, "Authorization": f"{_ALGORITHM} Credential={credential},Signature={signature}"}


def _resource(url: str) -> str:
    """The path of the object as it is signed: always with the bucket first, wherever *url* has it.

    A bucket's own host is ``bucket.endpoint.aliyuncs.com``; elsewhere (a store at an address) the path begins with it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    bucket, dot, endpoint = host.partition(".")
    own_host = host.endswith(_STORES) and bool(dot) and endpoint.count(".") > 1
    path = unquote(parts.path)
    return quote(f"/{bucket}{path}" if own_host else path, safe=_UNRESERVED)


def _canonical_put(resource: str, headers: Mapping[str, str]) -> str:
    lines = sorted(f"{name.lower()}:{value.strip()}\n" for name, value in headers.items())
    query = additional_headers = ""
    return "\n".join(("PUT", resource, query, "".join(lines), additional_headers, _UNSIGNED))


def _signing_key(secret: Secret, day: str, region: str) -> bytes:
    key = f"aliyun_v4{secret.reveal()}".encode()
    for step in (day, region, "oss", "aliyun_v4_request"):
        key = _mac(key, step)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
