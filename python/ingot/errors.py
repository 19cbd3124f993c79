"""Everything that can go wrong, as one tree grouped by what the caller can do about it.

    IngotError
    ├── InputError (ValueError)          change the input
    │   ├── MalformedError               400: MalformedJson MalformedNpy MalformedBody
    │   ├── ValueRefused                 400: NonFiniteValue ZeroVector DimensionMismatch InvalidId
    │   │                                     InvalidLimit DigestMismatch FilterSyntax DuplicateChunkId
    │   ├── ShapeError                   422: MissingField UnknownField WrongType ConflictingFields
    │   │                                     RaggedRows EmptyEmbeddings TooManyRows TooManyColumns
    │   └── RequestRefused               4xx: Unauthenticated Forbidden MethodNotAllowed BodyTimeout BodyTooLarge
    │                                         MetadataTooLarge UriTooLong UnsupportedMediaType HeadersTooLarge
    ├── NotFoundError (LookupError)      choose another name: TenantNotFound SubTenantNotFound NotFound
    │                                    begin again: CursorExpired
    ├── AlreadyExists                    choose another name, or overwrite
    ├── TenantSettingsDiffer             choose another name, or the settings that it has
    ├── RetryLater                       wait: OverQuota Overloaded Starting Draining TenantReadOnly
    ├── StorageError                     call an operator: DiskFull OutcomeUnknown StorageFailed CorruptData
    │   └── OpenError                    the directory cannot be opened: DirectoryInUse FormatTooNew
    ├── UsageError (RuntimeError)        the way it was called: Closed Forked
    └── InternalError                    our bug: GraphFailed

Every class has the `status` and the `error_code` of the wire contract; what is known about the place of an
error is an attribute (`row`, `column`, `field`, ...), None where it is not known.
"""

from typing import Any, ClassVar

__all__ = ["IngotError"]


class IngotError(Exception):
    """Base of every error of ingot."""

    status: ClassVar[int] = 500
    error_code: ClassVar[str] = "INTERNAL"
    #: What a stranger is told in place of the message, where that may name files.
    public: ClassVar[str | None] = None

    row: int | None = None
    column: int | None = None
    field: str | None = None
    offset: int | None = None
    expected: Any = None
    got: Any = None
    limit: int | None = None
    value: str | None = None
    reason: str | None = None
    encoding: str | None = None
    source_id: str | None = None
    metric: str | None = None
    dimension: int | None = None
    asked_metric: str | None = None
    asked_dimension: int | None = None
    pid: int | None = None
    retry_after: int | None = None
    allow: str | None = None
    challenge: str | None = None
    accept_encoding: str | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.__dict__.update(details)

    @property
    def message(self) -> str:
        """What is wrong, where, and what would be right."""
        return str(self.args[0])


# Change the input.
class InputError(IngotError, ValueError):
    """What was sent has to change."""

    status = 400
    error_code = "MALFORMED_BODY"


class MalformedError(InputError):
    """Bytes that cannot be parsed."""


class MalformedJson(MalformedError):
    """Text that is not strict JSON; `offset` is the byte where it goes wrong."""

    error_code = "MALFORMED_JSON"


class MalformedNpy(MalformedError):
    """Bytes that are not a `.npy` array of numbers."""

    error_code = "MALFORMED_NPY"


class MalformedBody(MalformedError):
    """A request that breaks HTTP or its query string."""


class ValueRefused(InputError):
    """A value that is well formed and not allowed."""


class NonFiniteValue(ValueRefused):
    """A number that is not finite as float32, at `row` (None in a query) and `column`."""

    error_code = "NON_FINITE_VALUE"


class ZeroVector(ValueRefused):
    """An all-zero vector where the metric is cosine."""

    error_code = "ZERO_VECTOR"


class DimensionMismatch(ValueRefused):
    """Vectors of `got` numbers for a tenant of dimension `expected`."""

    error_code = "DIMENSION_MISMATCH"


class InvalidId(ValueRefused):
    """An id that is empty, too long, or holds a character that ids may not hold."""

    error_code = "INVALID_ID"


class InvalidLimit(ValueRefused):
    """A `limit` outside 1..`limit`."""

    error_code = "INVALID_LIMIT"


class DigestMismatch(ValueRefused):
    """The CRC-32C that was sent is not that of the rows."""

    error_code = "DIGEST_MISMATCH"


class FilterSyntax(ValueRefused):
    """A `filter_expr` that is no expression; `offset` is the character where it goes wrong."""

    error_code = "FILTER_SYNTAX"


class DuplicateChunkId(ValueRefused):
    """A chunk id that one upload names twice, at `row`."""

    error_code = "DUPLICATE_CHUNK_ID"


class ShapeError(InputError):
    """Well formed, and of the wrong shape."""

    status = 422
    error_code = "WRONG_TYPE"


class MissingField(ShapeError):
    """A required `field` is absent."""

    error_code = "MISSING_FIELD"


class UnknownField(ShapeError):
    """A `field` or parameter that does not exist."""

    error_code = "UNKNOWN_FIELD"


class WrongType(ShapeError):
    """A value of another type than `expected`."""


class ConflictingFields(ShapeError):
    """Fields that contradict or exclude each other."""

    error_code = "CONFLICTING_FIELDS"


class RaggedRows(ShapeError):
    """A `row` of another length than the rows before it."""

    error_code = "RAGGED_ROWS"


