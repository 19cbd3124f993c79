//! Cursors: where the next page of an answer begins. Nothing is kept for one: all it means stands in it, proven by a
//! keyed hash. Its key is the tenant's incarnation, which no client ever sees, and which ends with the tenant.

use sha2::{Digest, Sha256};

use super::Selector;
use crate::error::{Error, Result};
use crate::format::{read_u32, read_u64, token};

const QUESTION: usize = 16;
const PROOF: usize = 16;
/// Question, number of the sub-tenant, LSN, row.
const CONTENT: usize = QUESTION + 4 + 8 + 8;

/// What a request asks for, its page apart. Every page of it is asked for by the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Question([u8; QUESTION]);

impl Question {
    /// Rows of a sub-tenant.
    pub(super) fn rows<'a>(tenant_id: &'a str, sub_tenant: &'a str, selector: Option<&'a Selector>) -> Self {
        match selector {
            None => Self::of("rows", tenant_id, sub_tenant, std::iter::empty()),
            Some(Selector::Source(id)) => {
                Self::of("source", tenant_id, sub_tenant, std::iter::once(id.as_str()))
            }
            Some(Selector::Chunks(ids)) => {
                Self::of("chunks", tenant_id, sub_tenant, ids.iter().map(String::as_str))
            }
            Some(Selector::Filter(filter)) => {
                Self::of("filter", tenant_id, sub_tenant, std::iter::once(filter.text()))
            }
        }
    }

    /// The sources of a sub-tenant.
    pub(super) fn sources(tenant_id: &str, sub_tenant: &str) -> Self {
        Self::of("sources", tenant_id, sub_tenant, std::iter::empty())
    }

    fn of<'a>(
        kind: &'a str,
        tenant_id: &'a str,
        sub_tenant: &'a str,
        names: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut hash = Sha256::new();
        for text in [kind, tenant_id, sub_tenant].into_iter().chain(names) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Self(beginning(&hash.finalize()))
    }
}

/// Where a page begins, and in which snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the sub-tenant; one that was made anew under its name has another.
    pub(super) sub_tenant: u32,
    /// LSN of the snapshot.
    pub(super) lsn: u64,
    /// The first row that may be in the page.
    pub(super) row: u64,
}

impl Place {
    /// The cursor that leads here.
    pub(super) fn cursor(self, question: Question, incarnation: [u8; 16]) -> String {
        let mut bytes = [0; CONTENT + PROOF];
        let (content, proof) = bytes.split_at_mut(CONTENT);
        content[..QUESTION].copy_from_slice(&question.0);
        content[QUESTION..QUESTION + 4].copy_from_slice(&self.sub_tenant.to_le_bytes());
        content[QUESTION + 4..QUESTION + 12].copy_from_slice(&self.lsn.to_le_bytes());
        content[QUESTION + 12..].copy_from_slice(&self.row.to_le_bytes());
        proof.copy_from_slice(&proof_of(content, incarnation));
        token::write(&bytes)
    }
}

/// A cursor that a client has sent.
pub(super) struct Sent([u8; CONTENT + PROOF]);

impl Sent {
    /// Reads the text of a cursor that belongs to `question`. Nothing of the tenant has been looked at for this.
    pub(super) fn read(text: &str, question: Question) -> Result<Self> {
        let bytes: [u8; CONTENT + PROOF] = token::read(text).ok_or_else(|| Error::InvalidId {
            field: "cursor",
            reason: "is none that this server made: send it as it came, or none to begin anew".to_owned(),
            row: None,
        })?;
        if bytes[..QUESTION] != question.0 { Err(Error::CursorOfAnother) } else { Ok(Self(bytes)) }
    }

    /// The place it leads to in the tenant of this incarnation.
    pub(super) fn place(&self, incarnation: [u8; 16]) -> Result<Place> {
        let (content, proof) = self.0.split_at(CONTENT);
        if proof != proof_of(content, incarnation) {
            return Err(Error::CursorExpired);
        }
        Ok(Place {
            sub_tenant: read_u32(content, QUESTION),
            lsn: read_u64(content, QUESTION + 4),
            row: read_u64(content, QUESTION + 12),
        })
    }
}

fn proof_of(content: &[u8], incarnation: [u8; 16]) -> [u8; PROOF] {
    // The content's length is fixed and the hash is cut: nothing can be appended to either.
    beginning(&Sha256::new().chain_update(incarnation).chain_update(content).finalize())
}

fn beginning<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut found = [0; N];
    found.copy_from_slice(&digest[..N]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { sub_tenant: 3, lsn: 1 << 40, row: u64::MAX - 1 };

    #[test]
    fn a_cursor_leads_back_to_its_place_and_to_no_other() {
        let question = Question::rows("t", "default", None);
        let text = PLACE.cursor(question, [7; 16]);
        let sent = Sent::read(&text, question).unwrap();
        assert_eq!(sent.place([7; 16]), Ok(PLACE));
        assert_eq!(sent.place([8; 16]), Err(Error::CursorExpired));
        let bytes: [u8; CONTENT + PROOF] = token::read(&text).unwrap();
        for bit in QUESTION * 8..bytes.len() * 8 {
            let mut forged = bytes;
            forged[bit / 8] ^= 1 << (bit % 8);
            let sent = Sent::read(&token::write(&forged), question).unwrap();
            assert_eq!(sent.place([7; 16]), Err(Error::CursorExpired), "bit {bit}");
        }
    }

    #[test]
    fn questions_that_differ_in_anything_are_different() {
        let (source, chunks) = (Selector::Source("a".into()), |ids: &[&str]| {
            Selector::Chunks(ids.iter().map(|&id| id.to_owned()).collect())
        });
        let all = [
            Question::rows("t", "default", None),
            Question::rows("t2", "default", None),
            Question::rows("t", "2default", None),
            Question::rows("t", "default", Some(&source)),
            Question::rows("t", "default", Some(&chunks(&["a"]))),
            Question::rows("t", "default", Some(&chunks(&["a", "b"]))),
            Question::rows("t", "default", Some(&chunks(&["ab"]))),
            Question::rows("t", "default", Some(&chunks(&[]))),
            Question::sources("t", "default"),
        ];
        for (at, one) in all.iter().enumerate() {
            let text = PLACE.cursor(*one, [7; 16]);
            for (other, question) in all.iter().enumerate() {
                assert_eq!(Sent::read(&text, *question).is_ok(), at == other, "{at} {other}");
            }
        }
    }
}
