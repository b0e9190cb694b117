"""Which addresses settings accept: the table of base URLs, the origins of web pages, hosts and networks."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.settings import SettingError, Settings
from chatmock.settings.addresses import BaseUrl, Host, NetworkKind, Origin
from chatmock.settings.values import Kind

# Text, what becomes of it where http may only go to this machine, and where it may stay in the local network.
ALLOWED_URLS = [
    ("https://api.x.ai/v1", "https://api.x.ai/v1", "https://api.x.ai/v1"),
    (" HTTPS://API.X.AI:8443/V1// ", "https://api.x.ai:8443/V1", "https://api.x.ai:8443/V1"),
    ("https://[2001:db8::1]/", "https://[2001:db8::1]", "https://[2001:db8::1]"),
    ("https://8.8.8.8", "https://8.8.8.8", "https://8.8.8.8"),
    ("https://a.test/at@home", "https://a.test/at@home", "https://a.test/at@home"),
    ("http://localhost:8080/v1", "http://localhost:8080/v1", "http://localhost:8080/v1"),
    ("http://127.9.9.9", "http://127.9.9.9", "http://127.9.9.9"),
    ("http://[0:0::1]:1/", "http://[::1]:1", "http://[::1]:1"),
    ("http://10.1.2.3", None, "http://10.1.2.3"),
    ("http://172.31.0.1", None, "http://172.31.0.1"),
    ("http://192.168.1.5:11434/v1", None, "http://192.168.1.5:11434/v1"),
    ("http://169.254.3.4", None, "http://169.254.3.4"),
    ("http://[fd00::7]", None, "http://[fd00::7]"),
    ("http://[fe80::7]", None, "http://[fe80::7]"),
    ("http://ollama_box:11434", None, "http://ollama_box:11434"),
    ("http://3dprinter", None, "http://3dprinter"),
    ("http://nas.Home.Arpa", None, "http://nas.home.arpa"),
    ("http://gpu.lan/v1", None, "http://gpu.lan/v1"),
    ("http://gpu.local", None, "http://gpu.local"),
    ("http://gpu.internal", None, "http://gpu.internal"),
]
REFUSED_URLS = [
    # Plain http to where others may read it.
    "http://api.x.ai/v1",
    "http://8.8.8.8",
    "http://172.32.0.1",
    "http://0.0.0.0",
    "http://192.0.2.1",
    "http://[2001:db8::1]",
    "http://[::ffff:8.8.8.8]",
    "http://[::ffff:10.0.0.1]",
    "http://localhost.evil.test",
    "http://127.0.0.1.evil.test",
    "http://gpu.lan.evil.test",
    "http://evil.notlan",
    # Numbers that resolvers take for addresses.
    "http://2130706433",
    "http://0x7f000001",
    "http://127.1",
    "https://127.1",
    "http://127.0.0.01",
    "https://a.test.0x1",
    # User, query, fragment, and what is no URL.
    "https://u:p@a.test",
    "https://u@a.test",
    "https://@a.test",
    "https://a.test\\@b.test",
    "https://a.test?k=v",
    "https://a.test/?",
    "https://a.test/#f",
    "https://",
    "https:///v1",
    "https:a.test",
    "//a.test",
    "a.test/v1",
    "ftp://a.test",
    "",
    # Ports and hosts.
    "https://a.test:0",
    "https://a.test:65536",
    "https://a.test:",
    "https://a.test:x",
    "https://-a.test",
    "https://a..test",
    "https://a.test.",
    f"https://{'a' * 64}.test",
    f"https://{'a.' * 127}test",
    "https://[::1",
    "https://[fe80::1%25eth0]",
    "https://[1.2.3.4]",
    # Characters.
    "https://a b.test",
    "https://a.test/\nx",
    "https://a.test/\x00",
    "https://ä.test",
    "https://a.test/ä",
    "https://\u212ayoto.test",
    "http\u017f://a.test",
]


@pytest.mark.parametrize(("text", "machine", "network"), ALLOWED_URLS)
def test_base_urls_that_are_allowed(text: str, machine: str | None, network: str) -> None:
    assert BaseUrl(lan=True).read(text) == network
    if machine is None:
        with pytest.raises(ValueError, match="unprotected"):
            BaseUrl().read(text)
    else:
        assert BaseUrl().read(text) == machine


@pytest.mark.parametrize("text", REFUSED_URLS)
def test_base_urls_that_are_refused(text: str) -> None:
    for kind in (BaseUrl(), BaseUrl(lan=True)):
        with pytest.raises(ValueError):
            kind.read(text)


def test_only_the_compatible_server_may_stand_in_the_local_network() -> None:
    url = "http://gpu.lan/v1"
    assert Settings(compatible_base_url=url).compatible_base_url == url
    for name in ("grok", "openrouter", "dashscope", "chatgpt", "qwen"):
        with pytest.raises(SettingError, match=f"^{name}_base_url={url} is not allowed"):
            Settings(**dict[str, Any]({f"{name}_base_url": url}))


@pytest.mark.parametrize(
    "text",
    [
        "https://me:canary@a.test/v1",
        "https://me:a/canary@b.test",
        "htps://me:canary@a.test",
        "https://me:ca\nnary@a.test",
        "https://a.test/v1?key=canary",
        "https://a.test/v1#canary",
    ],
)
def test_a_refused_url_does_not_show_what_may_be_secret(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings(grok_base_url=text)
    assert "nary" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTPS://App.Test:443", "https://app.test"),
        ("http://app.test:80", "http://app.test"),
        ("https://app.test:80", "https://app.test:80"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("http://[0::1]:3000", "http://[::1]:3000"),
        ("http://192.168.0.2", "http://192.168.0.2"),
        ("*", "*"),
    ],
)
def test_origins_become_what_browsers_send(text: str, expected: str) -> None:
    assert Origin().read(text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            (Origin(), text)
            for text in ("null", "https://a.test/", "a.test", "https://*.a.test", "https://", "")
        ),
        *((Origin(), text) for text in ("https://u@a.test", "https://a.test:0", "**", "https://ä.test")),
        *((Host(), text) for text in ("", "*", "[::1]", "a b", "127.1", "http://a", "a:80", "ä")),
        *(
            (NetworkKind(), text)
            for text in ("", "10.0.0.1/8", "10.0.0.0/33", "a.test", "10.0.0.0-10.0.0.9", 5)
        ),
    ],
)
def test_other_addresses_that_are_refused(kind: Kind[object], text: object) -> None:
    with pytest.raises(ValueError):
        kind.read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0.0.0", "0.0.0.0"), ("0::0", "::"), ("NAS.lan", "nas.lan"), ("fe80::1%eth0", "fe80::1%eth0")],
)
def test_hosts_to_listen_on(text: str, expected: str) -> None:
    assert Host().read(text) == expected
