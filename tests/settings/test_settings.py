"""The settings: their names and defaults, where values come from, what is refused and with which words."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest

from chatmock.settings import (
    Declaration,
    Secret,
    SettingError,
    Settings,
    declarations,
    load,
    markdown_table,
)
from chatmock.settings.addresses import BaseUrl, Host, NetworkKind, Origin
from chatmock.settings.secrets import SecretHeaders, SecretText
from chatmock.settings.values import (
    Aliases,
    Boolean,
    Choice,
    FileName,
    Items,
    Kind,
    Number,
    Uuid,
    Whole,
    Word,
)

BY_NAME = {each.name: each for each in declarations()}
every_setting = pytest.mark.parametrize("setting", declarations(), ids=lambda each: each.name)
every_secret = pytest.mark.parametrize(
    "setting", [each for each in declarations() if each.secret], ids=lambda each: each.name
)

# name | flag | variables | default as text; "-" for none.
CONTRACT = """
provider | provider | CHATMOCK_PROVIDER | -
model | model | CHATMOCK_MODEL | -
anthropic_models | anthropic-models | CHATMOCK_ANTHROPIC_MODELS | -
config | config | CHATMOCK_CONFIG | -
host | host | CHATMOCK_HOST | 127.0.0.1
port | port | CHATMOCK_PORT PORT | 8000
endpoints | endpoint | CHATMOCK_ENDPOINTS | -
tls_cert | tls-cert | CHATMOCK_TLS_CERT | -
tls_key | tls-key | CHATMOCK_TLS_KEY | -
tls_port | tls-port | CHATMOCK_TLS_PORT | -
ollama_port | ollama-port | CHATMOCK_OLLAMA_PORT | -
responses_days | responses-days | CHATMOCK_RESPONSES_DAYS | 30
responses_max_mb | responses-max-mb | CHATMOCK_RESPONSES_MAX_MB | 256
log_level | log-level | CHATMOCK_LOG_LEVEL | info
verbose | verbose | VERBOSE | off
require_auth | require-auth | CHATMOCK_REQUIRE_AUTH | off
access_token | - | CHATMOCK_ACCESS_TOKEN | -
allow_open | allow-open | CHATMOCK_ALLOW_OPEN ALLOW_OPEN | off
allowed_hosts | allowed-hosts | CHATMOCK_ALLOWED_HOSTS | -
cors_origins | cors-origins | CHATMOCK_CORS_ORIGINS | -
require_tls | require-tls | REQUIRE_TLS | off
trusted_proxies | trusted-proxies | CHATMOCK_TRUSTED_PROXIES | -
max_messages | max-messages | CHATMOCK_MAX_MESSAGES | 64
max_message_chars | max-message-chars | CHATMOCK_MAX_MESSAGE_CHARS | 16384
max_total_bytes | max-total-bytes | CHATMOCK_MAX_TOTAL_BYTES | 262144
max_tokens | max-tokens | CHATMOCK_MAX_TOKENS | 2048
max_image_bytes | max-image-bytes | CHATMOCK_MAX_IMAGE_BYTES | 20971520
rate_limit_rps | rate-limit-rps | CHATMOCK_RATE_LIMIT_RPS | 8
rate_limit_burst | rate-limit-burst | CHATMOCK_RATE_LIMIT_BURST | 16
max_concurrency | max-concurrency | CHATMOCK_MAX_CONCURRENCY | 1
queue_limit | queue-limit | CHATMOCK_QUEUE_LIMIT | 100
queue_timeout | queue-timeout | CHATMOCK_QUEUE_TIMEOUT CHATMOCK_QUEUE_TIMEOUT_S | 120
client_queue_limit | client-queue-limit | CHATMOCK_CLIENT_QUEUE_LIMIT | 32
keepalive_after | keepalive-after | CHATMOCK_KEEPALIVE_AFTER | 5
max_connections | max-connections | CHATMOCK_MAX_CONNECTIONS | 512
max_connections_per_address | max-connections-per-address | CHATMOCK_MAX_CONNECTIONS_PER_ADDRESS | 128
connect_timeout | connect-timeout | CHATMOCK_CONNECT_TIMEOUT | 10
first_byte_timeout | first-byte-timeout | CHATMOCK_FIRST_BYTE_TIMEOUT | 120
idle_timeout | idle-timeout | CHATMOCK_IDLE_TIMEOUT | 120
total_timeout | total-timeout | CHATMOCK_TOTAL_TIMEOUT | 1800
max_cooldown | max-cooldown | CHATMOCK_MAX_COOLDOWN | 900
stall_timeout | stall-timeout | CHATMOCK_STALL_TIMEOUT | 30
xai_api_key | - | XAI_API_KEY | -
grok_base_url | grok-base-url | CHATMOCK_GROK_BASE_URL | https://api.x.ai/v1
grok_models | grok-models | CHATMOCK_GROK_MODELS | -
grok_aliases | grok-aliases | CHATMOCK_GROK_ALIASES | -
openrouter_api_key | - | OPENROUTER_API_KEY | -
openrouter_base_url | openrouter-base-url | CHATMOCK_OPENROUTER_BASE_URL | https://openrouter.ai/api/v1
openrouter_models | openrouter-models | CHATMOCK_OPENROUTER_MODELS | -
openrouter_aliases | openrouter-aliases | CHATMOCK_OPENROUTER_ALIASES | -
dashscope_api_key | - | DASHSCOPE_API_KEY | -
dashscope_base_url | dashscope-base-url | CHATMOCK_DASHSCOPE_BASE_URL | https://dashscope-intl.aliyuncs.com/compatible-mode/v1
dashscope_models | dashscope-models | CHATMOCK_DASHSCOPE_MODELS | -
dashscope_aliases | dashscope-aliases | CHATMOCK_DASHSCOPE_ALIASES | -
compatible_base_url | compatible-base-url | CHATMOCK_COMPATIBLE_BASE_URL | -
compatible_api_key | - | CHATMOCK_COMPATIBLE_API_KEY | -
compatible_models | compatible-models | CHATMOCK_COMPATIBLE_MODELS | -
compatible_aliases | compatible-aliases | CHATMOCK_COMPATIBLE_ALIASES | -
ollama_upstream | ollama-upstream | CHATMOCK_OLLAMA_UPSTREAM | -
ollama_models | ollama-models | CHATMOCK_OLLAMA_MODELS | -
ollama_aliases | ollama-aliases | CHATMOCK_OLLAMA_ALIASES | -
home | home | CHATGPT_LOCAL_HOME CODEX_HOME | ~/.chatgpt-local
reasoning_effort | reasoning-effort | CHATGPT_LOCAL_REASONING_EFFORT | medium
reasoning_summary | reasoning-summary | CHATGPT_LOCAL_REASONING_SUMMARY | auto
reasoning_compat | reasoning-compat | CHATGPT_LOCAL_REASONING_COMPAT | think-tags
expose_reasoning_models | expose-reasoning-models | CHATGPT_LOCAL_EXPOSE_REASONING_MODELS | off
debug_model | debug-model | CHATGPT_LOCAL_DEBUG_MODEL | -
enable_web_search | enable-web-search | CHATGPT_LOCAL_ENABLE_WEB_SEARCH | off
fast_mode | fast-mode | CHATGPT_LOCAL_FAST_MODE | off
inject_base_prompt | inject-base-prompt | INJECT_BASE_PROMPT | on
base_prompt_path | base-prompt-path | CHATMOCK_BASE_PROMPT_PATH | -
chatgpt_base_url | chatgpt-base-url | CHATMOCK_CHATGPT_BASE_URL | https://chatgpt.com/backend-api/codex
chatgpt_issuer | chatgpt-issuer | CHATGPT_LOCAL_ISSUER | https://auth.openai.com
chatgpt_client_id | chatgpt-client-id | CHATGPT_LOCAL_CLIENT_ID | app_EMoamEEZ73f0CkXaXp7hrann
login_bind | login-bind | CHATGPT_LOCAL_LOGIN_BIND | 127.0.0.1
chatgpt_models | chatgpt-models | CHATMOCK_CHATGPT_MODELS | -
chatgpt_aliases | chatgpt-aliases | CHATMOCK_CHATGPT_ALIASES | -
qwen_auth_token | - | QWEN_AUTH_TOKEN | -
qwen_cookies | - | QWEN_COOKIES | -
qwen_headers | - | QWEN_HEADERS | -
qwen_chat_id | qwen-chat-id | QWEN_CHAT_ID | -
qwen_model | qwen-model | QWEN_MODEL | -
qwen_base_url | qwen-base-url | CHATMOCK_QWEN_BASE_URL | https://chat.qwen.ai
qwen_models | qwen-models | CHATMOCK_QWEN_MODELS | -
qwen_aliases | qwen-aliases | CHATMOCK_QWEN_ALIASES | -
"""

# For each kind two texts with their values, neither of them a default.
SAMPLES: Mapping[type[Kind[Any]], Any] = {
    Word: (("grok-4", "grok-4"), ("gpt-5.1", "gpt-5.1")),
    Whole: (("5", 5), ("7", 7)),
    Number: (("1.5", 1.5), ("2", 2.0)),
    FileName: (("/etc/a b", Path("/etc/a b")), ("~/x", Path("~/x"))),
    Host: (("0.0.0.0", "0.0.0.0"), ("::1", "::1")),
    SecretHeaders: (('{"bx-v": "2.5"}', {"bx-v": Secret("2.5")}), ('{"a":"b c"}', {"a": Secret("b c")})),
    Uuid: (
        ("004C84C5-5f3e-4a51-9d2b-6f1f2f6c1a77", "004c84c5-5f3e-4a51-9d2b-6f1f2f6c1a77"),
        ("114c84c5-5f3e-4a51-9d2b-6f1f2f6c1a77", "114c84c5-5f3e-4a51-9d2b-6f1f2f6c1a77"),
    ),
    SecretText: (("key-one", Secret("key-one")), ("key-two", Secret("key-two"))),
    BaseUrl: (("https://one.test/v1/", "https://one.test/v1"), ("http://[::1]:9", "http://[::1]:9")),
    Aliases: (("a=b, c = d", {"a": "b", "c": "d"}), ("e=f", {"e": "f"})),
}
ITEM_SAMPLES: Mapping[type[Kind[Any]], Any] = {
    Host: (("nas.lan, 192.0.2.7", ("nas.lan", "192.0.2.7")), ("a.test", ("a.test",))),
    Word: (("tcp:1 tcp:2", ("tcp:1", "tcp:2")), ("tcp:3", ("tcp:3",))),
    Origin: (("https://a.test, *", ("https://a.test", "*")), ("http://b:8", ("http://b:8",))),
    NetworkKind: (
        ("10.0.0.0/8 ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("1.2.3.4", (ip_network("1.2.3.4"),)),
    ),
}
# What the sampled values need beside them, see the checks of settings together.
COMPANIONS = {
    "XAI_API_KEY": "companion",
    "OPENROUTER_API_KEY": "companion",
    "CHATMOCK_ACCESS_TOKEN": "companion",
    "CHATMOCK_TLS_CERT": "/cert",
    "CHATMOCK_TLS_KEY": "/key",
}
# For each kind a text it refuses.
BAD: Mapping[type[Kind[Any]], str] = {
    Word: "two words",
    Choice: "zzz",
    Boolean: "maybe",
    Whole: "-1",
    Number: "nan",
    FileName: "a\nb",
    Host: "a b",
    SecretHeaders: '{"x": "canary 3f9a1c\\n"}',
    Uuid: "004c84c5",
    SecretText: "canary 3f9a1c\n",
    BaseUrl: "ftp://a.test",
    Aliases: "a=b,c",
}
BAD_ITEM: Mapping[type[Kind[Any]], str] = {
    Host: "a b/",
    Word: "a\x7fb",
    Origin: "https://a/",
    NetworkKind: "10.0.0.1/8",
}


def no_file(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def holding(text: str | bytes) -> Callable[[str], bytes]:
    return lambda path: text if isinstance(text, bytes) else text.encode()


def samples(setting: Declaration) -> Any:
    if isinstance(setting.kind, Choice):
        first, second = [each for each in setting.choices if each != setting.default][:2]
        return ((first, first), (second.upper(), second))
    if isinstance(setting.kind, Boolean):
        return (("no", False), ("YES", True)) if setting.default else (("1", True), ("Off", False))
    if isinstance(setting.kind, Items):
        return ITEM_SAMPLES[type(setting.kind.item)]
    return SAMPLES[type(setting.kind)]


def bad(setting: Declaration) -> str:
    return BAD_ITEM[type(setting.kind.item)] if isinstance(setting.kind, Items) else BAD[type(setting.kind)]


def beside(setting: Declaration) -> dict[str, str]:
    return {name: text for name, text in COMPANIONS.items() if name not in setting.environment}


def refusal(
    flags: Mapping[str, object], environ: Mapping[str, str], read_file: Callable[[str], bytes] = no_file
) -> str:
    with pytest.raises(SettingError) as caught:
        load(flags, environ, read_file)
    message = str(caught.value)
    assert message.isprintable(), "one line, nothing that moves a terminal's cursor"
    return message


def toml(value: object) -> str:
    """A value in the file's own types."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(old)} = {json.dumps(new)}" for old, new in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    return json.dumps(value.reveal() if isinstance(value, Secret) else str(value), ensure_ascii=False)


