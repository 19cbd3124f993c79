//! What a search found, as the JSON text that a client is sent: written where it is found, off the event loop.

use std::collections::HashSet;
use std::io::Write;

use ingot_engine::body::base64;
use ingot_engine::error::Result;
use ingot_engine::exact;
use ingot_engine::tenant::{Bookmark, Hit, Hits};
use ingot_engine::vector::Metric;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes after which another part is begun.
const PART: usize = 256 * 1024;

/// How the vectors of rows are shown.
#[derive(Clone, Copy)]
pub enum Vectors {
    /// Not at all.
    None,
    /// As lists of numbers.
    List,
    /// As base64 of their float32 little-endian bytes.
    Base64,
}

impl Vectors {
    /// What Python calls them: `none`, `list` or `base64`.
    ///
    /// # Errors
    /// `ValueError` for another name.
    pub fn named(name: &str) -> PyResult<Self> {
        match name {
            "none" => Ok(Self::None),
            "list" => Ok(Self::List),
            "base64" => Ok(Self::Base64),
            other => {
                Err(PyValueError::new_err(format!("vectors must be none, list or base64, not {other:?}")))
            }
        }
    }
}

/// JSON text in parts of a few hundred KiB, and how many rows it shows.
pub struct Answer {
    pub parts: Vec<Vec<u8>>,
    pub rows: usize,
}

impl Answer {
    /// The list of what a query found; for a `batch` the list of these lists. `None` when it is longer than `most`
    /// bytes.
    pub fn write(found: &[Hits], batch: bool, vectors: Vectors, most: usize) -> Result<Option<Self>> {
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
                    text.item(&hit, Some(metric), vectors, first);
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

    /// The parts as Python has them.
    pub fn bytes(&self, py: Python<'_>) -> Vec<Py<PyBytes>> {
        self.parts.iter().map(|part| PyBytes::new(py, part).unbind()).collect()
    }
}

/// A page of rows, and the cursor to what follows it.
pub struct Page {
    pub answer: Answer,
    pub next: Option<String>,
}

impl Page {
    /// The list of `hits`, as far as it is about `most` bytes long; at least the first.
    pub fn write(hits: &Hits, bookmark: &Bookmark, vectors: Vectors, most: usize) -> Result<Self> {
        let mut text = Text { parts: Vec::new(), last: vec![b'['], left: most };
        let mut rows = 0;
        hits.each_while(&mut |hit| {
            let start = text.item(&hit, None, vectors, rows == 0);
            if text.left == 0 && rows > 0 {
                text.last.truncate(start);
                return Ok(false);
            }
            rows += 1;
            Ok(text.left > 0)
        })?;
        text.last.push(b']');
        text.parts.push(text.last);
        let next = hits.found().get(rows).map_or_else(|| bookmark.next(), |next| Some(bookmark.at(next.row)));
        Ok(Self { answer: Answer { parts: text.parts, rows }, next })
    }
}

/// Vectors by the ids of their rows as a JSON object, and the ids of no row.
pub struct VectorsById {
    pub answer: Answer,
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
        let rows = there.len();
        let missing = asked.into_iter().filter(|id| there.insert(id.clone())).collect();
        Ok(Some(Self { answer: Answer { parts: text.parts, rows }, missing }))
    }
}

struct Text {
    parts: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// Bytes that may still come; 0 when there were more.
    left: usize,
}

impl Text {
    /// One vector by its id.
    fn vector(&mut self, hit: &Hit<'_>, first: bool) {
        if self.last.len() > PART {
            self.parts.push(std::mem::take(&mut self.last));
        }
        let before = self.last.len();
        if !first {
            self.last.push(b',');
        }
        quote(&mut self.last, &hit.chunk_id);
        self.last.push(b':');
        numbers(&mut self.last, hit.vector);
        self.left = self.left.saturating_sub(self.last.len() - before);
    }

    /// One row, where it begins in the last part is returned; with `metric` it was searched for.
    fn item(&mut self, hit: &Hit<'_>, metric: Option<Metric>, vectors: Vectors, first: bool) -> usize {
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
        match vectors {
            Vectors::None => out.extend_from_slice(b"null"),
            Vectors::List => numbers(out, hit.vector),
            Vectors::Base64 => {
                out.push(b'"');
                base64::encode(bytemuck::cast_slice(hit.vector), out);
                out.push(b'"');
            }
        }
        out.push(b'}');
        if let Some(metric) = metric {
            let (score, distance) = (f64::from(exact::score(metric, hit.distance)), f64::from(hit.distance));
            // As doubles, as the numbers of a vector.
            let _ = write!(out, ",\"score\":{score:?},\"distance\":{distance:?}");
        }
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(hit.metadata.unwrap_or(b"{}"));
        out.push(b'}');
        self.left = self.left.saturating_sub(out.len() - before);
        before
    }
}

/// A vector as JSON: doubles, since the shortest text of a float32 is not always the one that a double rounds back from.
fn numbers(out: &mut Vec<u8>, vector: &[f32]) {
    for (column, &number) in vector.iter().enumerate() {
        let separator = if column == 0 { '[' } else { ',' };
        // Writing to memory cannot fail.
        let _ = write!(out, "{separator}{:?}", f64::from(number));
    }
    out.push(b']');
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
