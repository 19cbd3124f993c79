//! What a search found, as the JSON text that a client is sent: written where it is found, off the event loop.

use std::io::Write;

use ingot_engine::body::base64;
use ingot_engine::error::Result;
use ingot_engine::exact;
use ingot_engine::tenant::{Hit, Hits};
use ingot_engine::vector::Metric;

/// Bytes after which another part is begun.
const PART: usize = 256 * 1024;

/// JSON text in parts of a few hundred KiB, and how many rows it shows.
pub struct Answer {
    pub parts: Vec<Vec<u8>>,
    pub rows: usize,
}

impl Answer {
    /// The list of what a query found; for a `batch` the list of these lists. `vectors`: with them, as base64. `None`
    /// when it is longer than `most` bytes.
    pub fn write(found: &[Hits], batch: bool, vectors: bool, most: usize) -> Result<Option<Self>> {
        let mut text = Text { parts: Vec::new(), last: Vec::new(), vectors, left: most };
        if batch {
            text.last.push(b'[');
        }
        for (number, hits) in found.iter().enumerate() {
            text.last.extend_from_slice(if number > 0 { b",[" } else { b"[" });
            let metric = hits.tenant().metric();
            let mut first = true;
            hits.each(&mut |hit| {
                if text.left > 0 {
                    text.item(&hit, metric, first);
                }
                first = false;
                Ok(())
            })?;
            text.last.push(b']');
            if text.left == 0 {
                return Ok(None);
            }
        }
        if batch {
            text.last.push(b']');
        }
        text.parts.push(text.last);
        Ok(Some(Self { parts: text.parts, rows: found.iter().map(Hits::len).sum() }))
    }
}

struct Text {
    parts: Vec<Vec<u8>>,
    last: Vec<u8>,
    vectors: bool,
    /// Bytes that may still come; 0 when there were more.
    left: usize,
}

impl Text {
    fn item(&mut self, hit: &Hit<'_>, metric: Metric, first: bool) {
        if self.last.len() > PART {
            self.parts.push(std::mem::take(&mut self.last));
        }
        let before = self.last.len();
        let out = &mut self.last;
        out.extend_from_slice(if first { b"{\"source_id\":" } else { b",{\"source_id\":" });
        quote(out, hit.source_id);
        out.extend_from_slice(b",\"embedding\":{\"chunk_id\":");
        quote(out, &hit.chunk_id);
        out.extend_from_slice(b",\"embedding\":");
        if self.vectors {
            out.push(b'"');
            base64::encode(bytemuck::cast_slice(hit.vector), out);
            out.push(b'"');
        } else {
            out.extend_from_slice(b"null");
        }
        // As doubles: the shortest text of a float32 is not always the one that a double rounds back from. Writing to
        // memory cannot fail.
        let (score, distance) = (f64::from(exact::score(metric, hit.distance)), f64::from(hit.distance));
        let _ = write!(out, "}},\"score\":{score:?},\"distance\":{distance:?},\"metadata\":");
        out.extend_from_slice(hit.metadata.unwrap_or(b"{}"));
        out.push(b'}');
        self.left = self.left.saturating_sub(out.len() - before);
    }
}

/// A string as JSON.
fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => drop(write!(out, "\\u{byte:04x}")),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
