//! What a search found, as the JSON text that a client is sent: written where it is found, off the event loop.

use std::collections::HashSet;
use std::io::Write;

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
    /// The list of what a query found; for a `batch` the list of these lists. `None` when it is longer than `most`
    /// bytes.
    pub fn write(found: &[Hits], batch: bool, most: usize) -> Result<Option<Self>> {
        let mut text = Text { parts: Vec::new(), last: Vec::new(), left: most };
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

/// Vectors by the ids of their rows: a JSON object in parts, and the ids of no row.
pub struct VectorsById {
    pub parts: Vec<Vec<u8>>,
    pub missing: Vec<String>,
}

impl VectorsById {
    /// The vectors of the rows found of those `asked` for. `None` when the object is longer than `most` bytes.
    pub fn write(found: &Hits, asked: Vec<String>, most: usize) -> Result<Option<Self>> {
        let mut text = Text { parts: Vec::new(), last: vec![b'{'], left: most };
        let mut there: HashSet<String> = HashSet::with_capacity(found.len());
        found.each(&mut |hit| {
            if text.left > 0 {
                text.vector(&hit, there.is_empty());
                there.insert(hit.chunk_id);
            }
            Ok(())
        })?;
        if text.left == 0 {
            return Ok(None);
        }
        text.last.push(b'}');
        text.parts.push(text.last);
        let missing = asked.into_iter().filter(|id| there.insert(id.clone())).collect();
        Ok(Some(Self { parts: text.parts, missing }))
    }
}

struct Text {
    parts: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// Bytes that may still come; 0 when there were more.
    left: usize,
}

impl Text {
    fn vector(&mut self, hit: &Hit<'_>, first: bool) {
        if self.last.len() > PART {
            self.parts.push(std::mem::take(&mut self.last));
        }
        let before = self.last.len();
        let out = &mut self.last;
        if !first {
            out.push(b',');
        }
        quote(out, &hit.chunk_id);
        let mut sign: &[u8] = b":[";
        for &number in hit.vector {
            out.extend_from_slice(sign);
            let _ = write!(out, "{:?}", f64::from(number));
            sign = b",";
        }
        out.push(b']');
        self.left = self.left.saturating_sub(out.len() - before);
    }

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
        // As doubles: the shortest text of a float32 is not always the one that a double rounds back from. Writing to
        // memory cannot fail.
        let (score, distance) = (f64::from(exact::score(metric, hit.distance)), f64::from(hit.distance));
        let _ =
            write!(out, ",\"embedding\":null}},\"score\":{score:?},\"distance\":{distance:?},\"metadata\":");
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
