//! Finding the end of a log, and telling a torn tail from corruption.
//!
//! The rule: records are read in order until one does not fit. The rest of the segment is then searched, at every
//! place a record can begin, for records that say how far the log was synced when they were written. A misfit that
//! some later record knew synced is corruption; any other belongs to a group that was never acknowledged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Checkpointed, Position, Segment, Segments, Sizes};
use crate::error::{Error, Result};
use crate::format::checksum::crc32c;
use crate::format::record::{Kind, MAGIC, Record, RecordHeader};
use crate::format::segment::{NotASegment, SEGMENT_HEADER, SegmentHeader};
use crate::format::{ALIGNMENT, BLOCK, FORMAT_VERSION, read_u32};
use crate::storage::{File, Storage};

/// Bytes that hold a segment's header and the record of a tenant, whose id has 255 at most.
const FIRST: usize = 1024;

/// Name of a segment's file.
pub(super) fn file_name(number: u64, generation: u32) -> String {
    format!("{number:08}-{generation}.log")
}

fn parse_file_name(name: &str) -> Option<(u64, u32)> {
    let (number, generation) = name.strip_suffix(".log")?.split_once('-')?;
    Some((number.parse().ok()?, generation.parse().ok()?))
}

/// What `read` makes of the first record of a log, which is its tenant's.
pub(super) fn first_record<T>(
    storage: &dyn Storage,
    directory: &Path,
    read: &dyn Fn(&Record<'_>) -> Option<T>,
) -> io::Result<Option<T>> {
    let names = storage.list(directory)?;
    let numbered = names.iter().filter_map(|name| parse_file_name(name.to_str()?));
    let Some((number, generation)) = numbered.min() else { return Ok(None) };
    let file = storage.open(&directory.join(file_name(number, generation)))?;
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(FIRST);
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    let rest = bytes.get(SEGMENT_HEADER as usize..).unwrap_or_default();
    let header = SegmentHeader::decode(&bytes).ok().filter(|header| header.number == 1);
    let record = header.and_then(|header| Record::decode(rest, header.incarnation, 1));
    Ok(record.filter(|record| record.header.kind == Kind::Tenant).and_then(|record| read(&record)))
}

/// The segment files of a log.
pub(super) struct Found {
    pub(super) segments: Segments,
    pub(super) incarnation: [u8; 16],
    pub(super) tail_file: Arc<dyn File>,
    lengths: Vec<u64>,
}

/// Where the log ends.
pub(super) struct Ends {
    pub(super) tail: u64,
    pub(super) end: u64,
    /// Up to where a later record or a checkpoint says that it was synced; what follows may be in memory only.
    pub(super) proven: u64,
    pub(super) lsn: u64,
    pub(super) epoch: u64,
    /// Largest epoch of any record found, whether it counts or not.
    pub(super) last_epoch: u64,
    pub(super) sealed: bool,
}

impl Found {
    /// Opens and maps every segment.
    pub(super) fn read(storage: &dyn Storage, directory: &Path, sizes: Sizes) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::storage("opening the log", &cause);
        let mut names: Vec<(u64, u32)> = Vec::new();
        for name in storage.list(directory).map_err(failed)? {
            if let Some(parsed) = name.to_str().and_then(parse_file_name) {
                names.push(parsed);
            }
        }
        names.sort_unstable();
        let corrupt = |number: u64, what: &str| Error::CorruptData {
            reason: format!("{} in {}: {what}", file_name(number, 0), directory.display()),
        };
        let mut found: Option<Self> = None;
        for (index, &(number, generation)) in names.iter().enumerate() {
            if number != index as u64 + 1 {
                return Err(corrupt(index as u64 + 1, "is missing"));
            }
            let file = storage.open(&directory.join(file_name(number, generation))).map_err(failed)?;
            let length = file.len().map_err(failed)?;
            let mut bytes = [0; SEGMENT_HEADER as usize];
            let readable = length >= SEGMENT_HEADER && file.read_at(0, &mut bytes).is_ok();
            let header = match SegmentHeader::decode(if readable { &bytes } else { &[] }) {
                Ok(header) if header.number == number && header.generation == generation => header,
                Ok(_) => return Err(corrupt(number, "is the file of another segment")),
                Err(NotASegment::Newer(version)) => {
                    return Err(Error::FormatTooNew {
                        found: version.into(),
                        supported: FORMAT_VERSION.into(),
                    });
                }
                // The last segment's making was cut short; the one before is sealed and ends the log.
                Err(NotASegment::Damaged) if index > 0 && index + 1 == names.len() => {
                    let segment = Segment::map(&*file, number, length).map_err(failed)?;
                    let incarnation = found.as_ref().map(|found| found.incarnation);
                    if let Some(incarnation) = incarnation
                        && Later::find(&segment, 0, length, incarnation, number)?.is_some()
                    {
                        return Err(corrupt(number, "has records but its first 64 bytes are damaged"));
                    }
                    break;
                }
                Err(NotASegment::Damaged) => {
                    return Err(corrupt(number, "the first 64 bytes are not a segment's"));
                }
            };
            let segment = Segment::map(&*file, number, sizes.segment).map_err(failed)?;
            match &mut found {
                None => {
                    let segments = Segments::new();
                    segments.push(segment);
                    let incarnation = header.incarnation;
                    found = Some(Self { segments, incarnation, tail_file: file, lengths: vec![length] });
                }
                Some(found) if found.incarnation == header.incarnation => {
                    found.segments.push(segment);
                    found.tail_file = file;
                    found.lengths.push(length);
                }
                Some(_) => return Err(corrupt(number, "belongs to another incarnation of the tenant")),
            }
        }
        found.ok_or_else(|| corrupt(1, "is missing"))
    }

    /// Shows `visit` the records from `from` on and says where they end.
    pub(super) fn walk(
        &self,
        from: Option<Checkpointed>,
        visit: &mut dyn FnMut(&Record<'_>, Position) -> Result<()>,
    ) -> Result<Ends> {
        let start = from.unwrap_or(Checkpointed {
            position: Position { segment: 1, offset: SEGMENT_HEADER },
            lsn: 0,
            epoch: 0,
        });
        let last = self.lengths.len() as u64;
        self.segments.get(start.position.segment)?;
        let mut ends = Ends {
            tail: start.position.segment,
            end: start.position.offset,
            proven: start.position.offset,
            lsn: start.lsn,
            epoch: start.epoch,
            last_epoch: start.epoch,
            sealed: false,
        };
        for number in start.position.segment..=last {
            let segment = self.segments.get(number)?;
            let length = self.lengths[usize::try_from(number - 1).unwrap_or_default()];
            let from = if number == start.position.segment { start.position.offset } else { SEGMENT_HEADER };
            if from > length {
                return Err(segment.corrupt(length, "ends before the place that the checkpoint names"));
            }
            ends = Ends { tail: number, end: from, proven: from, sealed: false, ..ends };
            let found = Walk { segment, length, number, incarnation: self.incarnation }.records(&mut ends)?;
            if number < last && !ends.sealed {
                return Err(segment.corrupt(ends.end, "should hold a record: a later segment exists"));
            }
            for (offset, _) in found {
                let record = segment.record(offset)?;
                if record.header.kind != Kind::Seal {
                    visit(&record, Position { segment: number, offset })?;
                }
            }
        }
        Ok(ends)
    }
}

/// One segment being read from a known end of the log on.
struct Walk<'a> {
    segment: &'a Segment,
    length: u64,
    number: u64,
    incarnation: [u8; 16],
}

