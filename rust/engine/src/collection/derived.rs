//! Codes and graphs on disk: derived from the log, saved so that they need not be derived again. A file that does
//! not fit in every respect is ignored.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::generation::Generation;
use super::{Collection, Progress};
use crate::codes::Codes;
use crate::error::{Error, Result};
use crate::format::checksum::{combine, crc32c};
use crate::format::{read_u32, read_u64};
use crate::graph::Graph;
use crate::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use crate::memory_unsafe::{Buffer, give_back};
use crate::storage::{File, bulk};

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
/// 2 was a graph with larger nodes.
const GRAPH: u32 = 3;

impl Header {
    fn encode(&self, length: u64, content_checksum: u32) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sub_tenant.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.incarnation);
        bytes[32..40].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.slots.to_le_bytes());
        bytes[44..52].copy_from_slice(&length.to_le_bytes());
        bytes[52..56].copy_from_slice(&content_checksum.to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What `file` holds behind its header, if that is whole, of this collection, and as long as the file says.
    fn read(&self, file: &dyn File) -> Option<Content> {
        let mut header = [0; HEADER];
        file.read_at(0, &mut header).ok()?;
        let content = Content {
            slots: read_u32(&header, 40),
            length: read_u64(&header, 44),
            checksum: read_u32(&header, 52),
        };
        let expected = Self { slots: content.slots, ..*self }.encode(content.length, content.checksum);
        let whole = file.len().ok()? == (HEADER as u64).checked_add(content.length)?;
        (whole && expected == header).then_some(content)
    }
}

/// What a derived file holds behind its header.
struct Content {
    slots: u32,
    length: u64,
    checksum: u32,
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

    /// Reads the codes that an earlier process saved of the current generation, once, so that a search need not scan
    /// all the float32 rows. Whoever comes meanwhile waits: it takes a fraction of such a scan.
    pub fn load_codes(&self) {
        self.load_codes_of(&self.generation());
    }

    fn load_codes_of(&self, generation: &Generation) {
        if generation.codes_loaded.get().is_some() {
            return;
        }
        let _coding = generation.coding.lock();
        if generation.codes_loaded.get().is_some() {
            return;
        }
        // A missing or damaged file is none; where there is no graph, nothing was saved.
        let there = generation.coded() == 0 && generation.slots() as usize >= self.shared.graph_from_rows;
        let codes = there.then(|| self.read_codes(generation)).flatten();
        let slots = codes.as_ref().map_or(0, |(_, slots)| *slots);
        if let Some((codes, _)) = codes {
            let _ = generation.codes.set(Arc::new(codes));
        }
        let _ = generation.codes_loaded.set(slots);
    }

    fn read_codes(&self, generation: &Generation) -> Option<(Codes, u32)> {
        let file = self.derived_file("codes", generation)?;
        let content = self.header(CODES, generation, 0).read(&*file)?;
        let row_bytes = Codes::new(self.shared.metric, self.dimension).row_bytes() as u64;
        if content.slots > generation.slots() || u64::from(content.slots) * row_bytes != content.length {
            return None;
        }
        let (metric, dimension) = (self.shared.metric, self.dimension);
        let read = Codes::read_from(metric, dimension, content.slots, &*file, HEADER as u64);
        read.ok().filter(|(_, sum)| *sum == content.checksum).map(|(codes, _)| (codes, content.slots))
    }

    /// Looks for what an earlier process saved of `generation`, once: before anything else is derived for it.
    pub(super) fn load(&self, generation: &Generation) {
        self.load_codes_of(generation);
        if generation.graph_loaded.get().is_some() {
            return;
        }
        let _making = self.making_graph.lock();
        if generation.graph_loaded.get().is_some() {
            return;
        }
        if let Some((graph, indexed)) = self.read_graph(generation) {
            let _ = generation.graph.set(Arc::new(graph));
            generation.backlog.loaded(indexed);
            self.saved.store(indexed, Ordering::Relaxed);
        }
        let _ = generation.graph_loaded.set(());
    }

    fn read_graph(&self, generation: &Generation) -> Option<(Graph, u32)> {
        let slots = generation.codes_loaded.get().copied().filter(|&slots| slots > 0)?;
        let codes = generation.codes.get()?;
        let file = self.derived_file("graph", generation)?;
        let content = self.header(GRAPH, generation, 0).read(&*file)?;
        if content.slots > slots {
            return None;
        }
        let mut bytes = Buffer::zeroed(usize::try_from(content.length).ok()?);
        let look = |piece: &[u8]| (crc32c(piece), piece.len() as u64);
        let pieces = bulk::fill(&*file, HEADER as u64, vec![&mut *bytes], 1, &look).ok()?;
        if pieces.into_iter().fold(0, |sum, (piece, length)| combine(sum, piece, length)) != content.checksum
        {
            return None;
        }
        let graph = Graph::from_bytes(
            Arc::clone(codes),
            GRAPH_CONNECTIVITY,
            GRAPH_EXPANSION_ADD,
            self.shared.graph_threads,
            &bytes,
        );
        Some((graph.ok()?, content.slots))
    }

    fn derived_file(&self, what: &str, generation: &Generation) -> Option<Arc<dyn File>> {
        let directory = self.shared.directory.read().clone();
        self.shared.storage.open(&directory.join(self.file_name(what, generation))).ok()
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
            give_back();
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
        let ended = self.saving.lock();
        if *ended {
            return Ok(());
        }
        // The graph may hold more than is said here; the others are added to it again, which it refuses
        // for those it has.
        let indexed = generation.backlog.indexed();
        let coded = generation.coded();
        self.write(
            "codes",
            generation,
            &self.header(CODES, generation, coded),
            codes.parts(coded).unwrap_or_default(),
        )?;
        let content = graph.to_bytes();
        self.write("graph", generation, &self.header(GRAPH, generation, indexed), vec![&content])
    }

    fn write(&self, what: &str, generation: &Generation, header: &Header, content: Vec<&[u8]>) -> Result<()> {
        let length = content.iter().map(|part| part.len() as u64).sum();
        let sum = content.iter().fold(0, |sum, part| combine(sum, crc32c(part), part.len() as u64));
        let header = header.encode(length, sum);
        let parts: Vec<&[u8]> = std::iter::once(&header[..]).chain(content).collect();
        let directory = self.shared.directory.read().clone();
        let name = self.file_name(what, generation);
        replace_file(&*self.shared.storage, &directory, &name, &parts)?;
        // Files of earlier generations of this sub-tenant serve no one any more.
        self.remove_but(what, &name)
    }

    /// Removes the derived files of all generations.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn remove_files(&self) -> Result<()> {
        self.remove_but("codes", "")?;
        self.remove_but("graph", "")
    }

    fn remove_but(&self, what: &str, kept: &str) -> Result<()> {
        let directory = self.shared.directory.read().clone();
        let prefix = format!("{what}-{}-", self.sub_tenant);
        for other in self.shared.storage.list(&directory).map_err(failed)? {
            if other.to_str().is_some_and(|other| other.starts_with(&prefix) && other != kept) {
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
