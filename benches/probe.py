"""Asks `/healthz` at a steady pace in a process of its own: `python -m benches.probe URL`.

Begins when a line arrives on its input, ends with the input, and prints one JSON list of latencies in seconds. A
request is due every 10 ms, and its time counts from when it was due: a server that answers nothing for a while is late
for all that were due meanwhile.
"""

import http.client
import json
import sys
import threading
import time
from itertools import count
from urllib.parse import urlsplit

PACE = 0.010


def run(url: str) -> list[float]:
    """Latencies over one connection."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.connect()
    over = threading.Event()
    sys.stdin.readline()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    latencies = []
    started = time.perf_counter()
    for number in count():
        due = started + number * PACE
        if (wait := due - time.perf_counter()) > 0:
            if over.wait(wait):
                break
            # What the timer is late is not the server's.
            due = time.perf_counter()
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"/healthz answered {response.status}")
        latencies.append(time.perf_counter() - due)
        if over.is_set():
            break
    return latencies


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1])))