# --- declarations


def test_names_and_defaults_are_those_of_the_contract() -> None:
    declared = [
        " | ".join(
            (each.name, each.flag or "-", " ".join(each.environment), each.render(each.default) or "-")
        )
        for each in declarations()
    ]
    assert declared == CONTRACT.strip().splitlines()


@every_setting
def test_a_declaration_is_complete(setting: Declaration) -> None:
    assert setting.doc
    assert "\n" not in setting.doc
    assert bool(setting.unit) == isinstance(setting.kind, Whole | Number)
    assert setting.environment
    assert (setting.flag is None) == setting.secret
    assert getattr(Settings(), setting.name) == setting.default
    assert setting.in_file == (setting.name != "config")


def test_names_are_unique() -> None:
    variables = [name for each in declarations() for name in each.environment]
    flags = [each.flag for each in declarations() if each.flag is not None]
    assert len(set(variables)) == len(variables)
    assert len(set(flags)) == len(flags)


def test_every_attribute_is_declared() -> None:
    assert {each.name for each in attrs.fields(Settings)} == {*BY_NAME, "given"}


# --- where values come from


def test_nothing_given_gives_the_defaults() -> None:
    settings = load({}, {}, no_file)
    assert settings == Settings()
    assert settings.given == {}
    assert hash(settings) == hash(Settings())


