"""TLS: a certificate and its private key from PEM files, which may be replaced while the server runs."""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Certificate", "CertificateError"]


class CertificateError(Exception):
    """Files that are no certificate and its key; the message is one line that says what to do."""


class Certificate:
    """A certificate in use."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """PEM files: the certificate with those between it and the authority, and its key, not encrypted."""
        self._certificate = certificate
        self._key = key
        #: TLS 1.2 or later, HTTP/1.1.
        self.context = _context()
        self.reload()

    def reload(self) -> None:
        """Has new connections use what the files hold now; raises `CertificateError`, and all is as it was."""
        certificate, key = _read(self._certificate), _read(self._key)
        # Loading that fails half way leaves a context of no use: one that nobody uses goes first, with the same bytes.
        for context in (_context(), self.context):
            with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
                try:
                    context.load_cert_chain(certificate_file, key_file, password=_no_password)
                except (ssl.SSLError, ValueError) as error:
                    raise CertificateError(
                        f"{self._certificate} and {self._key} are not a PEM certificate and its unencrypted key: "
                        f"{getattr(error, 'reason', None) or error}"
                    ) from error


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from error


@contextlib.contextmanager
def _as_file(text: bytes) -> Iterator[str]:
    """The name of a file in memory: OpenSSL takes no bytes, and the files may change between two readings."""
    file = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(file, view) :]
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)
