"""Every limit of the wire contract (section 9), in one place. The engine's own are in `limits.rs`."""

MAX_ROWS = 2000
MAX_COLUMNS = 3024

MAX_TENANT_ID = 255
MAX_SOURCE_ID = 512
MAX_CHUNK_ID = 520

MAX_METADATA = 64 * 1024
MAX_METADATA_LEVELS = 16

#: Results of one search.
MAX_SEARCH_LIMIT = 1000
DEFAULT_SEARCH_LIMIT = 10
#: The same of the first age.
MAX_CHUNKS = 200
DEFAULT_CHUNKS = 10
#: Queries of one batch, and results of it: queries times `limit`.
MAX_QUERIES = 1000
MAX_BATCH_RESULTS = 100_000
#: Numbers in the vectors that a batch may ask for: queries times `limit` times columns.
MAX_BATCH_NUMBERS = 16 * 1024 * 1024
#: Bytes of the answer to a batch.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
#: Bytes of a filter, and how deep its parentheses and `not` may nest.
MAX_FILTER = 16 * 1024
MAX_FILTER_LEVELS = 32
#: Keys of metadata that a filter may name.
MAX_FILTER_KEYS = 64
#: Candidates a caller may ask the graph to keep.
MAX_EF = 10_000

#: Rows of one page of a get, and its bytes.
MAX_PAGE_LIMIT = 10_000
DEFAULT_PAGE_LIMIT = 100
MAX_PAGE_BYTES = 64 * 1024 * 1024

#: Tenants or sources of one page.
MAX_NAMES_LIMIT = 1000
DEFAULT_NAMES_LIMIT = 100

#: `chunk_ids` of one delete or get.
MAX_CHUNK_IDS = 10_000
#: `file_ids` of one status request.
MAX_FILE_IDS = 1000

MAX_REQUEST_LINE = 16 * 1024
#: One below, so that the parser's complaint tells which of the two it was.
MAX_HEADER_FIELD = 16 * 1024 - 1
MAX_HEADERS = 128
MAX_REQUEST_ID = 128
MAX_IDEMPOTENCY_KEY = 255

MAX_BODY = 256 * 1024 * 1024
#: What is left of a JSON body when its vectors are taken out.
MAX_ENVELOPE = 16 * 1024 * 1024