@every_setting
def test_flag_wins_over_environment_over_file_over_default(setting: Declaration) -> None:
    (text, value), (other, other_value) = samples(setting)
    assert value not in (setting.default, other_value)
    variable, environ = setting.environment[0], beside(setting)
    in_file = holding(f"{setting.name} = {toml(other)}" if setting.in_file else "")
    config = {} if setting.name == "config" else {"CHATMOCK_CONFIG": "c.toml"}

    def found(
        flags: Mapping[str, object], environ: Mapping[str, str], read_file: Callable[[str], bytes]
    ) -> tuple[object, str]:
        settings = load(flags, environ, read_file)
        return getattr(settings, setting.name), str(settings.given[setting.name])

    if setting.flag is not None:
        flag = f"--no-{setting.flag}" if setting.negatable else f"--{setting.flag}"
        raw = value if setting.switch else text
        assert found({setting.name: raw}, environ | config | {variable: other}, in_file) == (value, flag)
        assert found({setting.name: raw}, environ | config, in_file) == (value, flag)
    assert found({}, environ | config | {variable: text}, in_file) == (value, variable)
    if setting.in_file:
        expected = (other_value, f"{setting.name} in c.toml")
        assert found({}, environ | config, in_file) == expected
        assert found({setting.name: None} if setting.flag else {}, environ | config, in_file) == expected


