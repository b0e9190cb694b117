"""The fake object store takes what is signed rightly, for the object that leave was given for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.upstreams.qwen_store import REGION, ObjectStore, signature_v4

NOW = 1_790_000_000.0


class Bench:
    def __init__(self) -> None:
        self.now = NOW
        self.store = ObjectStore(lambda: self.now)
        self.told = self.store.grant("http://127.0.0.1", "a.png", 3)
        self.path = f"/qwen-webui-prod/{self.told['file_path']}"
        self.region = REGION
        self.sent_at = NOW
        self.headers: dict[str, str] = {"content-type": "image/png"}
        self.headers |= {"x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
        self.headers["x-oss-security-token"] = self.told["security_token"]
        self.content = b"abc"

    def sign(self) -> None:
        moment = datetime.fromtimestamp(self.sent_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        self.headers["x-oss-date"] = moment
        secret = self.told["access_key_secret"]
        right = signature_v4("PUT", self.path, "", self.headers, secret, self.region)
        scope = f"{moment[:8]}/{self.region}/oss/aliyun_v4_request"
        self.headers["authorization"] = (
            f"OSS4-HMAC-SHA256 Credential={self.told['access_key_id']}/{scope},Signature={right}"
        )

    def put(self) -> tuple[int, str]:
        reply = self.store.put(self.path, "", self.headers, self.content)
        return reply.status, self.store.refused[-1] if self.store.refused else ""


def test_what_is_signed_rightly_is_stored() -> None:
    bench = Bench()
    bench.sign()
    assert bench.put() == (200, "")
    assert bench.store.objects[bench.path].content == b"abc"
    assert bench.store.objects[bench.path].content_type == "image/png"


def change(name: str, value: Any) -> Callable[[Bench], None]:
    return lambda bench: setattr(bench, name, value)


def header(name: str, value: str) -> Callable[[Bench], None]:
    return lambda bench: bench.headers.__setitem__(name, value)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (None, header("content-type", "image/gif"), (403, "SignatureDoesNotMatch")),
        (None, header("x-oss-meta-a", "b"), (403, "SignatureDoesNotMatch")),
        (None, header("x-oss-security-token", "other"), (403, "InvalidSecurityToken")),
        (None, header("x-oss-content-sha256", "0" * 64), (400, "InvalidArgument")),
        (None, header("authorization", "OSS STS.id:abc"), (400, "InvalidArgument")),
        (None, change("path", "/qwen-webui-prod/other.png"), (403, "SignatureDoesNotMatch")),
        (change("path", "/qwen-webui-prod/other.png"), None, (403, "AccessDenied")),
        (change("region", "oss-ap-southeast-1"), None, (400, "InvalidArgument")),
        (change("sent_at", NOW - 901), None, (403, "RequestTimeTooSkewed")),
        (change("sent_at", NOW + 901), None, (403, "RequestTimeTooSkewed")),
        (None, change("now", NOW + 301), (403, "SecurityTokenExpired")),
        (None, change("content", b"abcd"), (400, "InvalidSize")),
        (lambda bench: bench.told.update(access_key_id="STS.other"), None, (403, "InvalidAccessKeyId")),
        (lambda bench: bench.told.update(access_key_secret="0"), None, (403, "SignatureDoesNotMatch")),
    ],
)
def test_what_is_refused(
    before: Callable[[Bench], None] | None,
    after: Callable[[Bench], None] | None,
    refused: tuple[int, str],
) -> None:
    bench = Bench()
    if before is not None:
        before(bench)
    bench.sign()
    if after is not None:
        after(bench)
    assert bench.put() == refused
    assert bench.store.objects == {}
