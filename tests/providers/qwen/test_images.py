"""Pictures on their way into a chat: what is taken, where it may go, and how a message names it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import Image
from chatmock.errors import Kind, Refusal
from chatmock.providers.qwen.images import (
    Picture,
    file_entry,
    grant_body,
    read_grant,
    read_picture,
    uploaded_file,
)

DATA = b"\x89PNG\r\n\x1a\npicture"
SITE = "https://chat.qwen.ai"
STORE = "https://qwen-webui-prod.oss-accelerate.aliyuncs.com"
FILE_URL = f"{STORE}/user-1/f1_a.png?x-oss-expires=300&x-oss-signature=abc"
TOLD = {
    "access_key_id": "STS.id",
    "access_key_secret": "the-secret",
    "security_token": "CAIS+/token=",
    "bucketname": "qwen-webui-prod",
    "region": "oss-ap-southeast-1",
    "endpoint": "oss-accelerate.aliyuncs.com",
    "file_path": "user-1/f1_a.png",
    "file_url": FILE_URL,
    "file_id": "f1",
}


def data_url(data: bytes = DATA, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def answer(**changes: Any) -> bytes:
    return json.dumps({"success": True, "request_id": "r", "data": {**TOLD, **changes}}).encode()


def refused(call: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


@settings(max_examples=50)
@given(
    data=st.binary(min_size=1, max_size=200),
    kind=st.sampled_from(
        [
            ("image/png", "png"),
            ("image/jpeg", "jpg"),
            ("image/webp", "webp"),
            ("image/gif", "gif"),
            ("image/bmp", "bmp"),
        ]
    ),
)
def test_a_picture_is_read(data: bytes, kind: tuple[str, str]) -> None:
    picture = read_picture(Image(data_url(data, kind[0])), 200)
    digest = hashlib.sha256(data).hexdigest()
    assert picture == Picture(kind[0], data, digest)
    assert picture.name == f"{digest[:16]}.{kind[1]}"


@pytest.mark.parametrize(
    "url",
    [
        data_url(kind="image/PNG"),
        data_url(kind="image/png;name=a.png"),
        data_url().rstrip("="),
        data_url().replace("/", "_").replace("image_png", "image/png"),
        data_url().replace("=", "%3D").replace("/", "%2F").replace("image%2Fpng", "image/png"),
    ],
)
def test_ways_to_write_it(url: str) -> None:
    assert read_picture(Image(url), 100).content == DATA


def test_another_name_of_a_type() -> None:
    assert read_picture(Image(data_url(kind="image/jpg")), 100).media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/a.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
        ("", "invalid_image_url"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "invalid_image_format"),
        ("data:image/svg+xml,%3Csvg/%3E", "invalid_image_format"),
        ("data:text/plain;base64,QUJD", "invalid_image_format"),
        ("data:;base64,QUJD", "invalid_image_format"),
        ("data:image/png;base64,", "invalid_base64_image"),
        ("data:image/png;base64,QUJ!", "invalid_base64_image"),
        ("data:image/png;base64,A", "invalid_base64_image"),
        ("data:image/png;base64,=QUJ", "invalid_base64_image"),
    ],
)
def test_what_is_no_picture(url: str, code: str) -> None:
    refusal = refused(lambda: read_picture(Image(url), 100, "messages[0]"))
    assert (refusal.kind, refusal.code, refusal.param) == (Kind.BAD_REQUEST, code, "messages[0]")


def test_a_link_is_told_what_to_send() -> None:
    refusal = refused(lambda: read_picture(Image("https://example.com/a.png"), 100))
    assert refusal.message.startswith("chat.qwen.ai takes only inline images")


@pytest.mark.parametrize("size", [101, 150, 5000])
def test_the_limit(size: int) -> None:
    assert len(read_picture(Image(data_url(b"x" * 100)), 100).content) == 100
    refusal = refused(lambda: read_picture(Image(data_url(b"x" * size)), 100))
    assert refusal.status == 400
    assert "100 bytes (CHATMOCK_MAX_IMAGE_BYTES)" in refusal.message


def test_leave_is_asked_for() -> None:
    picture = read_picture(Image(data_url()), 100)
    assert json.loads(grant_body(picture)) == {
        "filename": picture.name,
        "filesize": len(DATA),
        "filetype": "image",
    }


def test_leave_is_read() -> None:
    grant = read_grant(answer(), SITE)
    assert grant.upload_url == f"{STORE}/user-1/f1_a.png"
    assert grant.file_url == FILE_URL
    assert (grant.region, grant.file_id, grant.link_seconds) == ("oss-ap-southeast-1", "f1", 300.0)
    assert grant.credentials.access_key_secret.reveal() == "the-secret"
    assert grant.credentials.security_token.reveal() == "CAIS+/token="


def test_secrets_are_not_shown() -> None:
    grant = read_grant(answer(), SITE)
    file = uploaded_file(read_picture(Image(data_url()), 100), grant, 1.0)
    shown = repr(grant) + repr(file)
    assert not [secret for secret in ("STS.id", "the-secret", "CAIS", "x-oss-signature") if secret in shown]


@pytest.mark.parametrize(
    ("query", "seconds"),
    [("", None), ("?x-oss-expires=", None), ("?x-oss-expires=soon", None), ("?a=1&x-oss-expires=60", 60.0)],
)
def test_how_long_a_link_works(query: str, seconds: float | None) -> None:
    assert read_grant(answer(file_url=f"{STORE}/a.png{query}"), SITE).link_seconds == seconds


@pytest.mark.parametrize(
    "url",
    [
        "https://store.evil.example/a.png",
        "https://aliyuncs.com.evil.example/a.png",
        "https://b.oss.aliyuncs.com.evil.example/a.png",
        "https://evilaliyuncs.com/a.png",
        "https://aliyuncs.com/a.png",
        "https://evil.example/.oss.aliyuncs.com/a.png",
        "https://b.oss.aliyuncs.com@evil.example/a.png",
        "https://evil.example@b.oss.aliyuncs.com/a.png",
        "https://evil.example\\@b.oss.aliyuncs.com/a.png",
        "https://evil.example\\.aliyuncs.com/a.png",
        "https://evil.example#.aliyuncs.com/a.png",
        "https://evil.example?.aliyuncs.com/a.png",
        "https://evil.example%2f.aliyuncs.com/a.png",
        "https://b.oss.aliyuncs.com:8443/a.png",
        "https://b.oss.aliyuncs.com:x/a.png",
        "https://[::1/a.png",
        "http://b.oss.aliyuncs.com/a.png",
        "ftp://b.oss.aliyuncs.com/a.png",
        "//b.oss.aliyuncs.com/a.png",
        "https://b.oss.aliyuncs.com/",
        "https://b.oss.aliyuncs.com",
        "http://127.0.0.1:8080/a.png",
        "https://127.0.0.1/a.png",
        "http://localhost/a.png",
        "",
    ],
)
def test_a_picture_goes_to_no_other_place(url: str) -> None:
    refusal = refused(lambda: read_grant(answer(file_url=url), SITE))
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_protocol")
    assert "evil" not in refusal.message


@pytest.mark.parametrize(
    ("base_url", "url", "upload_url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/b/a.png?x=1", "http://127.0.0.1:8001/b/a.png"),
        ("http://localhost", "http://[::1]:80/b/a.png", "http://[::1]:80/b/a.png"),
        ("http://127.0.0.1:8000", f"{STORE}/a b.png", f"{STORE}/a%20b.png"),
    ],
)
def test_a_chat_at_home_may_have_its_store_there(base_url: str, url: str, upload_url: str) -> None:
    assert read_grant(answer(file_url=url), base_url).upload_url == upload_url


def test_a_chat_at_home_sends_nothing_out() -> None:
    refused(lambda: read_grant(answer(file_url="http://10.0.0.1/b/a.png"), "http://127.0.0.1:8000"))


def test_a_path_is_written_as_it_is_signed() -> None:
    told = answer(file_url=f"{STORE}/a b+%2B%C3%A9\u00e9.png?q")
    assert read_grant(told, SITE).upload_url == f"{STORE}/a%20b%2B%2B%C3%A9%C3%A9.png"


@pytest.mark.parametrize("name", ["access_key_id", "access_key_secret", "security_token", "file_id"])
@pytest.mark.parametrize("value", ["", "a\r\nX-Evil: 1", "a b", "\u00e9", None, 7])
def test_what_cannot_stand_in_a_header(name: str, value: object) -> None:
    assert refused(lambda: read_grant(answer(**{name: value}), SITE)).code == "upstream_protocol"


@pytest.mark.parametrize("region", ["", "AP", "a/b", "x" * 41])
def test_no_region(region: str) -> None:
    assert refused(lambda: read_grant(answer(region=region), SITE)).code == "upstream_protocol"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"data": null}', b'{"data": {"file_id": "1"}}', b"\xff"]
)
def test_no_leave(body: bytes) -> None:
    assert refused(lambda: read_grant(body, SITE)).kind is Kind.UPSTREAM_FAILED


def test_an_entry_of_a_message() -> None:
    picture = attrs.evolve(read_picture(Image(data_url()), 100), digest="ab" * 32)
    entry = file_entry(
        uploaded_file(picture, read_grant(answer(), SITE), 1_772_616_000.5), "item-1", "task-1"
    )
    name = "abababababababab.png"
    assert entry == {
        "type": "image",
        "file": {
            "created_at": 1772616000500,
            "data": {},
            "filename": name,
            "hash": None,
            "id": "f1",
            "meta": {"name": name, "size": len(DATA), "content_type": "image/png"},
            "update_at": 1772616000500,
        },
        "id": "f1",
        "url": FILE_URL,
        "name": name,
        "collection_name": "",
        "progress": 0,
        "status": "uploaded",
        "greenNet": "success",
        "size": len(DATA),
        "error": "",
        "itemId": "item-1",
        "file_type": "image/png",
        "showType": "image",
        "file_class": "vision",
        "uploadTaskId": "task-1",
    }


def test_a_digest_is_worked_out_once_and_changes_no_picture() -> None:
    image, other = Image(data_url()), Image(data_url())
    assert image.digest is image.digest
    assert (image.digest, len(image.digest)) == (other.digest, 32)
    assert image.digest != Image(data_url(DATA + b"x")).digest
    assert (image, hash(image), repr(image)) == (Image(data_url()), hash(Image(data_url())), repr(other))
    assert attrs.evolve(image, url="https://x/y").digest == Image("https://x/y").digest