@every_setting
def test_an_empty_variable_is_not_set_and_the_first_of_several_counts(setting: Declaration) -> None:
    (text, value), (other, _) = samples(setting)
    *empty, last = setting.environment
    environ = beside(setting) | dict.fromkeys(empty, " ") | {last: text}
    assert getattr(load({}, environ, holding("")), setting.name) == value
    assert str(load({}, environ, holding("")).given[setting.name]) == last
    if empty:
        assert getattr(load({}, environ | {empty[0]: text, last: other}, no_file), setting.name) == value


def test_the_flag_config_wins_and_names_the_file_that_is_read() -> None:
    files = {"a.toml": b"port = 1", "b.toml": b"port = 2"}
    assert load({}, {"CHATMOCK_CONFIG": "a.toml"}, files.__getitem__).port == 1
    assert load({"config": "b.toml"}, {"CHATMOCK_CONFIG": "a.toml"}, files.__getitem__).port == 2
    assert load({"config": "b.toml"}, {}, files.__getitem__).config == Path("b.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"port = ", "--config=c.toml is not TOML: "),
        (b"port = " + b"9" * 5000, "--config=c.toml is not TOML: "),
        (b"port = " + b"[" * 5000, "--config=c.toml is not TOML: "),
        (b"\xff", "--config=c.toml is not UTF-8"),
        (b"prot = 1", "c.toml: unknown key prot (did you mean port?)"),
        (b"tls-cert = 'x'", "c.toml: unknown key tls-cert (did you mean tls_cert"),
        (b'"a\\nb" = 1', r"c.toml: unknown key 'a\nb'"),
        (b"zzzz = 'canary'", "c.toml: unknown key zzzz"),
        (b"config = 'd.toml'", "c.toml: config cannot be set inside the file"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: bytes, reason: str) -> None:
    message = refusal({"config": "c.toml"}, {}, holding(text))
    assert message.startswith(reason)
    assert "canary" not in message


def test_a_file_that_cannot_be_read_says_who_named_it() -> None:
    expected = "CHATMOCK_CONFIG=c.toml cannot be read: No such file or directory"
    assert refusal({}, {"CHATMOCK_CONFIG": "c.toml"}) == expected


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert load({"config": "c"}, {}, holding("\ufeffport = 1")).port == 1


@pytest.mark.parametrize("name", ["prot", "xai_api_key"])
def test_a_flag_nobody_knows_is_refused(name: str) -> None:
    assert refusal({name: "x"}, {}).startswith(f"no flag sets {name}")


# --- values


@every_setting
def test_a_bad_value_is_named_with_its_place_and_what_is_allowed(setting: Declaration) -> None:
    text = bad(setting)
    shown = "***" if setting.secret else text if text.isprintable() and " " not in text else repr(text)
    for name in setting.environment:
        message = refusal({}, {name: text})
        assert message.startswith(f"{name}={shown} is not allowed")
        assert setting.kind.allowed in message
        assert all(choice in message for choice in setting.choices)
        assert f"({setting.unit})" in message or not setting.unit
    if setting.flag is not None:
        assert refusal({setting.name: text}, {}).startswith(f"--{setting.flag}={shown} is not allowed")
    if setting.in_file:
        in_file = holding(f"{setting.name} = {toml(text)}".replace("\x7f", "\\u007f"))
        message = refusal({"config": "c.toml"}, {}, in_file)
        assert message.startswith(f"{setting.name}={shown} in c.toml is not allowed")
    with pytest.raises(SettingError, match=f"^{setting.name}="):
        Settings(**dict[str, Any]({setting.name: text}))


@every_setting
def test_a_value_of_a_type_nobody_expects_is_refused(setting: Declaration) -> None:
    if setting.in_file:
        for text in ("2024-01-01", "[[1]]", "{x = 1}"):
            message = refusal({"config": "c"}, {}, holding(f"{setting.name} = {text}"))
            assert message.startswith(f"{setting.name}=")


@pytest.mark.parametrize(
    ("name", "text", "shown", "advice"),
    [
        ("PORT", "70000", "70000", ": give a whole number from 0 to 65535 (TCP port)"),
        ("VERBOSE", "2", "2", ": give 1, true, yes, on or 0, false, no, off"),
        ("CHATMOCK_LOG_LEVEL", "warning", "warning", ": give one of debug, info, warn, error, critical"),
        ("CHATMOCK_MAX_TOKENS", "1_000", "1_000", ": give a whole number of at least 1 (tokens)"),
        ("CHATMOCK_RATE_LIMIT_RPS", "0", "0", ": give a number from 0.001 to 1000000 (requests a second)"),
        ("XAI_API_KEY", "sk\n", "***", ": give visible ASCII characters without spaces, on one line"),
        (
            "CHATMOCK_PROVIDER",
            "claude",
            "claude",
            ": give one of chatgpt, grok, openrouter, qwen, dashscope, compatible, ollama, demo",
        ),
        (
            "CHATMOCK_CORS_ORIGINS",
            "https://a.test https://b.test/",
            "'https://a.test https://b.test/'",
            " (https://b.test/): give scheme://host[:port] or *; several separated by commas or white space",
        ),
    ],
)
def test_the_words_of_a_refusal(name: str, text: str, shown: str, advice: str) -> None:
    assert refusal({}, {name: text}) == f"{name}={shown} is not allowed{advice}"


def test_a_long_value_is_cut_in_a_refusal() -> None:
    assert len(refusal({}, {"CHATMOCK_PORT": "9" * 10_000})) < 250


# --- secrets


@every_secret
def test_a_secret_is_shown_nowhere(setting: Declaration) -> None:
    headers = isinstance(setting.kind, SecretHeaders)
    text = '{"x": "canary-3f9a1c"}' if headers else "canary-3f9a1c"
    settings = load({}, {setting.environment[0]: text}, no_file)
    secret = getattr(settings, setting.name)["x"] if headers else getattr(settings, setting.name)
    assert secret.reveal() == "canary-3f9a1c"
    shown = [
        repr(settings),
        str(settings),
        repr(attrs.asdict(settings)),
        f"{secret} {secret!r} {secret:>30}",
        str(secret),
    ]
    assert all("canary" not in text and "***" in text for text in shown)
    assert "canary" not in repr(settings.given)


@every_secret
@pytest.mark.parametrize(
    "text", ["canary-3f9a1c\r\nX: y", "canary-3f9a1c\0", " canary-3f9a1c", "canary-3f9a1c-ä", "canary\ttab"]
)
def test_a_bad_secret_is_not_in_its_refusal(setting: Declaration, text: str) -> None:
    for flags, environ, read_file in (
        ({}, {setting.environment[0]: text}, no_file),
        ({"config": "c"}, {}, holding(f"{setting.name} = {json.dumps(text)}")),
    ):
        with pytest.raises(SettingError) as caught:
            load(flags, environ, read_file)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert setting.name in str(caught.value) or setting.environment[0] in str(caught.value)


# --- settings together

KEY = Secret("key")


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        ({"tls_cert": "c"}, {}, "--tls-cert needs CHATMOCK_TLS_KEY"),
        ({}, {"CHATMOCK_TLS_KEY": "k"}, "CHATMOCK_TLS_KEY needs CHATMOCK_TLS_CERT"),
        ({"tls_port": "8443"}, {}, "--tls-port needs CHATMOCK_TLS_CERT and CHATMOCK_TLS_KEY"),
        ({}, {"CHATMOCK_PROVIDER": "grok", "XAI_API_KEY": ""}, "CHATMOCK_PROVIDER=grok needs XAI_API_KEY"),
        ({"provider": "openrouter"}, {}, "--provider=openrouter needs OPENROUTER_API_KEY"),
        ({}, {"CHATMOCK_PROVIDER": "DashScope"}, "CHATMOCK_PROVIDER=dashscope needs DASHSCOPE_API_KEY"),
        (
            {"provider": "compatible"}, {"CHATMOCK_COMPATIBLE_API_KEY": "x"},
            "--provider=compatible needs CHATMOCK_COMPATIBLE_BASE_URL",
        ),
        (
            {"ollama_port": "8000"}, {},
            "--ollama-port=8000 is a port that chatmock listens on already: give it one of its own",
        ),
        ({"provider": "ollama"}, {}, "--provider=ollama needs CHATMOCK_OLLAMA_UPSTREAM"),
        (
            {"ollama_upstream": "http://localhost:11434", "ollama_port": "11434"}, {},
            ("--ollama-upstream is where chatmock itself listens: move the real Ollama to another port"
            " (OLLAMA_HOST=127.0.0.1:11435, say) and give its address"),
        ),
        (
            {}, {"CHATMOCK_OLLAMA_UPSTREAM": "http://127.0.0.2:8000/"},
            ("CHATMOCK_OLLAMA_UPSTREAM is where chatmock itself listens: move the real Ollama to another port"
            " (OLLAMA_HOST=127.0.0.1:11435, say) and give its address"),
        ),
    ],
)  # fmt: skip
def test_what_needs_something_else(
    flags: Mapping[str, object], environ: Mapping[str, str], expected: str
) -> None:
    assert refusal(flags, environ) == expected


