use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

/// Unpacks `packed` in pieces of `size` bytes; what comes out.
fn unpack(encoding: Encoding, packed: &[u8], size: usize, limit: u64) -> Result<Vec<u8>> {
    let mut unpacker = Unpacker::new(encoding, limit)?;
    let mut output = Vec::new();
    for mut piece in packed.chunks(size) {
        while !piece.is_empty() || unpacker.pending() {
            let (taken, given) = unpacker.step(piece)?;
            assert!(given.len() <= STEP);
            output.extend_from_slice(given);
            piece = &piece[taken..];
        }
    }
    unpacker.finish()?;
    Ok(output)
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| b"0123456789,.-[]"[index * index / 7 % 15]).collect()
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd_with(bytes, 3, None)
}

fn zstd_with(bytes: &[u8], level: i32, window: Option<u32>) -> Vec<u8> {
    use zstd_safe::{CCtx, CParameter};
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level)).unwrap();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    if let Some(log) = window {
        context.set_parameter(CParameter::WindowLog(log)).unwrap();
        context.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
    }
    let mut packed = vec![0; zstd_safe::compress_bound(bytes.len())];
    let length = if window.is_some() {
        // In a stream, whose length the frame does not know, the window is what it is told.
        let mut output = OutBuffer::around(packed.as_mut_slice());
        let mut input = InBuffer::around(bytes);
        while input.pos < bytes.len() {
            context.compress_stream(&mut output, &mut input).unwrap();
        }
        while context.end_stream(&mut output).unwrap() > 0 {}
        output.pos()
    } else {
        context.compress2(packed.as_mut_slice(), bytes).unwrap()
    };
    packed.truncate(length);
    packed
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKED: [(Encoding, Pack); 4] = [
    (Encoding::Gzip, gzip_of),
    (Encoding::Deflate, zlib_of),
    (Encoding::Deflate, raw_of),
    (Encoding::Zstd, zstd_of),
];

fn reason(encoding: Encoding, packed: &[u8]) -> String {
    match unpack(encoding, packed, 7, u64::MAX) {
        Err(Error::MalformedEncoding { encoding: name, reason }) => {
            assert_eq!(name, encoding.name());
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_packed_comes_out_wherever_it_is_cut() {
    for (encoding, pack) in PACKED {
        for bytes in [0, 1, 2, 100, STEP - 1, STEP, STEP + 1, 3 * STEP, 500_000] {
            let text = text(bytes);
            let packed = pack(&text);
            for size in [1, 2, 3, 1000, usize::MAX] {
                assert_eq!(unpack(encoding, &packed, size, u64::MAX).unwrap(), text, "{encoding:?} {bytes}");
            }
        }
    }
}

#[test]
fn a_stream_cut_off_anywhere_ends_too_early() {
    for (encoding, pack) in PACKED {
        let packed = pack(&text(1000));
        for end in 0..packed.len() {
            assert_eq!(reason(encoding, &packed[..end]), "it ends too early", "{encoding:?} {end}");
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for (encoding, pack) in PACKED {
        for behind in [&b"\0"[..], b"garbage behind", &[0xff; 40]] {
            let packed = [pack(&text(1000)), behind.to_vec()].concat();
            let reason = reason(encoding, &packed);
            let partly = behind.len() == 1 && encoding == Encoding::Gzip;
            assert_eq!(reason, if partly { "it ends too early" } else { BEHIND }, "{encoding:?}");
        }
    }
}

#[test]
fn a_bit_that_changed_is_noticed() {
    // Bare deflate has no checksum, and gzip has bytes that say nothing (time, system).
    for (encoding, pack) in [PACKED[0], PACKED[1], PACKED[3]] {
        let text = text(2000);
        let packed = pack(&text);
        for at in if encoding == Encoding::Gzip { 10 } else { 0 }..packed.len() {
            for bit in 0..8 {
                let mut broken = packed.clone();
                broken[at] ^= 1 << bit;
                if let Ok(read) = unpack(encoding, &broken, usize::MAX, u64::MAX) {
                    assert_eq!(read, text, "{encoding:?}: bit {bit} of byte {at}");
                }
            }
        }
        let mut broken = packed.clone();
        let last = broken.len() - 1 - if encoding == Encoding::Gzip { 4 } else { 0 };
        broken[last] ^= 0x10;
        assert!(reason(encoding, &broken).contains("check"), "{encoding:?}");
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for (encoding, pack) in [PACKED[0], PACKED[3]] {
        let packed = [pack(b"[1,"), pack(b""), pack(b"2]")].concat();
        for size in [1, 5, 1000] {
            assert_eq!(unpack(encoding, &packed, size, u64::MAX).unwrap(), b"[1,2]");
        }
        let many = pack(b"").repeat(MAX_ENCODED_MEMBERS);
        assert_eq!(unpack(encoding, &many, usize::MAX, u64::MAX).unwrap(), b"");
        assert_eq!(reason(encoding, &[many, pack(b"")].concat()), "it is in too many parts");
    }
    // A skippable frame (RFC 8878, section 3.1.2) says nothing.
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let packed = [skippable.clone(), zstd_of(b"{}"), skippable].concat();
    assert_eq!(unpack(Encoding::Zstd, &packed, 1, u64::MAX).unwrap(), b"{}");
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let zeros = vec![b' '; 16 << 20];
    for (encoding, pack) in PACKED {
        let packed = pack(&zeros);
        assert!(packed.len() < zeros.len() / 900, "{encoding:?} {}", packed.len());
        let limit = zeros.len() as u64;
        assert_eq!(unpack(encoding, &packed, usize::MAX, limit).unwrap().len(), zeros.len());
        let mut unpacker = Unpacker::new(encoding, 1 << 20).unwrap();
        let mut rest = packed.as_slice();
        let error = loop {
            assert!(!rest.is_empty() || unpacker.pending(), "all of it came out");
            match unpacker.step(rest) {
                Ok((taken, _)) => rest = &rest[taken..],
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::BodyTooLarge { limit: 1 << 20 });
        assert!(unpacker.unpacked() <= (1 << 20) + STEP as u64);
    }
}

#[test]
fn a_window_is_bounded() {
    let text = text(100_000);
    assert_eq!(unpack(Encoding::Zstd, &zstd_with(&text, 3, Some(23)), 1000, u64::MAX).unwrap(), text);
    assert_eq!(reason(Encoding::Zstd, &zstd_with(&text, 3, Some(24))), "its window is over 8388608 bytes");
}

#[test]
fn a_preset_dictionary_is_refused() {
    let mut packed = zlib_of(b"{}");
    packed[1] = 0x20;
    packed[1] += (31 - (u16::from(packed[0]) * 256 + 0x20) % 31) as u8;
    packed.splice(2..2, [0, 0, 0, 1]);
    assert_eq!(reason(Encoding::Deflate, &packed), "it asks for a preset dictionary");
}
