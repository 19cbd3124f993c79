//! Every limit and default of the engine, in one place (contract, section 9).

/// Most rows in one upload.
pub const MAX_ROWS: usize = 2000;
/// Most numbers in one row.
pub const MAX_DIMENSION: usize = 3024;
/// Longest `tenant_id` or `sub_tenant_id`, in bytes of UTF-8.
pub const MAX_TENANT_ID: usize = 255;
/// Longest `file_id` (`source_id`), in bytes of UTF-8.
pub const MAX_SOURCE_ID: usize = 512;
/// Longest `chunk_id`, in bytes of UTF-8.
pub const MAX_CHUNK_ID: usize = 520;
/// Longest metadata of a source, in bytes of JSON text.
pub const MAX_METADATA: usize = 64 * 1024;
/// Longest filter, in bytes of UTF-8.
pub const MAX_FILTER: usize = 16 * 1024;
/// Most keys of metadata that a filter may name: each may need an index.
pub const MAX_FILTER_KEYS: usize = 64;
/// Deepest nesting of parentheses and `not` in a filter.
pub const MAX_FILTER_LEVELS: usize = 32;
/// Most results of one search.
pub const MAX_LIMIT: usize = 1000;

/// Most queries of one search.
pub const MAX_QUERIES: usize = 1000;
/// Deepest nesting of a JSON body.
pub const MAX_NESTING: usize = 64;
/// Most fields of the top-level object of a JSON body.
pub const MAX_FIELDS: usize = 1000;
/// Longest key, unescaped, of a JSON object whose keys matter to the reader.
pub const MAX_KEY: usize = 4096;
/// Longest JSON body without its rows, in bytes.
pub const MAX_ENVELOPE: usize = 16 * 1024 * 1024;
/// Most members of a gzip body, and frames of a zstd one: each costs more than its bytes.
pub const MAX_ENCODED_MEMBERS: usize = 16_384;
/// Largest window of a zstd body, as a power of two: 8 MiB (RFC 8878, section 3.1.1.1.2).
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// Longest header of an npy array, in bytes.
pub const MAX_NPY_HEADER: usize = 64 * 1024;

/// Most ids of tenants or sources in one page.
pub const MAX_PAGE_NAMES: usize = 1000;

/// Name of the sub-tenant that always exists.
pub const DEFAULT_SUB_TENANT: &str = "default";

/// Links of a node in the graph's upper levels (usearch `connectivity`).
pub const GRAPH_CONNECTIVITY: usize = 16;
/// Candidates kept while a node is added (usearch `expansion_add`).
pub const GRAPH_EXPANSION_ADD: usize = 128;
/// Candidates kept during a search unless the caller names another `ef`: recall@10 of 45,000 embeddings of texts was 0.9956 to
/// 0.9961 with it, 0.9946 to 0.9955 with 128, three builds each (`python -m benches indexing`).
pub const DEFAULT_EF: usize = 144;
/// A collection smaller than this stays flat unless the store is opened with another limit: scanning it is faster
/// than keeping a graph.
pub const GRAPH_FROM_ROWS: usize = 10_000;
/// Bytes that the indexes of metadata may hold, all tenants together, beyond those of a filter in progress.
pub const FILTER_MEMORY: usize = 512 << 20;
