"""What is said of each handler beside what its request says itself; the document of the service is made from both."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ingot import errors, limits
from ingot.errors import IngotError
from ingot.http.playground import FILES
from ingot.schemas import answers, requests

__all__ = ["OPERATIONS", "Operation", "codes", "refusals"]

#: What an operation does, as far as it decides which errors it can answer.
Trait = Literal[
    "fields",
    "body",
    "vectors",
    "upload",
    "write",
    "tenant",
    "one source",
    "file",
    "store",
    "filter",
    "pages",
    "create",
]


@dataclass(frozen=True)
class Operation:
    """What a handler does, takes and answers."""

    tag: str
    summary: str
    description: str
    traits: frozenset[Trait]
    #: The type of the answer, or several.
    answer: Any
    struct: Any = None
    #: Content type -> schema of the bodies that are no JSON.
    bodies: dict[str, Any] = field(default_factory=dict)
    #: Whether a request without a body is one too.
    body_optional: bool = False
    #: Whether it is answered without a key.
    public: bool = False
    #: Content types and status of the answer.
    content: tuple[str, ...] = ("application/json",)
    status: int = 200
    #: Parameters of the path -> the values that they have.
    path_values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Errors that are answered with another status than their own.
    moved: dict[int, tuple[type[IngotError], ...]] = field(default_factory=dict)


# Errors that only operations with one of these traits answer; all the others can come from every operation.
_ONLY: dict[type[IngotError], set[Trait]] = {
    errors.MalformedJson: {"body"},
    errors.MalformedNpy: {"vectors"},
    errors.NonFiniteValue: {"vectors"},
    errors.ZeroVector: {"vectors"},
    errors.DimensionMismatch: {"vectors"},
    errors.RaggedRows: {"vectors"},
    errors.EmptyEmbeddings: {"vectors"},
    errors.TooManyColumns: {"vectors"},
    errors.TooManyRows: {"body"},
    errors.DigestMismatch: {"upload"},
    errors.DuplicateChunkId: {"upload"},
    errors.FilterSyntax: {"filter"},
    errors.CursorExpired: {"pages"},
    errors.TenantSettingsDiffer: {"create"},
    errors.InvalidId: {"fields"},
    errors.InvalidLimit: {"fields"},
    errors.MissingField: {"fields"},
    errors.UnknownField: {"fields"},
    errors.WrongType: {"fields"},
    errors.ConflictingFields: {"body"},
    errors.BodyTimeout: {"body"},
    errors.BodyTooLarge: {"body"},
    errors.UnsupportedMediaType: {"body"},
    errors.TenantNotFound: {"tenant"},
    errors.SubTenantNotFound: {"tenant"},
    errors.NotFound: {"one source", "file"},
    # Another method of a path is another operation, or none.
    errors.MethodNotAllowed: set(),
    errors.AlreadyExists: {"upload"},
    errors.Starting: {"store"},
    errors.Draining: {"store"},
    errors.TenantReadOnly: {"write"},
    errors.DiskFull: {"write"},
    errors.OutcomeUnknown: {"write"},
    errors.StorageFailed: {"store"},
    errors.CorruptData: {"store"},
}


def _tree(cls: type[IngotError]) -> list[type[IngotError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


def codes() -> dict[str, type[IngotError]]:
    """Error code -> the class that is named after it."""
    found: dict[str, type[IngotError]] = {}
    for cls in _tree(IngotError):
        name = cls.__name__.removesuffix("Error").lower()
        if cls.error_code not in found or name == cls.error_code.replace("_", "").lower():
            found[cls.error_code] = cls
    return found


def refusals(operation: Operation) -> dict[int, list[str]]:
    """Status -> the error codes that an operation may answer with it."""
    found: dict[int, list[str]] = {}
    for code, cls in codes().items():
        if operation.public and cls.status in (401, 429):
            continue
        traits = _ONLY.get(cls)
        if traits is None or traits & operation.traits:
            found.setdefault(cls.status, []).append(code)
    for status, classes in operation.moved.items():
        found.setdefault(status, []).extend(cls.error_code for cls in classes)
    return {status: sorted(set(found[status])) for status in sorted(found)}


_NPY = {"application/x-npy": {"type": "string", "format": "binary"}}
_PUBLIC: frozenset[Trait] = frozenset()

#: Name of a handler -> what it does.
OPERATIONS: dict[str, Operation] = {
    "insert": Operation(
        "Embeddings",
        "Upload the vectors of one source",
        "Stores the source, or replaces it whole. All or nothing: an error leaves nothing behind. 200 means that the "
        "vectors are on stable storage and that the next search finds them. The same upload twice leaves the same "
        "state as once.\n\n"
        f"At most {limits.MAX_ROWS} rows of {limits.MAX_COLUMNS} numbers. As `application/x-npy` the body is one NumPy "
        "array of two dimensions, and every other field is a parameter.",
        frozenset({"fields", "body", "vectors", "upload", "write", "tenant", "store"}),
        answers.InsertAnswer,
        requests.InsertRequest,
        _NPY,
    ),
    "search": Operation(
        "Embeddings",
        "Find the rows nearest to a vector, or to each of several",
        "Best first; always as many as there are, up to `limit`, unless `score_threshold` cuts them. Distances are "
        "those of the float32 rows. `query_embeddings` in the place of `query_embedding` is a batch: the answer is "
        "a list of lists, in query order. As `application/x-npy` the body is one NumPy array of one dimension, or of "
        "two for a batch, and every other field is a parameter.",
        frozenset({"fields", "body", "vectors", "tenant", "store"}),
        (list[answers.Hit], list[list[answers.Hit]]),
        requests.SearchRequest,
        _NPY,
    ),
    "get": Operation(
        "Embeddings",
        "Read rows by source, by id, or all",
        "In the order of their upload. What is not there is not in the list.",
        frozenset({"fields", "body", "tenant", "store"}),
        list[answers.Found],
        requests.GetRequest,
        body_optional=True,
    ),
    "delete": Operation(
        "Embeddings",
        "Delete a source, or rows by id",
        "Durable and visible before it is answered. What is not there counts 0 and is no error. `DELETE` takes a JSON "
        "body as `POST` does, and `POST` parameters as `DELETE` does.",
        frozenset({"fields", "body", "write", "tenant", "store"}),
        answers.DeleteAnswer,
        requests.DeleteRequest,
        body_optional=True,
    ),
    "status": Operation(
        "Embeddings",
        "Ask how far an upload is",
        "`file_id` asks about one source, `file_ids` about several.",
        frozenset({"fields", "body", "tenant", "one source", "store"}),
        (answers.StatusAnswer, answers.StatusesAnswer),
        requests.StatusRequest,
        body_optional=True,
    ),
    "stats": Operation(
        "Tenants",
        "Count a tenant",
        "Its dimension, its metric, and how much is in it.",
        frozenset({"fields", "tenant", "store"}),
        answers.StatsAnswer,
        requests.StatsRequest,
    ),
    "alive": Operation(
        "Server", "Ask whether the process lives", "Looks at nothing.", _PUBLIC, answers.Alive, public=True
    ),
    "ready": Operation(
        "Server",
        "Ask whether writes are taken",
        "503 with the reason while starting, while going down, and while the data directory refuses to be written to.",
        frozenset({"store"}),
        answers.Ready,
        public=True,
        moved={503: (errors.StorageFailed, errors.DiskFull, errors.InternalError)},
    ),
    "metrics": Operation(
        "Server",
        "Counts for Prometheus",
        "Requests and their durations, refusals by code, connections, what is open, and the process; the text format "
        "0.0.4. Once there are keys it takes one with `admin` on all tenants. No tenant is named.",
        _PUBLIC,
        None,
        content=("text/plain",),
    ),
    "openapi": Operation(
        "Server",
        "This document",
        "OpenAPI 3.1, made from the structs that judge requests.",
        _PUBLIC,
        dict[str, Any],
        public=True,
    ),
    "home": Operation(
        "Server",
        "Go to the playground",
        "Redirects to `/docs`.",
        _PUBLIC,
        None,
        public=True,
        content=(),
        status=302,
    ),
    "playground": Operation(
        "Server",
        "The playground",
        "A page that shows this document and sends its requests. Nothing in it comes from another host.",
        _PUBLIC,
        None,
        public=True,
        content=("text/html",),
    ),
    "asset": Operation(
        "Server",
        "A file of the playground",
        "Style, script, licences.",
        frozenset({"file"}),
        None,
        public=True,
        content=tuple(sorted(set(FILES.values()))),
        path_values={"file": tuple(FILES)},
    ),
}
