"""TLS as sslyze, sslscan, testssl and nghttp see it, with a certificate that `chatmock tls init` has made (P4)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.security.external.judging import (
    Daemon,
    Row,
    chatmock,
    daemon,
    folder,
    good_if,
    program,
    report,
    skipped,
    version,
)

SECONDS = 300
_BAD = re.compile(r"NOT ok|VULNERABLE(?! \(OK\))|not ok", re.IGNORECASE)
_HARMLESS = re.compile(r"not vulnerable|no fallback possible", re.IGNORECASE)


def judge() -> Iterator[Row]:
    """What each of them finds."""
    with folder() as home:
        chatmock(home, "tls", "init")
        made = next(home.rglob("tls"))
        files = _by_kind(made)
        with daemon(home, "--tls-cert", files["server"], "--tls-key", files["key"]) as running:
            yield _sslyze(running, files["ca"])
            yield _sslscan(running)
            yield _testssl(running)
            yield _nghttp(running)
            yield good_if(running.tracebacks() == 0, "the daemon's log", f"{running.tracebacks()} tracebacks")


def _by_kind(made: Path) -> dict[str, str]:
    """The files of `tls init`: the authority's certificate, the server's and its key."""
    found = {"ca": made / "ca.pem", "server": made / "server.pem", "key": made / "server-key.pem"}
    missing = [str(path) for path in found.values() if not path.exists()]
    if missing:
        raise RuntimeError(f"not made by tls init: {missing}; there are {sorted(map(str, made.iterdir()))}")
    return {kind: str(path) for kind, path in found.items()}


def _run(command: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


def _sslyze(running: Daemon, ca: str) -> Row:
    tool = program("sslyze")
    if tool is None:
        return skipped("sslyze", "sslyze (PyPI)")
    code, said = _run(
        [tool, "--mozilla_config=intermediate", f"--certinfo_ca_file={ca}", f"localhost:{running.port}"]
    )
    lines = said[said.find("COMPLIANCE AGAINST") :].splitlines()
    detail = " ".join(line.strip() for line in lines if re.match(r" +(localhost:\d+:|\*)", line))
    fine = code == 0 and "OK - Compliant" in detail
    return good_if(fine, f"sslyze {version([tool, '--help'], r'(?<=version )[0-9.]+')}, intermediate", detail)


def _sslscan(running: Daemon) -> Row:
    tool = program("sslscan")
    if tool is None:
        return skipped("sslscan", "sslscan")
    _, said = _run([tool, "--no-colour", f"localhost:{running.port}"])
    enabled = re.findall(r"^((?:SSL|TLS)v[0-9.]+)\s+enabled", said, re.MULTILINE)
    ciphers = re.findall(r"^(?:Preferred|Accepted)\s+\S+\s+\d+ bits\s+(\S+)", said, re.MULTILINE)
    weak = [name for name in ciphers if not re.search("GCM|CHACHA20", name)]
    fine = enabled == ["TLSv1.2", "TLSv1.3"] and bool(ciphers) and not weak
    detail = f"{', '.join(enabled)}; {len(ciphers)} ciphers, {len(weak)} of them not AEAD"
    return good_if(fine, f"sslscan {version([tool, '--version'])}", detail)


def _testssl(running: Daemon) -> Row:
    tool = program("testssl")
    if tool is None:
        return skipped("testssl", "testssl.sh")
    options = ["--quiet", "--color", "0", "--warnings", "off", "--fast", "-p", "-s", "-h", "-U"]
    _, said = _run([tool, *options, f"localhost:{running.port}"])
    lines = [line.strip() for line in said.splitlines()]
    bad = [line for line in lines if _BAD.search(line) and not _HARMLESS.search(line)]
    fine = not bad and "TLS 1.3" in said
    name = f"testssl {version([tool, '--version'], r'(?<=testssl.sh )[0-9][^ ]*|3[.][0-9][^ ]*')}"
    return good_if(fine, name, "; ".join(bad) or "nothing is NOT ok, nothing VULNERABLE")


def _nghttp(running: Daemon) -> Row:
    tool = program("nghttp")
    if tool is None:
        return skipped("nghttp: no HTTP/2", "nghttp2-client")
    _, said = _run([tool, "-nv", "-t", "10", f"https://localhost:{running.port}/health"])
    fine = "h2" not in re.findall(r"negotiated protocol: (\S+)", said)
    detail = next((line.strip() for line in said.splitlines() if "protocol" in line), said[-100:])
    return good_if(fine, f"nghttp {version([tool, '--version'])}: no HTTP/2", detail)


if __name__ == "__main__":
    sys.exit(report(judge()))
