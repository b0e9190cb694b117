"""How each kind of device is told to trust the authority. Pure: the words for the console and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

FILE: Final = "chatmock-ca.crt"
"""What the authority's certificate is called on a device; some know certificates by this ending only."""


@attrs.frozen
class Device:
    """A kind of device."""

    name: str
    steps: Sequence[str]
    """What to do, in order, a sentence each."""
    commands: Sequence[str] = ()
    """Where it is done by commands instead, or settings of the environment."""


DEVICES: Final = (
    Device(
        "Debian, Ubuntu, Raspberry Pi OS",
        (),
        (f"sudo cp {FILE} /usr/local/share/ca-certificates/{FILE}", "sudo update-ca-certificates"),
    ),
    Device(
        "Fedora, RHEL",
        (),
        (f"sudo cp {FILE} /etc/pki/ca-trust/source/anchors/{FILE}", "sudo update-ca-trust"),
    ),
    Device(
        "macOS",
        (),
        (f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {FILE}",),
    ),
    Device("Windows (a console of the administrator)", (), (f"certutil -addstore -f Root {FILE}",)),
    Device(
        "iPhone, iPad",
        (
            "Open the file in Safari and allow the profile to be downloaded.",
            "Settings: General, VPN & Device Management: install the profile.",
            "Settings: General, About, Certificate Trust Settings: switch it on.",
        ),
    ),
    Device(
        "Android",
        (
            "Settings: Security, Encryption & credentials, Install a certificate, CA certificate: choose the file.",
            "Browsers then trust it; other apps do only where their makers allow it.",
        ),
    ),
    Device(
        "Firefox (which trusts what the system trusts on Windows and macOS only)",
        (
            "Settings: Privacy & Security, View Certificates, Authorities, Import.",
            "Choose the file, and trust it to identify websites.",
        ),
    ),
    Device(
        "Python, Node and curl, without the system",
        (
            "For programs that ask nobody else: the first two replace the authorities that were trusted before.",
        ),
        (
            f'export SSL_CERT_FILE="$PWD/{FILE}"        # Python, the OpenAI SDK, httpx',
            f'export REQUESTS_CA_BUNDLE="$PWD/{FILE}"   # Python requests',
            f'export NODE_EXTRA_CA_CERTS="$PWD/{FILE}"  # Node',
            f"curl --cacert {FILE} https://…",
        ),
    ),
)


def as_text() -> str:
    """All of them, for a console; without a last line end."""
    lines: list[str] = []
    for device in DEVICES:
        lines.append(f"  {device.name}:")
        lines.extend(f"    {number}. {step}" for number, step in enumerate(device.steps, 1))
        lines.extend(f"    {command}" for command in device.commands)
    return "\n".join(lines)