@pytest.mark.parametrize(
    ("endpoints", "url", "circle"),
    [
        (("tcp:9000",), "http://127.0.0.1:9000", True),
        (("tcp:port=9000:interface=127.0.0.1",), "http://localhost:9000", True),
        (("tcp:interface=0.0.0.0:port=9000",), "http://localhost:9000", True),
        (("tcp:8123", r"tcp6:9000:interface=\:\:1"), "http://[::1]:9000", True),
        (("tcp6:9000",), "http://[::1]:9000", True),
        (("tcp:9000",), "http://127.0.0.1:9001", False),
        (("tcp:9000",), "http://192.168.1.5:9000", False),
        (("tcp:9000:interface=192.168.1.5",), "http://127.0.0.1:9000", False),
        (("unix:/run/x:9000", "systemd:domain=INET:index=9000"), "http://127.0.0.1:9000", False),
        (("tcp:9000",), "http://127.0.0.1:8000", False),
    ],
)
def test_an_upstream_is_at_no_endpoint_of_its_own(endpoints: tuple[str, ...], url: str, circle: bool) -> None:
    if circle:
        with pytest.raises(SettingError, match="where chatmock itself listens"):
            Settings(endpoints=endpoints, ollama_upstream=url)
    else:
        Settings(endpoints=endpoints, ollama_upstream=url)


