//! The content encodings of a body (RFC 9110, section 8.4.1; RFC 8878 for zstd), undone while it arrives: a step gives at
//! most [`STEP`] bytes, however little it was made of.

use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::error::{Error, Result};
use crate::limits::{MAX_ENCODED_MEMBERS, MAX_ZSTD_WINDOW_LOG};

/// Bytes that one step unpacks, at most.
pub const STEP: usize = 64 * 1024;

/// How a body was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1950, or bare RFC 1951, which many take the name for.
    Deflate,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Encoding {
    /// As `Content-Encoding` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// The encoding of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Deflate, Self::Zstd].into_iter().find(|encoding| encoding.name() == name)
    }
}

/// What is at work.
enum Stream {
    /// The first bytes of `deflate`, until they tell which it is.
    Undecided(Vec<u8>),
    Zlib(Box<Decompress>),
    Zstd(DCtx<'static>),
}

/// Undoes an encoding.
pub struct Unpacker {
    stream: Stream,
    progress: Progress,
    limit: u64,
    unpacked: u64,
}

/// How far a stream is.
struct Progress {
    encoding: Encoding,
    output: Box<[u8]>,
    /// Members or frames begun.
    members: usize,
    /// Whether the stream may end here.
    ended: bool,
    /// Whether more may come out although nothing goes in.
    pending: bool,
}

impl Unpacker {
    /// Unpacks a body from its first byte; what comes out may be `limit` bytes.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when there is no memory for it.
    pub fn new(encoding: Encoding, limit: u64) -> Result<Self> {
        let stream = match encoding {
            Encoding::Gzip => Stream::Zlib(gzip()),
            Encoding::Deflate => Stream::Undecided(Vec::new()),
            Encoding::Zstd => Stream::Zstd(zstd()?),
        };
        let output = vec![0; STEP].into_boxed_slice();
        let progress = Progress { encoding, output, members: 1, ended: false, pending: false };
        Ok(Self { stream, progress, limit, unpacked: 0 })
    }

    /// Bytes that came out so far.
    pub const fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Whether another step may give something without any input.
    pub const fn pending(&self) -> bool {
        self.progress.pending
    }

    /// Takes some of `input`; returns how much, and what came out.
    ///
    /// # Errors
    /// [`Error::MalformedEncoding`], or [`Error::BodyTooLarge`] beyond the limit.
    pub fn step(&mut self, input: &[u8]) -> Result<(usize, &[u8])> {
        let (taken, given) = self.advance(input)?;
        self.unpacked += given as u64;
        if self.unpacked > self.limit {
            return Err(Error::BodyTooLarge { limit: self.limit });
        }
        Ok((taken, &self.progress.output[..given]))
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`Error::MalformedEncoding`] when something is missing.
    pub fn finish(&self) -> Result<()> {
        if self.progress.ended { Ok(()) } else { Err(self.progress.malformed("it ends too early")) }
    }

    fn advance(&mut self, input: &[u8]) -> Result<(usize, usize)> {
        let progress = &mut self.progress;
        if progress.ended {
            if input.is_empty() {
                return Ok((0, 0));
            }
            match &mut self.stream {
                Stream::Zlib(inflate) if progress.encoding == Encoding::Gzip => *inflate = gzip(),
                Stream::Zstd(_) => {}
                _ => return Err(progress.malformed(BEHIND)),
            }
            progress.next_member()?;
        }
        match &mut self.stream {
            Stream::Undecided(head) => {
                let taken = input.len().min(2 - head.len());
                head.extend_from_slice(&input[..taken]);
                let &[cmf, flags] = head.as_slice() else { return Ok((taken, 0)) };
                let mut inflate = Box::new(Decompress::new(has_zlib_header(cmf, flags)));
                let (read, given) = progress.inflate(&mut inflate, &[cmf, flags])?;
                self.stream = Stream::Zlib(inflate);
                if read < 2 { Err(progress.malformed(BEHIND)) } else { Ok((taken, given)) }
            }
            Stream::Zlib(inflate) => progress.inflate(inflate, input),
            Stream::Zstd(context) => progress.decompress(context, input),
        }
    }
}

impl Progress {
    fn inflate(&mut self, inflate: &mut Decompress, input: &[u8]) -> Result<(usize, usize)> {
        let (read, wrote) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(input, &mut self.output, FlushDecompress::None);
        let status = status.map_err(|error| match (error.needs_dictionary(), error.message()) {
            (Some(_), _) => self.malformed("it asks for a preset dictionary"),
            // The first bytes of another member.
            (None, Some("incorrect header check")) if self.members > 1 => self.malformed(BEHIND),
            (None, reason) => self.malformed(reason.unwrap_or("its data is broken")),
        })?;
        let (read, wrote) = ((inflate.total_in() - read) as usize, (inflate.total_out() - wrote) as usize);
        self.done(status == Status::StreamEnd, input, read, wrote)
    }

    fn decompress(&mut self, context: &mut DCtx<'_>, input: &[u8]) -> Result<(usize, usize)> {
        let mut output = OutBuffer::around(&mut *self.output);
        let mut source = InBuffer::around(input);
        let left = context.decompress_stream(&mut output, &mut source);
        let (read, wrote) = (source.pos, output.pos());
        let left = left.map_err(|code| self.malformed(&zstd_reason(code, self.members > 1)))?;
        self.done(left == 0, input, read, wrote)
    }

    fn done(&mut self, ended: bool, input: &[u8], read: usize, wrote: usize) -> Result<(usize, usize)> {
        self.ended = ended;
        self.pending = wrote == STEP && !ended;
        // It would be asked for ever.
        if read == 0 && wrote == 0 && !ended && !input.is_empty() {
            return Err(self.malformed("its data is broken"));
        }
        Ok((read, wrote))
    }

    fn next_member(&mut self) -> Result<()> {
        if self.members == MAX_ENCODED_MEMBERS {
            return Err(self.malformed("it is in too many parts"));
        }
        self.members += 1;
        Ok(())
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::MalformedEncoding { encoding: self.encoding.name(), reason: reason.to_owned() }
    }
}

const BEHIND: &str = "bytes follow its end";

/// RFC 1950, section 2.2: method 8, a window of at most 32 KiB, and a check of both bytes.
const fn has_zlib_header(cmf: u8, flags: u8) -> bool {
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && (cmf as u16 * 256 + flags as u16).is_multiple_of(31)
}

fn gzip() -> Box<Decompress> {
    Box::new(Decompress::new_gzip(15))
}

fn zstd() -> Result<DCtx<'static>> {
    let failed = || Error::StorageFailed { reason: "no memory to unpack zstd".to_owned() };
    let mut context = DCtx::try_create().ok_or_else(failed)?;
    context.set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG)).map_err(|_| failed())?;
    Ok(context)
}

fn zstd_reason(code: usize, behind: bool) -> String {
    use ZSTD_ErrorCode::{ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_prefix_unknown};
    if zstd_safe::is_error_kind(code, ZSTD_error_frameParameter_windowTooLarge) {
        return format!("its window is over {} bytes", 1_u64 << MAX_ZSTD_WINDOW_LOG);
    }
    if behind && zstd_safe::is_error_kind(code, ZSTD_error_prefix_unknown) {
        return BEHIND.to_owned();
    }
    zstd_safe::get_error_name(code).to_owned()
}

#[cfg(test)]
mod tests;
