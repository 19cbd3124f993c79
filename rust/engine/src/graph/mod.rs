//! The nearest-neighbour graph of a generation: usearch's HNSW over slots, whose distances are measured on
//! the codes. The only place that names usearch. Knows codes and slots; does not know rows, snapshots or
//! files.

mod feed;
mod gate;
mod index;
mod native_unsafe;
mod saved;

pub use feed::Feed;
pub use index::Graph;
