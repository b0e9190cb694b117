"""The signature of an upload: the store's own arithmetic is checked against Alibaba's examples, ours against the store's."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen.oss_signature import StsCredentials, sign_put
from chatmock.settings import Secret
from tests.upstreams.qwen_store import signature_v4

QUERY = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2=&param2="
SENT = {
    "x-oss-head1": "value",
    "abc": "value",
    "zabc": "value",
    "xyz": "value",
    "content-type": "text/plain",
    "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
}
NOW = datetime(2026, 7, 12, 12, 34, 56, tzinfo=UTC)
KEY = StsCredentials("STS.id", Secret("the-secret"), Secret("CAIS+/token="))


@pytest.mark.parametrize(
    ("more", "additional", "signature"),
    [
        (
            {"x-oss-date": "20231216T162057Z"},
            [],
            "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe",
        ),
        (
            {"x-oss-date": "20231217T034736Z", "x-oss-security-token": "token"},
            [],
            "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea",
        ),
        (
            {"x-oss-date": "20231216T172512Z"},
            ["abc", "x-oss-head1", "x-oss-no-exist", "zabc"],
            "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
        ),
    ],
)
def test_the_store_signs_as_alibabas_own_tests_expect(
    more: dict[str, str], additional: list[str], signature: str
) -> None:
    """The values are those that the tests of Alibaba's SDKs expect."""
    headers = {**SENT, **more}
    path = "/bucket/1234+-/123/1.txt"
    assert signature_v4("PUT", path, QUERY, headers, "sk", "cn-hangzhou", additional) == signature


@settings(max_examples=60)
@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1),
    region=st.sampled_from(["ap-southeast-1", "oss-ap-southeast-1", "cn-hangzhou"]),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    encoded=st.booleans(),
)
def test_an_upload_is_signed_as_the_store_does(key: str, region: str, secret: str, encoded: bool) -> None:
    path = "user-1/" + (quote(key) if encoded else key.translate({ord(c): quote(c) for c in "%?#"}))
    credentials = StsCredentials("STS.id", Secret(secret), Secret("token"))
    headers = sign_put(
        f"https://pictures.oss-accelerate.aliyuncs.com/{path}", region, credentials, "image/png", NOW
    )
    authorization = headers.pop("Authorization")
    sent = {name.lower(): value for name, value in headers.items()}
    place = region.removeprefix("oss-")
    right = signature_v4("PUT", f"/pictures/{path}", "", sent, secret, place)
    scope = f"20260712/{place}/oss/aliyun_v4_request"
    assert authorization == f"OSS4-HMAC-SHA256 Credential=STS.id/{scope},Signature={right}"


def test_the_other_headers() -> None:
    headers = sign_put("https://b.oss-accelerate.aliyuncs.com/a.png", "ap-southeast-1", KEY, "image/png", NOW)
    del headers["Authorization"]
    assert headers == {
        "Content-Type": "image/png",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": "20260712T123456Z",
        "x-oss-security-token": "CAIS+/token=",
    }


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/pictures/a%20b.png",
        "https://oss-ap-southeast-1.aliyuncs.com/pictures/a%20b.png",
        "https://pictures.oss-ap-southeast-1-internal.aliyuncs.com/a b.png",
    ],
)
def test_the_bucket_is_signed_wherever_it_stands(url: str) -> None:
    same = "https://pictures.oss-accelerate.aliyuncs.com/a%20b.png"
    signed = [sign_put(each, "ap-southeast-1", KEY, "image/png", NOW) for each in (url, same)]
    assert signed[0] == signed[1]


def test_the_key_is_not_shown() -> None:
    assert "the-secret" not in repr(KEY)
    assert "CAIS" not in repr(KEY)
    assert "STS.id" not in repr(KEY)