class EmptyEmbeddings(ShapeError):
    """No row, or rows without columns."""

    error_code = "EMPTY_EMBEDDINGS"


class TooManyRows(ShapeError):
    """More rows than an upload may have."""

    error_code = "TOO_MANY_ROWS"


class TooManyColumns(ShapeError):
    """More numbers than a row may have."""

    error_code = "TOO_MANY_COLUMNS"


class RequestRefused(InputError):
    """A request that is refused before its content is looked at."""


class Unauthenticated(RequestRefused):
    """No key, or one that is not good; `challenge` says how keys are sent."""

    status = 401
    error_code = "UNAUTHENTICATED"
    challenge: str | None = 'Bearer realm="ingot"'


class Forbidden(RequestRefused):
    """The caller may not do this."""

    status = 403
    error_code = "FORBIDDEN"


class MethodNotAllowed(RequestRefused):
    """The path exists and takes only the methods in `allow`."""

    status = 405
    error_code = "METHOD_NOT_ALLOWED"


class BodyTimeout(RequestRefused):
    """The body did not arrive in time."""

    status = 408
    error_code = "BODY_TIMEOUT"


class BodyTooLarge(RequestRefused):
    """The body is over `limit` bytes."""

    status = 413
    error_code = "BODY_TOO_LARGE"


class MetadataTooLarge(BodyTooLarge):
    """Metadata of a source over `limit` bytes."""


class UriTooLong(RequestRefused):
    """The request line is too long."""

    status = 414
    error_code = "URI_TOO_LONG"


class UnsupportedMediaType(RequestRefused):
    """A content type or content encoding that is not understood; `accept_encoding` lists those that are."""

    status = 415
    error_code = "UNSUPPORTED_MEDIA_TYPE"


class HeadersTooLarge(RequestRefused):
    """The header fields are too many or too long."""

    status = 431
    error_code = "HEADERS_TOO_LARGE"


# Choose another name.
class NotFoundError(IngotError, LookupError):
    """What was named is not there."""

    status = 404
    error_code = "NOT_FOUND"


class TenantNotFound(NotFoundError):
    """No such tenant."""

    error_code = "TENANT_NOT_FOUND"


class SubTenantNotFound(NotFoundError):
    """No such sub-tenant."""

    error_code = "SUB_TENANT_NOT_FOUND"


class NotFound(NotFoundError):
    """No such source or path."""


class CursorExpired(NotFoundError):
    """The snapshot that a cursor reads is gone."""

    status = 410
    error_code = "CURSOR_EXPIRED"


class AlreadyExists(IngotError):
    """What is to be stored exists and `upsert` is false."""

    status = 409
    error_code = "ALREADY_EXISTS"


class TenantSettingsDiffer(IngotError):
    """The tenant exists with another dimension or metric."""

    status = 409
    error_code = "TENANT_SETTINGS_DIFFER"


# Wait.
class RetryLater(IngotError):
    """The same request can succeed in `retry_after` seconds."""

    status = 503
    error_code = "OVERLOADED"
    retry_after: int | None = 1


class OverQuota(RetryLater):
    """This caller has used up what it may use in a time."""

    status = 429
    error_code = "OVER_QUOTA"


class Overloaded(RetryLater):
    """Too much is being done already."""


class Starting(RetryLater):
    """The server is still opening its data."""

    error_code = "STARTING"


class Draining(RetryLater):
    """The server is going down."""

    error_code = "DRAINING"
    retry_after = 5


class TenantReadOnly(RetryLater):
    """The tenant takes no writes until its log is repaired."""

    error_code = "TENANT_READ_ONLY"
    public = "the tenant takes no writes at present; it can be read"
    retry_after = 30


# Call an operator.
class StorageError(IngotError):
    """The machine under the store failed."""

    error_code = "STORAGE_FAILED"
    public: ClassVar[str | None] = "the storage of this server failed; its log says how"


class DiskFull(StorageError):
    """No space is left; nothing was stored."""

    status = 507
    error_code = "DISK_FULL"
    public = None


class OutcomeUnknown(StorageError):
    """The sync itself failed: the upload is there whole or not at all."""

    error_code = "OUTCOME_UNKNOWN"
    public = None


class StorageFailed(StorageError):
    """The system refused an operation on a file."""


class CorruptData(StorageError):
    """Bytes on disk that are not what was written."""

    error_code = "CORRUPT_DATA"
    public = "stored data failed its checksum and is not answered; the server's log names the place"


class OpenError(StorageError):
    """The data directory cannot be opened."""


class DirectoryInUse(OpenError):
    """Another process (`pid`, when known) has the directory open."""


class FormatTooNew(OpenError):
    """The directory was written by a newer ingot."""


# The way it was called.
class UsageError(IngotError, RuntimeError):
    """The library was used in a way that cannot work."""

    public = "an error inside the server; its log has the details"


class Closed(UsageError):
    """The store is closed."""


class Forked(UsageError):
    """The store was opened before a fork; a child has to open its own."""


# Our bug.
class InternalError(IngotError):
    """A bug of ingot."""

    public = "an error inside the server; its log has the details"


class GraphFailed(InternalError):
    """The nearest-neighbour graph refused an operation; the vectors are unharmed."""


class Interrupted(KeyboardInterrupt):
    """The caller asked to stop (Ctrl-C)."""
