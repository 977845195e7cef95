"""TLS: the certificates of servers, and the authorities that their callers trust."""

import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from peerbus.errors import StartError

log = logging.getLogger(__name__)


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
    return Certificate(file.absolute(), key.absolute())  # not resolved: their links may change


class RereadContext:
    """A context made of files, and made again for the first connection after they changed.

    While the files cannot be used, such as a certificate whose key has yet to be replaced, the context made before
    stays in use, and one error is logged for each change.
    """

    def __init__(self, files: Sequence[Path], make: Callable[[], ssl.SSLContext]) -> None:
        """Make the context now; raises the error of `make`."""
        self._files = files
        self._make = make
        self._made_of = self._versions()
        self._context = make()

    def now(self) -> ssl.SSLContext:
        """The context for a connection that begins now."""
        versions = self._versions()
        if versions != self._made_of:
            self._made_of = versions
            names = " and ".join(map(str, self._files))
            try:
                self._context = self._make()
                log.info("The certificates in %s have changed, and are used for new connections.", names)
            except (OSError, ValueError, StartError) as error:
                reason = error if isinstance(error, StartError) else f"{_reason(error)}."
                log.error(
                    "The certificates in %s have changed and cannot be used; those read before stay in use: %s",
                    names,
                    reason,
                )
        return self._context

    def _versions(self) -> list[tuple[int, int, int] | None]:
        """For each file, values that change with its content; links are followed, None is for a missing file."""
        return [_version(file) for file in self._files]


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """The context of a server, for TLS 1.2 or later: each handshake has the certificate that is in the files then."""
    reread = RereadContext(certificate, lambda: _with_certificate(certificate))

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, *_: object) -> None:
        connection.context = reread.now()

    context = _with_certificate(certificate)
    context.sni_callback = choose
    return context


def _with_certificate(certificate: Certificate) -> ssl.SSLContext:
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
