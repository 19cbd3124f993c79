"""The life of a server process: listen, open the data, serve, drain, close."""

import asyncio
import contextlib
import os
import signal
import socket
from typing import Any

from ingot.auth.admin_key import AdminKeyError, read_admin_key
from ingot.auth.key_file import KeyFileError
from ingot.auth.keyring import Keyring
from ingot.errors import IngotError, StorageError
from ingot.http.access_log import ServerLog
from ingot.http.app import App
from ingot.http.certificate import Certificate, CertificateError
from ingot.http.connection import HttpServer
from ingot.http.guard import is_loopback
from ingot.http.watch import raise_descriptor_limit
from ingot.service import Service
from ingot.settings import Settings

__all__ = ["StartError", "serve"]

_BACKLOG = 1024


class StartError(Exception):
    """The server cannot start; the message is one line that says what to do."""


def listen(settings: Settings, protected: bool) -> list[socket.socket]:
    """Sockets bound to the host and port of the settings; refuses to leave data open that no key protects."""
    try:
        found = socket.getaddrinfo(
            settings.host,
            settings.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
            proto=socket.IPPROTO_TCP,
        )
    except (OSError, UnicodeError) as error:
        raise StartError(f"--host {settings.host} is no address of this machine: {error}") from error
    addresses = list(dict.fromkeys((family, address[:2]) for family, _, _, _, address in found))
    if not settings.insecure and not protected:
        for _, address in addresses:
            if not is_loopback(str(address[0])):
                raise StartError(
                    f"--host {settings.host} would let other machines reach data that no key protects: make a key "
                    f"(`ingot keys create --data {settings.data} --rights admin --all-tenants`), listen on 127.0.0.1, "
                    "or accept that with --insecure"
                )
    sockets: list[socket.socket] = []
    port = settings.port
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sockets.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((str(address[0]), port))
            sock.listen(_BACKLOG)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise StartError(
                f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; stop what holds it, or "
                "choose another with --port"
            ) from error
        # The same port on every address, also when the system chose it.
        port = sock.getsockname()[1]
        sock.setblocking(False)
    return sockets


def url(sock: socket.socket, *, secure: bool) -> str:
    """The address that reaches a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def serve(settings: Settings, version: str) -> int:
    """Serves until SIGTERM or Ctrl-C; the exit code. Raises `StartError` when it cannot start."""
    raise_descriptor_limit()
    Service.keep_memory()
    with contextlib.ExitStack() as stack:
        try:
            certificate = _certificate(settings)
            admin = read_admin_key(os.environ, settings.admin_key_file)
            log = ServerLog(settings.log_format, secret=None if admin is None else admin.text)
            stack.callback(log.close)
            keyring = Keyring(settings.data, admin, log.event)
        except (AdminKeyError, CertificateError, KeyFileError) as error:
            raise StartError(str(error)) from error
        sockets = listen(settings, keyring.protected)
        for sock in sockets:
            stack.callback(sock.close)
        loop = _new_loop()
        stack.callback(loop.close)
        loop.run_until_complete(_serve(settings, keyring, certificate, log, sockets, version))
    return 0


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise CertificateError("--tls-cert and --tls-key belong together: give both")
    return Certificate(settings.tls_cert, settings.tls_key)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(
    settings: Settings,
    keyring: Keyring,
    certificate: Certificate | None,
    log: ServerLog,
    sockets: list[socket.socket],
    version: str,
) -> None:
    loop = asyncio.get_running_loop()
    service = Service()
    app = App(settings, service, keyring, log, version)
    server = app.server()
    tls: dict[str, Any] = {}
    if certificate is not None:
        tls = {"ssl": certificate.context, "ssl_handshake_timeout": settings.head_timeout}
        loop.add_signal_handler(signal.SIGHUP, _renew, certificate, log)
    listening = [await loop.create_server(server, sock=sock, backlog=_BACKLOG, **tls) for sock in sockets]
    stop = _Stop(loop)
    try:
        await service.open(settings.data, settings.engine_options())
        keyring.remember_protection()
    except (IngotError, KeyFileError) as error:
        raise StartError(f"--data {settings.data}: {error}") from error
    except OSError as error:
        raise StartError(
            f"--data {settings.data}: {error.strerror or error}; choose another directory"
        ) from error
    watching = loop.create_task(server.watch.run(app.look_after))
    places = ", ".join(url(sock, secure=certificate is not None) for sock in sockets)
    log.event(f"{version} listening on {places}, data in {settings.data}", pid=os.getpid(), urls=places)
    if certificate is None and not all(is_loopback(str(sock.getsockname()[0])) for sock in sockets):
        log.event("without TLS keys and vectors cross the network readable: give --tls-cert and --tls-key")
    await stop.asked.wait()
    log.event(f"{stop.signal} received, draining")
    service.drain()
    for accepting in listening:
        accepting.close()
    await _drain(server, stop, settings.drain_timeout, log)
    watching.cancel()
    server.pre_shutdown()
    await server.shutdown(0.5)
    log.event("closing the data directory")
    try:
        await service.close()
    except StorageError as error:
        # What was acknowledged is in the logs; what could not be saved is derived from them again.
        log.event(f"not everything could be saved, the next start will be slower: {error}")
    log.event("stopped")


def _renew(certificate: Certificate, log: ServerLog) -> None:
    try:
        certificate.reload()
    except CertificateError as error:
        log.event(f"SIGHUP received, the certificate in use stays: {error}")
    else:
        log.event("SIGHUP received, new connections get the certificate that was read again")


async def _drain(server: HttpServer, stop: "_Stop", timeout: float, log: ServerLog) -> None:
    """Waits until no request is in progress, for `timeout` seconds, or until a second signal."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while busy := server.busy:
        if loop.time() >= deadline or stop.count > 1:
            log.event(f"{busy} requests are cut off")
            return
        await asyncio.sleep(0.01)


class _Stop:
    """The wish to stop, as SIGTERM or Ctrl-C say it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asyncio.Event()
        self.signal = ""
        self.count = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask, number.name)

    def _ask(self, name: str) -> None:
        self.count += 1
        self.signal = name
        self.asked.set()
