"""What is said of each handler beside what its request says itself; the document of the service is made from both."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ingot import errors, limits
from ingot.errors import IngotError
from ingot.http.playground import FILES
from ingot.schemas import answers, first_age, idempotency, requests

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
    "listing",
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
    #: Header that it reads -> what is said of it, and its schema.
    headers: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
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
    errors.ConflictingFields: {"body", "pages"},
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
        "Upload the vectors of one source, or chunks of several",
        "A list of vectors is one source, which is stored, or replaced whole; the ids of its rows are made. A list of "
        "documents adds chunks to sources: those that are named are stored or replaced, the others stay. All or "
        "nothing: an error leaves nothing behind. 200 means that the vectors are on stable storage and that the next "
        "search finds them. The same upload twice leaves the same state as once.\n\n"
        f"At most {limits.MAX_ROWS} rows of {limits.MAX_COLUMNS} numbers. As `application/x-npy` the body is one NumPy "
        "array of two dimensions, and every other field is a parameter. In JSON the vectors may be base64, too.",
        frozenset({"fields", "body", "vectors", "upload", "write", "tenant", "store"}),
        answers.InsertAnswer,
        requests.InsertRequest,
        _NPY,
        {
            idempotency.HEADER: (
                "Without a `file_id` the id of the source is made of this, so that the same upload sent again is the "
                "same source.",
                {"type": "string", "pattern": f"^[!-~]{{1,{limits.MAX_IDEMPOTENCY_KEY}}}$"},
            )
        },
    ),
    "search": Operation(
        "Embeddings",
        "Find the rows nearest to a vector, or to each of several",
        "Best first; always as many as there are, up to `limit`, unless `score_threshold` cuts them. Distances are "
        "those of the float32 rows. `query_embeddings` in the place of `query_embedding` is a batch: the answer is "
        "a list of lists, in query order. As `application/x-npy` the body is one NumPy array of one dimension, or of "
        "two for a batch, and every other field is a parameter. With `filter_expr` only rows that it holds of are "
        "found.",
        frozenset({"fields", "body", "vectors", "tenant", "store", "filter"}),
        (list[answers.Hit], list[list[answers.Hit]]),
        requests.SearchRequest,
        _NPY,
    ),
    "get": Operation(
        "Embeddings",
        "Read rows by source, by id, by filter, or all",
        "In the order of their upload. What is not there is not in the list. A page ends at `limit` rows, or before "
        f"{limits.MAX_PAGE_BYTES} bytes; if more follow, the header `X-Next-Cursor` holds the `cursor` of the next "
        "request. All pages show what was there when the first was read; 410 when that cannot be told any more.",
        frozenset({"fields", "body", "tenant", "store", "pages", "filter"}),
        list[answers.Found],
        requests.GetRequest,
        body_optional=True,
    ),
    "delete": Operation(
        "Embeddings",
        "Delete a source, or rows by id or by filter",
        "Durable and visible before it is answered. What is not there counts 0 and is no error. `DELETE` takes a JSON "
        "body as `POST` does, and `POST` parameters as `DELETE` does.",
        frozenset({"fields", "body", "write", "tenant", "store", "filter"}),
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
    "create_tenant": Operation(
        "Tenants",
        "Make a tenant",
        "Durable before it is answered. A first upload makes one, too, with the metric `cosine`. The same again is no "
        "error; a tenant that exists with other settings is 409. What is left out may be anything.",
        frozenset({"fields", "body", "write", "create", "store"}),
        answers.CreateAnswer,
        requests.CreateRequest,
        body_optional=True,
    ),
    "tenants": Operation(
        "Tenants",
        "List the tenants",
        "Those that the key has rights on. If more may follow, the header `X-Next-Cursor` holds the `cursor` of the "
        "next request. The order does not change; a tenant that is made meanwhile may be missing.",
        frozenset({"fields", "store", "listing"}),
        answers.TenantsAnswer,
        requests.ListRequest,
    ),
    "sub_tenants": Operation(
        "Tenants",
        "List the sub-tenants of a tenant",
        "Sorted by name.",
        frozenset({"fields", "tenant", "store"}),
        answers.SubTenantsAnswer,
        requests.TenantRequest,
    ),
    "sources": Operation(
        "Tenants",
        "List the sources of a sub-tenant",
        "Those that have rows, in the order of their first rows. If more may follow, the header `X-Next-Cursor` holds "
        "the `cursor` of the next request. Each page shows the moment in which it is read: a source that is replaced "
        "meanwhile moves to the end.",
        frozenset({"fields", "tenant", "store", "pages", "listing"}),
        answers.SourcesAnswer,
        requests.SourcesRequest,
    ),
    "delete_sub_tenant": Operation(
        "Tenants",
        "Delete a sub-tenant",
        "With all it holds; durable and visible before it is answered. Its name may be used again at once. `default` "
        "cannot be deleted.",
        frozenset({"fields", "tenant", "write", "store"}),
        answers.DoneAnswer,
        requests.SubTenantRequest,
    ),
    "delete_tenant": Operation(
        "Tenants",
        "Delete a tenant",
        "With all it holds, whatever state it is in; durable before it is answered. Its name may be used again at "
        "once, with other settings.",
        frozenset({"fields", "tenant", "write", "store"}),
        answers.DoneAnswer,
        requests.TenantRequest,
    ),
    "statuses": Operation(
        "Older",
        "Ask how far uploads are",
        "As `/ingestion/verify-processing`, but the answer is always that to several sources.",
        frozenset({"fields", "body", "tenant", "store"}),
        answers.StatusesAnswer,
        requests.StatusRequest,
        body_optional=True,
    ),
    "first_insert": Operation(
        "Older",
        "Upload the vectors of a source",
        "As `/embeddings/insert-raw-embeddings`.",
        frozenset({"fields", "body", "vectors", "upload", "write", "tenant", "store"}),
        answers.InsertAnswer,
        requests.InsertRequest,
        _NPY,
    ),
    "first_update": Operation(
        "Older",
        "Replace vectors of a source",
        "All of the rows must exist (else 404 `NOT_FOUND`) and belong to one source (else 422), or nothing changes.",
        frozenset({"fields", "body", "vectors", "write", "tenant", "one source", "store"}),
        answers.FirstUpdateAnswer,
        first_age.FirstUpdateRequest,
    ),
    "first_search": Operation(
        "Older",
        "Find the rows nearest to a vector",
        "As `/embeddings/search-raw-embeddings`, answered with ids and scores only, best first.",
        frozenset({"fields", "body", "vectors", "tenant", "store"}),
        answers.FirstSearchAnswer,
        first_age.FirstSearchRequest,
        _NPY,
    ),
    "first_get": Operation(
        "Older",
        "Read vectors by the ids of their rows",
        f"Together they may be {limits.MAX_PAGE_BYTES} bytes of JSON.",
        frozenset({"fields", "body", "tenant", "store"}),
        answers.FirstGetAnswer,
        first_age.FirstChunksRequest,
        body_optional=True,
    ),
    "first_delete": Operation(
        "Older",
        "Delete rows by their ids",
        "Durable and visible before it is answered; the answer tells of each id whether there was such a row. Takes a "
        "JSON body, too.",
        frozenset({"fields", "body", "write", "tenant", "store"}),
        answers.FirstDeleteAnswer,
        first_age.FirstChunksRequest,
        body_optional=True,
    ),
    "first_create": Operation(
        "Older",
        "Make a tenant",
        "Its first vectors fix its dimension. A tenant that exists already stays as it is.",
        frozenset({"fields", "body", "write", "create", "store"}),
        answers.FirstTenantAnswer,
        first_age.FirstTenantRequest,
        body_optional=True,
    ),
    "first_stats": Operation(
        "Older",
        "Count a sub-tenant",
        "The default one if none is named.",
        frozenset({"fields", "tenant", "store"}),
        answers.FirstStatsAnswer,
        first_age.FirstStatsRequest,
    ),
    "first_sub_tenants": Operation(
        "Older",
        "List the sub-tenants of a tenant",
        "By name; the default one is always among them.",
        frozenset({"fields", "tenant", "store"}),
        answers.FirstSubTenantsAnswer,
        first_age.FirstTenantRequest,
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
