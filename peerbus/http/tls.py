"""TLS: the certificates of servers, and the authorities that their callers trust."""

import ssl
from pathlib import Path
from typing import NamedTuple

from peerbus.errors import StartError


class Certificate(NamedTuple):
    """A server's certificate with those that lead to its authority, and its key: two files in PEM."""

    file: Path
    key: Path


def certificate_in(file: Path | None, key: Path | None) -> Certificate | None:
    """The certificate in two files, None if neither is named; raises `StartError` for files that cannot be used."""
    if file is None and key is None:
        return None
    if file is None or key is None:
        raise StartError("--certificate and --key go together: name both files, or none.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise StartError(
            f"The certificate in {file} with the key in {key} cannot be used: {_reason(error)}. "
            "Both must be in PEM, belong together, and the key must not be encrypted."
        ) from None
    return Certificate(file.resolve(), key.resolve())


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """The context of a server with this certificate, for TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate.file, certificate.key)
    return context


def trust(ca: Path | None = None) -> ssl.SSLContext:
    """The context of a client that trusts the authorities in a PEM file, or the system's; raises `StartError`."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise StartError(f"There are no certificates to trust in {ca}: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """The reason of an error, without the place in OpenSSL."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
