//! Ids that clients choose: their bounds (contract, section 9), the folder of a tenant, the id of a chunk.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::limits::{MAX_CHUNK_ID, MAX_SOURCE_ID, MAX_TENANT_ID};

/// An id within its bounds: 1..=`longest` bytes, no control characters (Unicode category Cc).
fn check(field: &'static str, id: &str, longest: usize) -> Result<()> {
    let reason = if id.is_empty() {
        format!("is empty; 1 to {longest} bytes are allowed")
    } else if id.len() > longest {
        format!("is {} bytes long; {longest} are allowed", id.len())
    } else if let Some(at) = id.chars().position(char::is_control) {
        format!("has a control character at position {at}; none are allowed")
    } else {
        return Ok(());
    };
    Err(Error::InvalidId { field, reason, row: None })
}

/// Checks a `tenant_id`.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_tenant_id(id: &str) -> Result<()> {
    check("tenant_id", id, MAX_TENANT_ID)
}

/// Checks a `sub_tenant_id`.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_sub_tenant_id(id: &str) -> Result<()> {
    check("sub_tenant_id", id, MAX_TENANT_ID)
}

/// Checks a `file_id` (`source_id`).
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_source_id(id: &str) -> Result<()> {
    check("file_id", id, MAX_SOURCE_ID)
}

/// Checks a `chunk_id`.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_chunk_id(id: &str) -> Result<()> {
    check("chunk_id", id, MAX_CHUNK_ID)
}

/// Name of a tenant's folder: 128 bits of SHA-256 of its id, in hex.
pub fn tenant_folder(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let digits = digest.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// The computed id of row `index` of a matrix-form source.
pub fn chunk_id(source_id: &str, index: u32) -> String {
    format!("{source_id}_{index}")
}

/// Source and index of a computed chunk id; `None` when it cannot be one: the index is canonical
/// decimal, so `a_00` never is.
pub fn parse_chunk_id(chunk_id: &str) -> Option<(&str, u32)> {
    let (source, digits) = chunk_id.rsplit_once('_')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    if source.is_empty() || !canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((source, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_ids_are_canonical() {
        assert_eq!(parse_chunk_id("emb_1_17"), Some(("emb_1", 17)));
        assert_eq!(parse_chunk_id("a_0"), Some(("a", 0)));
        for other in ["a_00", "a_01", "a_", "_1", "a", "a_+1", "a_-1", "a_1 ", "a_4294967296", "a_１"] {
            assert_eq!(parse_chunk_id(other), None, "{other}");
        }
    }

    #[test]
    fn bounds_are_in_bytes_and_control_characters_are_refused() {
        assert_eq!(check_tenant_id(&"é".repeat(127)), Ok(()));
        assert!(check_tenant_id(&"é".repeat(128)).is_err());
        assert!(check_source_id("").is_err());
        for control in ['\0', '\n', '\u{7f}', '\u{85}'] {
            assert!(check_chunk_id(&format!("a{control}")).is_err());
        }
        assert_eq!(check_source_id("../🦀 /a b"), Ok(()));
    }
}
