"""A load generator for small requests: prebuilt bytes over sockets, one thread, in a process of its own.

`python -m benches.prebuilt HOST:PORT PATH BODIES --clients N --requests M [--rate R]` sends the lines of the file
BODIES as JSON bodies, in turn, and prints one JSON object. Without a rate a client sends its next request when it has
the answer to the last (closed loop). With one, requests are due every 1/R seconds whatever the server does (open loop):
one that finds no free connection waits for it, and its latency counts from when it was due.
"""

import argparse
import json
import select
import socket
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

SILENCE = 30.0
_STATUS = slice(9, 12)
# Sent in one system call: a kernel that is not preempted copies megabytes before it lets anyone else have the
# processor, a server that shares it with us, for one.
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Load:
    """What one run took: seconds, CPU seconds of the generator a request, latencies sorted."""

    seconds: float
    answered: int
    errors: dict[str, int]
    cpu_seconds: float
    answer_bytes: int
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def percentile(self, part: float) -> float:
        """The latency, in seconds, that this part of the requests did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]


class _Client:
    """One connection, and the request it waits for."""

    __slots__ = ("answer", "due", "expected", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.answer = b""
        self.expected = 0

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.answer = b""
        self.expected = 0
        if len(request) <= _PIECE:
            self.socket.sendall(request)
            return
        for start in range(0, len(request), _PIECE):
            self.socket.sendall(memoryview(request)[start : start + _PIECE])

    def receive(self) -> bool:
        """Takes what is there; whether the answer is whole."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed the connection")
        answer = self.answer = self.answer + part if self.answer else part
        if not self.expected:
            end = answer.find(b"\r\n\r\n")
            if end < 0:
                return False
            # Every server here declares the length.
            at = answer.index(b"Content-Length:") + 15
            self.expected = end + 4 + int(answer[at : answer.index(b"\r", at)])
        return len(answer) >= self.expected


class Generator:
    """Clients that send requests in turn and count what comes back."""

    def __init__(self, address: tuple[str, int], requests: list[bytes], clients: int) -> None:
        self._requests = cycle(requests)
        self._clients = {
            client.socket.fileno(): client for client in (_Client(address) for _ in range(clients))
        }
        self._latencies: list[float] = []
        self._errors: Counter[str] = Counter()
        self._bytes = 0

    def _done(self, client: _Client, now: float) -> None:
        if client.answer[_STATUS] == b"200":
            self._latencies.append(now - client.due)
            self._bytes += client.expected
        else:
            self._errors[client.answer[9:300].decode(errors="replace")] += 1

    def closed(self, count: int) -> None:
        """`count` requests, each client's next when its last is answered."""
        clock, left = time.perf_counter, count
        if len(self._clients) == 1:
            # The cheapest a client can be: it sleeps in `recv`.
            (client,) = self._clients.values()
            for _ in range(count):
                client.send(next(self._requests), clock())
                while not client.receive():
                    pass
                self._done(client, clock())
            return
        poll = select.epoll()
        for number, client in self._clients.items():
            poll.register(number, select.EPOLLIN)
            client.send(next(self._requests), clock())
            left -= 1
        open_requests = len(self._clients)
        while open_requests:
            ready = poll.poll(SILENCE)
            if not ready:
                raise TimeoutError(f"no answer for {SILENCE:g} s")
            for number, _ in ready:
                client = self._clients[number]
                if not client.receive():
                    continue
                now = clock()
                self._done(client, now)
                if left:
                    left -= 1
                    client.send(next(self._requests), now)
                else:
                    open_requests -= 1
        poll.close()

    def open(self, count: int, rate: float) -> None:
        """`count` requests, one due every 1 / `rate` seconds."""
        clock = time.perf_counter
        free = deque(self._clients.values())
        busy: dict[int, _Client] = {}
        start = clock()
        sent = done = 0
        while done < count:
            now = clock()
            while free and sent < count and start + sent / rate <= now:
                client = free.popleft()
                client.send(next(self._requests), start + sent / rate)
                busy[client.socket.fileno()] = client
                sent += 1
            wait = SILENCE if sent == count or not free else max(0.0, start + sent / rate - clock())
            # Not epoll: its clock ticks in milliseconds.
            for number in select.select(list(busy), [], [], wait)[0]:
                client = busy[number]
                if client.receive():
                    self._done(client, clock())
                    free.append(busy.pop(number))
                    done += 1

    def result(self, seconds: float, cpu_seconds: float) -> Load:
        """What was counted."""
        answered = len(self._latencies)
        total = answered + sum(self._errors.values())
        return Load(
            seconds,
            answered,
            dict(self._errors),
            cpu_seconds / total,
            self._bytes // max(1, answered),
            sorted(self._latencies),
        )


def requests_of(host: str, path: str, bodies: list[bytes]) -> list[bytes]:
    """Whole requests, head and body, as they go over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies]


def main() -> None:
    """Everything is in memory, and every connection open, before the clock starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("path")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--warm-up", type=int, default=0, help="requests sent before the clock starts")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    requests = requests_of(options.address, options.path, options.bodies.read_bytes().splitlines())
    if options.warm_up:
        Generator((host, int(port)), requests, 1).closed(options.warm_up)
    generator = Generator((host, int(port)), requests, options.clients)
    cpu, started = time.process_time(), time.perf_counter()
    if options.rate:
        generator.open(options.requests, options.rate)
    else:
        generator.closed(options.requests)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps(asdict(generator.result(seconds, cpu))))


if __name__ == "__main__":
    main()
