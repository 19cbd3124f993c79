"""A load generator: closed loop, one connection a client, in a process of its own.

`python -m benches.load URL BODY.. --content-type T --clients N --requests M` sends the bodies in turn, M requests in
all, and prints one JSON object. A client sends its next request when it has the answer to the last. `{client}` in the
URL stands for the number of the client.
"""

import argparse
import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """What one run of requests took; times in seconds, latencies sorted."""

    seconds: float
    answered: int
    errors: dict[str, int]
    latencies: list[float]
    #: CPU of this process meanwhile.
    cpu_seconds: float


def run(
    url: str, bodies: list[bytes], content_type: str, clients: int, requests: int, announce: bool = False
) -> Load:
    """Sends `requests` uploads over `clients` connections, after one that opens each connection and is not counted."""
    address = urlsplit(url)
    path = f"{address.path}?{address.query}" if address.query else address.path
    headers = {"Content-Type": content_type}
    waiting = list(islice(cycle(bodies), requests))
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    lock = threading.Lock()
    start = threading.Barrier(clients + 1)

    def client(number: int) -> None:
        target = path.replace("{client}", str(number))
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        connection.request("GET", "/readyz")
        connection.getresponse().read()
        start.wait()
        while True:
            with lock:
                if not waiting:
                    break
                body = waiting.pop()
            sent = time.perf_counter()
            try:
                connection.request("POST", target, body, headers)
                response = connection.getresponse()
                answer = response.read()
                trouble = "" if response.status == 200 else f"{response.status} {answer[:200]!r}"
            except (OSError, http.client.HTTPException) as failed:
                connection.close()
                trouble = type(failed).__name__
            took = time.perf_counter() - sent
            with lock:
                if trouble:
                    errors[trouble] += 1
                else:
                    latencies.append(took)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    start.wait(timeout=60)
    started, cpu = time.perf_counter(), time.process_time()
    if announce:
        print("started", flush=True)
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Load(seconds, len(latencies), dict(errors), sorted(latencies), cpu)


def read(output: str | bytes) -> Load:
    """What a run in a process of its own has told; raises when a request failed."""
    load = Load(**json.loads(output))
    if load.errors:
        raise RuntimeError(f"uploads failed: {load.errors}")
    return load


def main() -> None:
    """Reads the bodies from files, before the clock starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("bodies", nargs="+", type=Path)
    parser.add_argument("--content-type", required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--announce", action="store_true", help="print a line when the first request is sent")
    options = parser.parse_args()
    bodies = [path.read_bytes() for path in options.bodies]
    load = run(options.url, bodies, options.content_type, options.clients, options.requests, options.announce)
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