@pytest.mark.parametrize("endpoints", [("tcp:9000",), ("tls:tcp:9000",)])
def test_with_tls_there_are_more_ports(endpoints: tuple[str, ...], tmp_path: Path) -> None:
    """The port itself is one of them, unless a TLS endpoint takes its place; that is one too."""
    pem = tmp_path / "x.pem"
    taken = "8000" if endpoints == ("tcp:9000",) else "9000"
    with pytest.raises(SettingError, match="where chatmock itself listens"):
        Settings(endpoints=endpoints, tls_cert=pem, tls_key=pem, ollama_upstream=f"https://127.0.0.1:{taken}")
    Settings(endpoints=endpoints, tls_cert=pem, tls_key=pem, ollama_upstream="https://127.0.0.1:9999")


def test_the_file_is_named_where_it_asked_for_something() -> None:
    message = refusal({"config": "c.toml"}, {}, holding("provider = 'grok'"))
    assert message == "provider=grok in c.toml needs XAI_API_KEY"


def test_settings_made_by_hand_are_checked_too() -> None:
    with pytest.raises(SettingError, match=r"^CHATMOCK_PROVIDER=grok needs XAI_API_KEY$"):
        Settings(provider="grok")
    assert Settings(max_concurrency=4).max_concurrency == 4
    assert Settings(provider="grok", xai_api_key=KEY).provider == "grok"


# --- what is told about settings


def test_the_table_has_a_row_for_each_setting() -> None:
    head, rule, *rows = markdown_table().splitlines()
    assert head == "| option | environment | file key | default | meaning |"
    assert rule.count("|") == 6
    assert all(row.count("|") == 6 for row in rows)
    for setting, row in zip(declarations(), rows, strict=True):
        option, variables, key, default, meaning = [cell.strip() for cell in row.strip("|").split("|")]
        assert option.strip("`").removeprefix("--") in (
            setting.flag,
            "-",
            "[no-]inject-base-prompt",
            "endpoint` (repeatable)",
        )
        assert (option == "-") == setting.secret
        assert variables == ", ".join(f"`{name}`" for name in setting.environment)
        assert key == (f"`{setting.name}`" if setting.in_file else "-")
        assert default == (f"`{text}`" if (text := setting.render(setting.default)) else "-")
        assert meaning.startswith(setting.doc)
        assert all(word in meaning for word in (setting.unit, *setting.choices))


def test_the_settings_need_no_twisted() -> None:
    code = "import sys, chatmock.settings; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
