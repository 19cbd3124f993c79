"""What is counted while requests are answered, and the text that Prometheus reads. No tenant, key or id is in it."""

import asyncio
import os
import platform
import resource
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingot.http.connection import HttpServer
from ingot.http.exchange import Exchange
from ingot.service import Service

__all__ = ["CONTENT_TYPE", "Metrics", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the durations that are told apart, in seconds.
_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

# A route that is none, or that nobody knows.
_NO_ROUTE = "-"

Sample = tuple[dict[str, str], float]


class _Route:
    """The requests of one route."""

    __slots__ = ("received", "seconds", "slots", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        #: How many took at most the bound of the same place, and more than the one before; the last: more than all.
        self.slots = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0
        self.received = 0


class Metrics:
    """Counts requests. A few additions each; text is made when somebody asks."""

    __slots__ = ("_known", "refusals", "routes", "started")

    def __init__(self, known: Iterable[str]) -> None:
        """`known` are the routes that are told apart, `POST /path`: what clients make up costs no memory."""
        self._known = frozenset(known)
        self.routes: dict[str, _Route] = {}
        self.refusals: dict[tuple[str, str], int] = {}
        self.started = time.time()

    def request(self, x: Exchange, status: int, seconds: float) -> None:
        """One request was answered, or its client left."""
        route = self.routes.get(x.route)
        if route is None:
            route = self.routes.setdefault(self._name(x.route), _Route())
        route.statuses[status] = route.statuses.get(status, 0) + 1
        route.slots[bisect_left(_BOUNDS, seconds)] += 1
        route.seconds += seconds
        route.received += x.received

    def refusal(self, route: str, code: str) -> None:
        """A request was answered with an error."""
        key = self._name(route), code
        self.refusals[key] = self.refusals.get(key, 0) + 1

    def _name(self, route: str) -> str:
        return route if route in self._known else _NO_ROUTE


class _Text:
    """The lines of an exposition."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(
        self, name: str, kind: str, help: str, samples: Iterable[tuple[str, dict[str, str], float]]
    ) -> None:
        """One metric: each sample has what its name has behind the family's, its labels, and its value."""
        self.lines += [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
        for suffix, labels, value in samples:
            text = ",".join(f'{label}="{_escaped(of)}"' for label, of in labels.items())
            self.lines.append(f"{name}{suffix}{{{text}}} {value!r}" if text else f"{name}{suffix} {value!r}")

    def one(self, name: str, kind: str, help: str, value: float) -> None:
        """A metric of one sample."""
        self.family(name, kind, help, [("", {}, value)])

    def text(self) -> bytes:
        """All of it."""
        return ("\n".join(self.lines) + "\n").encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labels(route: str) -> dict[str, str]:
    method, _, path = route.partition(" ")
    return {"method": method, "route": path or _NO_ROUTE}


async def exposition(
    metrics: Metrics, service: Service, held: Mapping[str, int], server: HttpServer | None, version: str
) -> bytes:
    """The text. What waits for the system or the engine is asked on another thread."""
    text = _Text()
    text.family(
        "ingot_build_info",
        "gauge",
        "The version that runs.",
        [("", {"version": version, "python": platform.python_version()}, 1)],
    )
    _requests(text, metrics)
    text.one("ingot_stored_rows_total", "counter", "Rows that uploads stored.", service.stored_rows)
    text.one("ingot_queries_total", "counter", "Queries that were searched for.", service.queries)
    for name, size in held.items():
        text.one(name, "gauge", "Bytes that are held: of request bodies, of answers over 4 MiB.", size)
    if server is not None:
        _connections(text, server)
    tasks = len(asyncio.all_tasks())
    text.one("ingot_asyncio_tasks", "gauge", "Tasks of the event loop.", tasks)
    counted = await service.metrics()
    if counted is not None:
        text.one("ingot_open_tenants", "gauge", "Tenants that are open.", counted.open_tenants)
        text.one(
            "ingot_refusing_tenants", "gauge", "Open tenants that take no writes.", counted.refusing_tenants
        )
        text.one("ingot_rows", "gauge", "Live rows of open tenants.", counted.rows)
        text.one(
            "ingot_unindexed_rows",
            "gauge",
            "Live rows of open tenants that searches scan: not in a graph yet.",
            counted.unindexed_rows,
        )
        text.one("ingot_sources", "gauge", "Sources of open tenants.", counted.sources)
        text.one(
            "ingot_log_groups_total",
            "counter",
            "Groups written: one write and one sync each.",
            counted.groups,
        )
    for name, kind, help, value in await asyncio.to_thread(_process, metrics.started):
        text.one(name, kind, help, value)
    return text.text()


def _requests(text: _Text, metrics: Metrics) -> None:
    routes = sorted(metrics.routes.items())
    text.family(
        "ingot_http_requests_total",
        "counter",
        "Requests by route and status; 499: the client left.",
        [
            ("", {**_labels(name), "status": str(status)}, count)
            for name, route in routes
            for status, count in sorted(route.statuses.items())
        ],
    )
    durations: list[tuple[str, dict[str, str], float]] = []
    for name, route in routes:
        labels, count = _labels(name), 0
        for bound, more in zip((*_BOUNDS, "+Inf"), route.slots, strict=True):
            count += more
            durations.append(("_bucket", {**labels, "le": str(bound)}, count))
        durations += [("_sum", labels, route.seconds), ("_count", labels, count)]
    text.family(
        "ingot_http_request_duration_seconds",
        "histogram",
        "From the head of a request to its answer.",
        durations,
    )
    text.family(
        "ingot_http_request_bytes_total",
        "counter",
        "Bytes of request bodies that arrived.",
        [("", _labels(name), route.received) for name, route in routes],
    )
    refusals = sorted(metrics.refusals.items())
    text.family(
        "ingot_http_refusals_total",
        "counter",
        "Requests answered with an error, by its code.",
        [("", {**_labels(route), "code": code}, count) for (route, code), count in refusals],
    )
    refused = sum(count for (_, code), count in refusals if code == "UNAUTHENTICATED")
    text.one(
        "ingot_keys_refused_total", "counter", "Requests without a good key where one is needed.", refused
    )


def _connections(text: _Text, server: HttpServer) -> None:
    text.one("ingot_connections", "gauge", "Connections that are open.", server.open_connections)
    text.one(
        "ingot_connections_accepted_total",
        "counter",
        "Connections that were accepted.",
        server.watch.accepted,
    )
    text.family(
        "ingot_connections_cut_total",
        "counter",
        "Connections that were ended: too many; a head, or an answer, that did not get through in time.",
        [("", {"reason": reason}, count) for reason, count in server.watch.cut.items()],
    )
    text.one(
        "ingot_event_loop_lag_seconds",
        "gauge",
        "How late the event loop came to its last round of the connections.",
        server.watch.lag,
    )


def _process(started: float) -> list[tuple[str, str, str, float]]:
    pages = [int(number) for number in Path("/proc/self/statm").read_text().split()]
    page = os.sysconf("SC_PAGE_SIZE")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [
        (
            "process_cpu_seconds_total",
            "counter",
            "Processor time, in seconds.",
            used.ru_utime + used.ru_stime,
        ),
        ("process_open_fds", "gauge", "Descriptors in use.", len(list(Path("/proc/self/fd").iterdir())) - 1),
        ("process_max_fds", "gauge", "Descriptors allowed.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory, mapped logs included.", pages[0] * page),
        ("process_resident_memory_bytes", "gauge", "Resident memory, mapped logs included.", pages[1] * page),
        ("process_start_time_seconds", "gauge", "When the server started, as Unix time.", started),
    ]
