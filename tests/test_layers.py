"""The order of the rooms (docs/architecture.md): who may import whom, and who must not know Twisted."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "chatmock"

LAYERS: list[list[str]] = [
    ["jsontext", "durations", "threads", "monotonic", "signals", "deadlines", "unsent"],
    ["errors", "model", "settings"],
    ["conversation", "framing", "vectors"],
    ["events", "catalogue"],
    ["answer", "thinking", "verdicts", "conditions"],
    ["dialects", "providers"],
    ["transcoding", "banner", "account_report", "daemon_report", "health", "openapi"],
    ["http1", "http_head", "stream_failure"],
    ["upstream_connection", "http_body"],
    ["logs", "hardening", "certificates", "upstream_agent", "options"],
    ["upstream", "playback", "state_files", "endpoints", "watch"],
    ["account", "login_files", "issuer", "usage_record", "qwen_uploads", "qwen_turns", "tls", "owner_key"],
    ["heads", "whole_body", "credentials", "catalogue_file", "qwen_stops", "readiness", "daemon_client"],
    ["admission", "discovery", "relay", "stream_reply", "chatgpt_account", "qwen_answer"],
    ["qwen_calls", "http_request", "connection_counts", "access_log", "routing", "identities"],
    ["qwen_account", "keys", "http_terms", "kept_answers"],
    ["http_channel", "exchange", "metrics", "responses_memory"],
    ["table", "surface", "responses_frames", "socket_wire", "embedding", "moved_ollama", "loaded_models"],
    ["responses_turns"],
    ["responses_socket"],
    ["responses_sockets"],
    ["listening", "routes", "responses_routes", "ollama_routes", "anthropic_routes", "ollama_root"],
    ["service"],
    ["running", "tap", "login", "info_command", "heal_command"],
    ["cli"],
    ["__main__"],
]
"""From the bottom up: a module imports from its own package and from the lines above its own, never sideways."""

PURE = ["jsontext", "durations", "account_report", "daemon_report", "health", "verdicts", "conditions", "http1", "http_head", "model", "errors", "settings", "conversation", "framing", "vectors", "events", "catalogue", "answer", "thinking",
        "dialects", "providers", "transcoding", "stream_failure", "banner", "openapi", "admission.backoff", "admission.limits", "admission.client", "admission.exposure", "admission.head", "admission.hosts", "admission.lockout", "admission.origins", "admission.proxies", "admission.rates", "admission.tokens", "admission.fair_queue", "admission.queue_report", "keys.entries", "keys.report", "kept_answers.entries", "kept_answers.items", "kept_answers.packing", "kept_answers.totals", "login.pages", "tls.authority", "tls.trust", "tls.page"]  # fmt: skip


def rooms() -> dict[str, int]:
    return {room: level for level, line in enumerate(LAYERS) for room in line}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            yield name, path


def imported(path: Path) -> set[str]:
    """The modules of ours that *path* imports, without the package's name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "chatmock":
                found |= {
                    f"chatmock.{alias.name}"
                    for alias in node.names
                    if (PACKAGE / f"{alias.name}.py").exists()
                }
    return {name.removeprefix("chatmock.") for name in found if name.startswith("chatmock.")}


def test_every_module_has_a_room() -> None:
    assert {name.partition(".")[0] for name, _ in modules()} == set(rooms())


@pytest.mark.parametrize(("name", "path"), [pytest.param(n, p, id=n) for n, p in modules()])
def test_a_room_imports_only_what_lies_below_it(name: str, path: Path) -> None:
    level = rooms()
    own = name.partition(".")[0]
    for other in imported(path):
        room = other.partition(".")[0]
        assert room == own or level[room] < level[own], f"{name} imports {other}"


def test_dialects_and_providers_do_not_know_each_other() -> None:
    for name, path in modules():
        own = name.partition(".")[0]
        for other in imported(path):
            assert {own, other.partition(".")[0]} != {"dialects", "providers"}, f"{name} imports {other}"


def test_pure_modules_do_not_load_twisted() -> None:
    pure = [n for n, _ in modules() if any(n == room or n.startswith(f"{room}.") for room in PURE)]
    assert len(pure) > 25
    code = (
        "import sys\n"
        + "\n".join(f"import chatmock.{name}" for name in pure)
        + "\nprint(sorted(m for m in sys.modules if m.partition('.')[0] in ('twisted', 'zope', 'klein', 'treq')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_plugin_imports_nothing_that_chooses_a_reactor() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print('twisted.internet.reactor' in sys.modules)"
    plugin = PACKAGE.parent / "twisted" / "plugins" / "chatmock_plugin.py"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(plugin)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
