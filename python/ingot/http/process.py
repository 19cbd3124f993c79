"""The life of a server process: listen, open the data, serve, drain, close."""

import asyncio
import contextlib
import os
import signal
import socket

from ingot.errors import IngotError, StorageError
from ingot.http.access_log import ServerLog
from ingot.http.app import App
from ingot.http.connection import HttpServer
from ingot.http.guard import is_loopback
from ingot.service import Service
from ingot.settings import Settings

__all__ = ["StartError", "serve"]

_BACKLOG = 1024


class StartError(Exception):
    """The server cannot start; the message is one line that says what to do."""


def listen(settings: Settings) -> list[socket.socket]:
    """Sockets bound to the host and port of the settings; refuses what would leave the data open to others."""
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
    if not settings.insecure:
        for _, address in addresses:
            if not is_loopback(str(address[0])):
                raise StartError(
                    f"--host {settings.host} would let other machines reach data that no key protects: "
                    "listen on 127.0.0.1, or accept that with --insecure"
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


def url(sock: socket.socket) -> str:
    """The address that reaches a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings, version: str) -> int:
    """Serves until SIGTERM or Ctrl-C; the exit code. Raises `StartError` when it cannot start."""
    sockets = listen(settings)
    with contextlib.ExitStack() as stack:
        for sock in sockets:
            stack.callback(sock.close)
        loop = _new_loop()
        stack.callback(loop.close)
        loop.run_until_complete(_serve(settings, sockets, version))
    return 0


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(settings: Settings, sockets: list[socket.socket], version: str) -> None:
    loop = asyncio.get_running_loop()
    log = ServerLog(settings.log_format)
    service = Service()
    try:
        server = App(settings, service, log, version).server()
        listening = [await loop.create_server(server, sock=sock, backlog=_BACKLOG) for sock in sockets]
        stop = _Stop(loop)
        try:
            await service.open(settings.data, settings.engine_options())
        except IngotError as error:
            raise StartError(f"--data {settings.data}: {error}") from error
        except OSError as error:
            raise StartError(
                f"--data {settings.data}: {error.strerror or error}; choose another directory"
            ) from error
        places = ", ".join(url(sock) for sock in sockets)
        log.event(f"{version} listening on {places}, data in {settings.data}", pid=os.getpid(), urls=places)
        await stop.asked.wait()
        log.event(f"{stop.signal} received, draining")
        service.drain()
        for accepting in listening:
            accepting.close()
        await _drain(server, stop, settings.drain_timeout, log)
        server.pre_shutdown()
        await server.shutdown(0.5)
        log.event("closing the data directory")
        try:
            await service.close()
        except StorageError as error:
            # What was acknowledged is in the logs; what could not be saved is derived from them again.
            log.event(f"not everything could be saved, the next start will be slower: {error}")
        log.event("stopped")
    finally:
        log.close()


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
