"""What the process does for its secrets: no core, no look from outside, a clean environment, tracebacks without words
(spec security.md, P40-P42)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    RefusalText,
    ResponseFormat,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from chatmock.hardening import forget_secrets
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.settings import Secret, Settings, declarations
from tests.security.test_tls_processes import daemon, line_with
from tests.test_starting import ROOT, SECONDS, WAYS

CANARY = "c4nAry-7Rk2Vw9Qz5Lm8Hs3"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc as it is read here")
SECRETS = {name: CANARY for each in declarations() if each.secret for name in each.environment}
SECRETS["QWEN_HEADERS"] = json.dumps({"x-canary": CANARY})


def test_every_secret_setting_is_meant_here() -> None:
    assert {"CHATMOCK_ACCESS_TOKEN", "XAI_API_KEY", "QWEN_AUTH_TOKEN", "QWEN_COOKIES"} <= set(SECRETS)


def test_only_secrets_are_forgotten() -> None:
    environ = {**SECRETS, "CHATMOCK_PORT": "1", "HOME": "/x"}
    forget_secrets(environ)
    assert environ == {"CHATMOCK_PORT": "1", "HOME": "/x"}


def limits(pid: int) -> dict[str, list[str]]:
    """By name; each soft and hard."""
    lines = Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


@LINUX
@pytest.mark.parametrize("command", WAYS)
def test_a_running_daemon_shows_nothing(command: Sequence[str], tmp_path: Path) -> None:
    with daemon(command, tmp_path, CHATMOCK_PORT="0", **SECRETS) as (process, lines):
        line_with(lines, "/v1")
        folder = Path(f"/proc/{process.pid}")
        assert limits(process.pid)["Max core file size"] == ["0", "0"]
        for name in ("cmdline", "comm", "status"):
            assert CANARY.encode() not in (folder / name).read_bytes(), name
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                (folder / "environ").read_bytes()
            return
        environ = (folder / "environ").read_bytes()
    assert CANARY.encode() not in environ
    for name in SECRETS:
        assert f"{name}=".encode() in environ.split(b"\0"), "that is the block that it was started with"


ANOTHER_USER = """
import ctypes, os, resource
from chatmock.hardening import harden
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as it is for who has been that user from the start
before = os.stat("/proc/self/environ").st_uid
os.environ["XAI_API_KEY"] = "key"
harden(os.environ)
print(before, os.stat("/proc/self/environ").st_uid, "XAI_API_KEY" in os.environ)
print(len(os.listdir("/proc/self/fd")) > 2, "VmRSS" in open("/proc/self/status").read())
print(resource.getrlimit(resource.RLIMIT_CORE))
try:
    open("/proc/self/environ", "rb")
except PermissionError:
    print("closed")
"""


@LINUX
@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_the_same_user_cannot_look_into_it_and_it_still_works() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ANOTHER_USER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["65534 0 False", "True True", "(0, 0)", "closed"]


LOGGING = """
import gc, io, json, sys
from twisted.internet.defer import Deferred
from twisted.logger import (
    LegacyLogObserverWrapper, Logger, globalLogBeginner, globalLogPublisher, jsonFileLogObserver, textFileLogObserver)
from twisted.python import log as older
from chatmock.logs import withhold_messages

withhold_messages(globalLogPublisher)
globalLogBeginner.beginLoggingTo([
    textFileLogObserver(sys.stdout),
    LegacyLogObserverWrapper(older.FileLogObserver(sys.stdout).emit),
    jsonFileLogObserver(sys.stdout),
], redirectStandardIO=False)

def fault(secret):
    local = [secret]
    return {}[secret]

canary = sys.argv[1]
def unhandled():
    deferred = Deferred()
    deferred.addCallback(lambda _: fault(canary))
    deferred.callback(None)

def loud(tell):
    try:
        fault(canary)
    except KeyError:
        tell()

loud(lambda: Logger().failure("one"))
loud(lambda: older.err(None, "two"))
loud(older.err)
unhandled()
gc.collect()
try:
    open("/nowhere/at/all")
except OSError:
    Logger().failure("three")
Logger().info("{what}", what="four")
"""


def test_tracebacks_tell_where_and_not_what() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOGGING, CANARY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    said = ran.stdout + ran.stderr
    assert CANARY not in said
    text = "\n".join(line for line in said.splitlines() if not line.startswith("{"))
    for word in ("one", "two", "Unhandled error in Deferred:", "three", "four"):
        assert len(re.findall(rf"{word}\n", text)) == 2, word
    assert text.count("KeyError: (its message is withheld") == 8, "four faults in two logs"
    assert len(re.findall(r"line \d+, in fault", text)) == 8
    assert text.count("No such file or directory: '/nowhere/at/all'") == 2


def _conversation() -> ChatRequest:
    parts: tuple[Any, ...] = (
        Text(CANARY),
        Image(f"data:image/png;base64,{CANARY}"),
        Attachment("input_audio", {"data": CANARY}),
        RefusalText(CANARY),
        ToolCall("call-1", "look", f'{{"what": "{CANARY}"}}'),
        ToolResult("call-1", (Text(CANARY),)),
    )
    return ChatRequest(
        "gpt-5",
        (Message("user", parts),),
        tools=(Tool("look", CANARY, {"description": CANARY}),),
        other_tools=({"type": "web_search", "user_location": CANARY},),
        stop=(CANARY,),
        response_format=ResponseFormat("json_schema", "form", {"description": CANARY}),
        extras={"user": CANARY},
        source=Source("openai-chat", {"messages": [CANARY]}),
        session=CANARY,
        note=CANARY,
    )


def test_a_request_is_shown_by_its_size() -> None:
    shown = repr(_conversation())
    assert CANARY not in shown
    assert f"Text(text=<str of {len(CANARY)}>)" in shown
    assert attrs.asdict(_conversation(), recurse=False)["note"] == CANARY


def test_what_goes_upstream_is_not_shown() -> None:
    headers = {"Authorization": f"Bearer {CANARY}", "Cookie": CANARY}
    request = UpstreamRequest("POST", "https://chat.example.com/v1", headers, CANARY.encode())
    credential = Credential(Secret(CANARY), "account-1")
    settings = Settings(
        access_token=Secret(CANARY),
        xai_api_key=Secret(CANARY),
        qwen_auth_token=Secret(CANARY),
        qwen_cookies=Secret(CANARY),
        qwen_headers={"x-canary": Secret(CANARY)},
    )
    for value in (request, credential, settings):
        assert CANARY not in f"{value!r} {value}"
    assert "'x-canary': ***" in repr(settings)
