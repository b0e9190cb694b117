"""Asks the daemon that runs on this machine, for the commands beside it: without a reactor, and never for long."""

from __future__ import annotations

import http.client
import re
import ssl
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.owner_key import read_owner_key
from chatmock.settings import Secret, Settings
from chatmock.state_files import expanded

SECONDS: Final = 2.0
"""For an answer, whatever is at the other end."""
_MOST_BYTES: Final = 256 * 1024
_TCP: Final = re.compile(r"(tcp6?):(?:port=)?([0-9]{1,5})((?::.*)?)")
_INTERFACE: Final = re.compile(r":interface=((?:[^:\\]|\\.)+)")
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # only asked


class NoDaemonError(Exception):
    """No chatmock answers; the message says why, without a full stop."""


@attrs.frozen
class Reply:
    """What the daemon said."""

    status: int
    body: Mapping[str, Any]

    @property
    def trouble(self) -> str:
        """Why it refused; empty where it did not."""
        error = self.body.get("error")
        message = error.get("message") if isinstance(error, Mapping) else None
        return message if isinstance(message, str) else ""


def daemon_url(settings: Settings) -> str | None:
    """Where a daemon of *settings* is asked, without a path; None where they do not tell, as with a port of 0."""
    if settings.tls_cert is not None:
        port = settings.port if settings.tls_port is None else settings.tls_port
        return _url("https", settings.host, port)
    if not settings.endpoints:
        return _url("http", settings.host, settings.port)
    found = next((each for text in settings.endpoints if (each := _TCP.fullmatch(text))), None)
    if found is None:
        return None
    interface = _INTERFACE.search(found[3])
    host = "::" if found[1] == "tcp6" else ""
    return _url("http", host if interface is None else interface[1].replace("\\", ""), int(found[2]))


def _url(scheme: str, host: str, port: int) -> str | None:
    host = _ANYWHERE.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" if port else None


def ask(settings: Settings, method: str, path: str) -> Reply:
    """Ask the daemon of *settings* as its owner: with the key of its run, else with the access token, as far as there is one.

    :raises NoDaemonError: when none answers within :data:`SECONDS`.
    """
    url = daemon_url(settings)
    if url is None:
        raise NoDaemonError("the settings do not tell where it listens")
    found: list[Reply | Exception] = []

    def work() -> None:
        try:
            found.append(_ask(url, settings, method, path))
        except Exception as error:  # noqa: BLE001  # told below, in the caller's thread
            found.append(error)

    # The time-outs of sockets begin anew with each byte.
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(SECONDS)
    result = found[0] if found else TimeoutError()
    if isinstance(result, Reply):
        return result
    raise NoDaemonError(_why(url, result)) from None


def _ask(url: str, settings: Settings, method: str, path: str) -> Reply:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=SECONDS)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            str(parts.hostname), parts.port, timeout=SECONDS, context=_trusting(settings)
        )
    token = _token(settings, parts.port)
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    try:
        connection.request(method, path, headers={"Accept": "application/json", **headers})
        response = connection.getresponse()
        if response.getheader("Server") != "chatmock":
            raise NoDaemonError(f"what answers at {url} is not chatmock")
        return Reply(response.status, jsontext.loads_object(response.read(_MOST_BYTES)))
    finally:
        connection.close()


def _token(settings: Settings, port: int | None) -> Secret | None:
    """What opens the daemon at *port*."""
    folder = expanded(settings.home)
    found = None if folder is None or port is None else read_owner_key(folder, port)
    return settings.access_token if found is None else found


def _trusting(settings: Settings) -> ssl.SSLContext:
    """Trusts the daemon's own certificate, by whichever name it is called here."""
    context = ssl.create_default_context(cafile=str(settings.tls_cert))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _why(url: str, error: Exception) -> str:
    if isinstance(error, NoDaemonError):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"{url} does not show the certificate of CHATMOCK_TLS_CERT"
    if isinstance(error, TimeoutError):
        return f"{url} does not answer within {SECONDS:g} s"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError) and url.startswith("http:"):
        return f"what listens at {url} says nothing over plain HTTP; if it speaks TLS, set CHATMOCK_TLS_CERT and CHATMOCK_TLS_KEY here as for the daemon"
    if isinstance(error, OSError):
        return f"{url} cannot be reached ({error.strerror or type(error).__name__})"
    if isinstance(error, http.client.HTTPException | JSONError):
        return f"what answers at {url} is not chatmock"
    raise error
