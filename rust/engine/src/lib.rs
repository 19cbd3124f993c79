//! The engine of ingot: the log is the store; everything else is derived from it.
//! It knows files, bytes and vectors; it does not know Python, HTTP, or what a request means.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod body;
pub mod error;
pub mod limits;
pub mod pool;
pub mod validate;
pub mod vector;
