//! Codes and graphs on disk: derived from the log, saved so that they need not be derived again. A file that does
//! not fit in every respect is ignored.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::generation::Generation;
use super::{Collection, Progress};
use crate::codes::Codes;
use crate::error::{Error, Result};
use crate::format::checksum::crc32c;
use crate::format::{read_u32, read_u64};
use crate::graph::Graph;
use crate::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};

const MAGIC: &[u8; 8] = b"INGOTDRV";
const HEADER: usize = 64;

/// What a derived file says of itself.
struct Header {
    kind: u32,
    incarnation: [u8; 16],
    generation: u64,
    slots: u32,
    sub_tenant: u32,
}

const CODES: u32 = 1;
const GRAPH: u32 = 2;

impl Header {
    fn encode(&self, content: &[u8]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sub_tenant.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.incarnation);
        bytes[32..40].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.slots.to_le_bytes());
        bytes[44..52].copy_from_slice(&(content.len() as u64).to_le_bytes());
        bytes[52..56].copy_from_slice(&crc32c(content).to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The content, and how many slots it covers, if the file is whole and of this collection.
    fn open<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], u32)> {
        let (header, content) = bytes.split_at_checked(HEADER)?;
        let slots = read_u32(header, 40);
        let expected = Self { slots, ..*self }.encode(content);
        (expected[..44] == *header.get(..44)?
            && read_u64(header, 44) == content.len() as u64
            && expected == *header)
            .then_some((content, slots))
    }
}

impl Collection {
    fn header(&self, kind: u32, generation: &Generation, slots: u32) -> Header {
        Header {
            kind,
            incarnation: self.shared.incarnation,
            generation: generation.id,
            slots,
            sub_tenant: self.sub_tenant,
        }
    }

    fn file_name(&self, what: &str, generation: &Generation) -> String {
        format!("{what}-{}-{}", self.sub_tenant, generation.id)
    }

    /// Looks for what an earlier process saved of `generation`, once.
    ///
    /// # Errors
    /// What usearch refuses; a missing or damaged file is none.
    pub(super) fn load(&self, generation: &Generation) -> Result<()> {
        let _coding = generation.coding.lock();
        if generation.loaded.set(()).is_err() || generation.coded() > 0 {
            return Ok(());
        }
        let directory = self.shared.directory.read().clone();
        let read = |what| self.shared.storage.read(&directory.join(self.file_name(what, generation))).ok();
        let Some(bytes) = read("codes") else { return Ok(()) };
        let Some((content, slots)) = self.header(CODES, generation, 0).open(&bytes) else { return Ok(()) };
        if slots > generation.slots() {
            return Ok(());
        }
        let mut content: &[u8] = content;
        let Ok(codes) =
            Codes::read_from(self.shared.metric, self.dimension, slots, &mut content as &mut dyn Read)
        else {
            return Ok(());
        };
        let codes = Arc::new(codes);
        let _ = generation.codes.set(Arc::clone(&codes));
        drop(bytes);
        let Some(bytes) = read("graph") else { return Ok(()) };
        let Some((content, indexed)) = self.header(GRAPH, generation, 0).open(&bytes) else { return Ok(()) };
        if indexed > slots {
            return Ok(());
        }
        let graph = Graph::from_bytes(
            codes,
            GRAPH_CONNECTIVITY,
            GRAPH_EXPANSION_ADD,
            self.shared.graph_threads,
            content,
        );
        if let Ok(graph) = graph {
            let _ = generation.graph.set(Arc::new(graph));
            generation.backlog.loaded(indexed);
            self.saved.store(indexed, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Saves codes and graph when nothing is left to index and a fifth of the graph is not saved.
    ///
    /// # Errors
    /// What the system refuses.
    pub(super) fn save_if_grown(&self, generation: &Generation) -> Result<Progress> {
        let indexed = generation.backlog.indexed();
        let unsaved = indexed - self.saved.load(Ordering::Relaxed).min(indexed);
        if unsaved > 0 && unsaved >= indexed / 5 && self.is_indexed(generation) {
            // Another worker that comes by meanwhile has nothing to do.
            self.saved.store(indexed, Ordering::Relaxed);
            // Not being able to save costs time at the next start, nothing else.
            let _ = self.save_generation(generation);
        }
        Ok(Progress::Idle)
    }

    /// Saves codes and graph of the current generation if anything is not saved yet.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn save(&self) -> Result<()> {
        let generation = self.generation();
        let indexed = generation.backlog.indexed();
        if indexed > self.saved.load(Ordering::Relaxed) {
            self.save_generation(&generation)?;
            self.saved.store(indexed, Ordering::Relaxed);
        }
        Ok(())
    }

    fn save_generation(&self, generation: &Generation) -> Result<()> {
        let (Some(codes), Some(graph)) = (generation.codes.get(), generation.graph.get()) else {
            return Ok(());
        };
        // The graph may hold more than is said here; the others are added to it again, which it refuses
        // for those it has.
        let indexed = generation.backlog.indexed();
        let coded = generation.coded();
        let mut content = Vec::new();
        codes.write_to(coded, &mut content as &mut dyn Write).map_err(failed)?;
        let header = self.header(CODES, generation, coded).encode(&content);
        self.write("codes", generation, &header, &content)?;
        drop(content);
        let content = graph.to_bytes()?;
        let header = self.header(GRAPH, generation, indexed).encode(&content);
        self.write("graph", generation, &header, &content)
    }

    fn write(&self, what: &str, generation: &Generation, header: &[u8], content: &[u8]) -> Result<()> {
        let directory = self.shared.directory.read().clone();
        let name = self.file_name(what, generation);
        replace_file(&*self.shared.storage, &directory, &name, &[header, content])?;
        // Files of earlier generations of this sub-tenant serve no one any more.
        let prefix = format!("{what}-{}-", self.sub_tenant);
        for other in self.shared.storage.list(&directory).map_err(failed)? {
            if other.to_str().is_some_and(|other| other.starts_with(&prefix) && other != name) {
                self.shared.storage.remove_file(&directory.join(other)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Writes a file whole or not at all: beside it, synced, renamed over it, the directory synced.
///
/// # Errors
/// What the system refuses.
pub fn replace_file(
    storage: &dyn crate::storage::Storage,
    directory: &Path,
    name: &str,
    parts: &[&[u8]],
) -> Result<()> {
    let beside = directory.join(format!("{name}.new"));
    let written = (|| {
        if storage.exists(&beside)? {
            storage.remove_file(&beside)?;
        }
        let file = storage.create(&beside)?;
        file.allocate(0, parts.iter().map(|part| part.len() as u64).sum())?;
        file.write_at(0, parts)?;
        file.sync()?;
        storage.rename(&beside, &directory.join(name))?;
        storage.sync_dir(directory)
    })();
    written.map_err(failed)
}

fn failed(cause: io::Error) -> Error {
    Error::storage("saving a derived file", &cause)
}