impl Walk<'_> {
    /// Moves `ends` to the end of the records that count, and lists them.
    fn records(&self, ends: &mut Ends) -> Result<Vec<(u64, RecordHeader)>> {
        // What the caller knows comes from a checkpoint or from the beginning of a segment: it was synced.
        let mut durable_end = ends.end;
        let mut found: Vec<(u64, RecordHeader)> = Vec::new();
        let (mut offset, mut lsn, mut epoch) = (ends.end, ends.lsn, ends.epoch);
        while let Some(header) = self.follows(offset, lsn, epoch)? {
            durable_end = durable_end.max(header.durable_end);
            (lsn, epoch) = (header.lsn, header.epoch);
            found.push((offset, header));
            offset += header.record_length();
            if header.kind == Kind::Seal {
                break;
            }
        }
        let sealed = found.last().is_some_and(|(_, header)| header.kind == Kind::Seal);
        if !sealed
            && let Some(later) =
                Later::find(self.segment, offset, self.length, self.incarnation, self.number)?
        {
            if later.durable_end > offset {
                return Err(self.segment.corrupt(offset, "is not the record that was acknowledged there"));
            }
            durable_end = durable_end.max(later.durable_end);
            ends.last_epoch = ends.last_epoch.max(later.epoch);
        }
        ends.last_epoch = ends.last_epoch.max(epoch);
        // The last group may be torn inside: its bodies are checked, and it counts up to the first bad one.
        let mut kept = found.len();
        for (index, (at, header)) in found.iter().enumerate() {
            if at + header.record_length() > durable_end && !self.body_is_whole(*at, header)? {
                kept = index;
                break;
            }
        }
        found.truncate(kept);
        for (at, header) in &found {
            ends.end = at + header.record_length();
            ends.lsn = header.lsn;
            ends.epoch = header.epoch;
            ends.sealed = header.kind == Kind::Seal;
        }
        ends.proven = durable_end.min(ends.end);
        Ok(found)
    }

    /// The record at `offset`, when one is there that can follow on `lsn` and `epoch`.
    fn follows(&self, offset: u64, lsn: u64, epoch: u64) -> Result<Option<RecordHeader>> {
        let rest = self.segment.bytes(offset, self.length.saturating_sub(offset))?;
        let Some(record) = Record::decode(rest, self.incarnation, self.number) else {
            return Ok(None);
        };
        let header = record.header;
        let expected = if header.kind == Kind::Seal { lsn } else { lsn + 1 };
        let fits =
            header.lsn == expected && header.epoch >= epoch && header.record_length() <= self.length - offset;
        Ok(fits.then_some(header))
    }

    fn body_is_whole(&self, offset: u64, header: &RecordHeader) -> Result<bool> {
        let record = self.segment.record(offset)?;
        let body = self.segment.bytes(offset + u64::from(header.header_length), header.body_length)?;
        let blocks = body.chunks(usize::try_from(BLOCK).unwrap_or(usize::MAX));
        Ok(blocks.zip(0..).all(|(block, index)| record.block_checksum(index) == Some(crc32c(block))))
    }
}

/// What the records behind a misfit say.
struct Later {
    /// The furthest end that any of them knew synced.
    durable_end: u64,
    /// The largest epoch among them.
    epoch: u64,
}

impl Later {
    /// Looks at every place from `offset` on where a record can begin; `None` when there is none.
    fn find(
        segment: &Segment,
        offset: u64,
        length: u64,
        incarnation: [u8; 16],
        number: u64,
    ) -> Result<Option<Self>> {
        let mut found: Option<Self> = None;
        let mut at = offset.next_multiple_of(ALIGNMENT);
        while at + ALIGNMENT <= length {
            let rest = segment.bytes(at, length - at)?;
            if read_u32(rest, 0) == MAGIC
                && let Some(record) = Record::decode(rest, incarnation, number)
            {
                let (durable_end, epoch) = (record.header.durable_end, record.header.epoch);
                let before = found.unwrap_or(Self { durable_end, epoch });
                found = Some(Self {
                    durable_end: durable_end.max(before.durable_end),
                    epoch: epoch.max(before.epoch),
                });
            }
            at += ALIGNMENT;
        }
        Ok(found)
    }
}
