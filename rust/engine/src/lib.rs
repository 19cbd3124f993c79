//! The engine of ingot: the log is the store; everything else is derived from it.
//! It knows files, bytes and vectors; it does not know Python, HTTP, or what a request means.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod body;
pub mod catalogue;
pub mod chunked_unsafe;
pub mod codes;
pub mod collection;
pub mod error;
pub mod exact;
pub mod filter;
pub mod format;
pub mod graph;
pub mod indexer;
pub mod inverted;
pub mod limits;
pub mod log;
pub mod memory_unsafe;
pub mod pool;
pub mod storage;
pub mod store;
pub mod sync;
pub mod tenant;
pub mod thread_unsafe;
pub mod validate;
pub mod vector;
