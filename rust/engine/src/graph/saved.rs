//! The bytes of a saved graph, checked before usearch reads them: it trusts sizes, slots and links blindly.
//!
//! Layout (usearch 2.26, little-endian): size, connectivity, base connectivity, top level, entry node as `u64`; the
//! level of every node as `i16`; the nodes, each its slot (`u32`), its level (`i16`), and for every level from the base
//! up a count and room for as many links (`u32`) as the connectivity allows.

use std::sync::Arc;

use crate::codes::Codes;
use crate::error::{Error, Result};

/// Bytes that are a graph over codes, each of whose slots has one.
pub struct Saved<'a> {
    bytes: &'a [u8],
    codes: Arc<Codes>,
    connectivity: usize,
    slots: Vec<u32>,
}

impl<'a> Saved<'a> {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// `CorruptData`, saying where.
    pub fn check(bytes: &'a [u8], codes: Arc<Codes>, connectivity: usize) -> Result<Self> {
        let mut cursor = Cursor { bytes, at: 0 };
        let links = links(&mut cursor, connectivity)?;
        let mut seen = vec![false; codes.len()];
        let mut slots = Vec::with_capacity(links.levels.len());
        for node in 0..links.levels.len() {
            let slot = cursor.u32()?;
            let first = seen.get_mut(slot as usize);
            let fresh = first.is_some_and(|seen| !std::mem::replace(seen, true));
            cursor.demand(fresh, "a slot that has no code, or is there twice")?;
            slots.push(slot);
            links.check(&mut cursor, node)?;
        }
        cursor.demand(cursor.at == bytes.len(), "bytes behind the last node")?;
        Ok(Self { bytes, codes, connectivity, slots })
    }

    pub const fn bytes(&self) -> &[u8] {
        self.bytes
    }

    pub const fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    pub const fn connectivity(&self) -> usize {
        self.connectivity
    }

    /// The slots in it.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }
}

/// What the links of a node are checked against.
struct Links {
    /// Highest level of every node.
    levels: Vec<usize>,
    connectivity: usize,
    base: usize,
}

fn links(cursor: &mut Cursor<'_>, connectivity: usize) -> Result<Links> {
    let nodes = usize::try_from(cursor.u64()?).unwrap_or(usize::MAX);
    cursor.demand(cursor.bytes.len() / size_of::<u32>() >= nodes, "fewer bytes than nodes")?;
    let stored = cursor.u64()?;
    let base = cursor.u64()?;
    let top = cursor.u64()?;
    let entry = cursor.u64()?;
    if nodes == 0 {
        return Ok(Links { levels: Vec::new(), connectivity, base: 0 });
    }
    let expected = connectivity as u64;
    cursor.demand(stored == expected && base == 2 * expected, "connectivity")?;
    let mut levels = Vec::with_capacity(nodes);
    for _ in 0..nodes {
        let level = usize::try_from(cursor.i16()?).ok();
        cursor.demand(level.is_some_and(|level| level as u64 <= top), "level of a node")?;
        levels.extend(level);
    }
    let entry = usize::try_from(entry).ok().and_then(|entry| levels.get(entry));
    cursor.demand(entry.is_some_and(|&level| level as u64 == top), "entry node")?;
    Ok(Links { levels, connectivity, base: 2 * connectivity })
}

impl Links {
    /// What comes behind the slot of a node.
    fn check(&self, cursor: &mut Cursor<'_>, node: usize) -> Result<()> {
        let level = cursor.i16()?;
        cursor.demand(usize::try_from(level).ok() == Some(self.levels[node]), "level of a node")?;
        for level in 0..=self.levels[node] {
            let room = if level == 0 { self.base } else { self.connectivity };
            let count = cursor.u32()? as usize;
            cursor.demand(count <= room, "more links than there is room for")?;
            for link in 0..room {
                let to = cursor.u32()? as usize;
                let reaches = self.levels.get(to).is_some_and(|&highest| highest >= level);
                cursor.demand(link >= count || reaches, "a link to a node that is not there")?;
            }
        }
        Ok(())
    }
}

/// Reads numbers, and knows where it is.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else { return Err(self.corrupt("end of the bytes")) };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn demand(&self, holds: bool, what: &str) -> Result<()> {
        if holds { Ok(()) } else { Err(self.corrupt(what)) }
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::CorruptData { reason: format!("graph, before byte {}: {what}", self.at) }
    }
}
