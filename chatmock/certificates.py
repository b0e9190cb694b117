"""The daemon's TLS certificate, from PEM files."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL, crypto
from twisted.internet.error import VerifyError
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

from chatmock.settings import SettingError

_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


def server_options(certificate: Path, key: Path) -> CertificateOptions:
    """TLS options from a PEM certificate (followed by its chain, if there is one) and its PEM key.

    :raises SettingError: when a file cannot be read or the two do not belong together.
    """
    try:
        pem = certificate.expanduser().read_text("ascii")
        blocks = [_PEM_BEGIN + block for block in pem.split(_PEM_BEGIN)[1:]]
        if not blocks:
            raise ValueError("it holds no PEM certificate")
        leaf = PrivateCertificate.loadPEM(blocks[0] + "\n" + key.expanduser().read_text("ascii"))
        chain = [Certificate.loadPEM(block.encode()).original for block in blocks[1:]]
        options = CertificateOptions(
            privateKey=leaf.privateKey.original, certificate=leaf.original, extraCertChain=chain
        )
        options.getContext()  # a key of another certificate shows only here
    except (OSError, ValueError, SSL.Error, crypto.Error, VerifyError) as error:
        raise SettingError(
            f"--tls-cert {certificate}, --tls-key {key}: not usable together ({error})"
        ) from None
    return options
