//! The explicit chunk ids of a batch: where each ends, counted from the first (u32 each), then the ids themselves.

use super::read_u32;

/// Bytes of an end.
const END: usize = 4;

/// Bytes that `ids` take.
pub fn encoded_length(ids: &[String]) -> usize {
    ids.iter().map(|id| END + id.len()).sum()
}

/// Appends `ids` to `bytes`.
pub fn encode(ids: &[String], bytes: &mut Vec<u8>) {
    let mut end = 0;
    for id in ids {
        // 2000 ids of at most 520 bytes.
        end += u32::try_from(id.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    bytes.extend(ids.iter().flat_map(|id| id.bytes()));
}

/// The ids as they lie in a header.
#[derive(Clone, Copy, Debug)]
pub struct ChunkIds<'a> {
    ends: &'a [u8],
    text: &'a [u8],
}

impl<'a> ChunkIds<'a> {
    /// The ids of `count` rows; `None` when there is no room for so many.
    pub fn read(bytes: &'a [u8], count: u32) -> Option<Self> {
        let (ends, text) = bytes.split_at_checked(count as usize * END)?;
        Some(Self { ends, text })
    }

    /// Id of row `index`, from 0; `None` past the last, or where the ends make no sense.
    pub fn get(&self, index: u32) -> Option<&'a str> {
        let at = index as usize * END;
        let end = self.ends.get(at..at + END).map(|end| read_u32(end, 0))?;
        let begin = if index == 0 { 0 } else { read_u32(self.ends, at - END) };
        std::str::from_utf8(self.text.get(begin as usize..end as usize)?).ok()
    }

    /// The ids in the order of the rows; ends early where one makes no sense.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let ids = *self;
        (0..).map_while(move |index| ids.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_read_back_and_none_beyond() {
        let ids = ["a", "é_0", "", "d/..\u{1f980}"].map(str::to_owned);
        let mut bytes = Vec::new();
        encode(&ids, &mut bytes);
        assert_eq!(bytes.len(), encoded_length(&ids));
        let read = ChunkIds::read(&bytes, 4).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), ids);
        assert_eq!(read.get(4), None);
        assert!(ChunkIds::read(&bytes[..15], 4).is_none());
    }

    #[test]
    fn ends_that_make_no_sense_are_no_ids() {
        let mut bytes = Vec::new();
        encode(&["ab".to_owned(), "cd".to_owned()], &mut bytes);
        bytes[0] = 9;
        let read = ChunkIds::read(&bytes, 2).unwrap();
        assert_eq!((read.get(0), read.get(1)), (None, None));
        bytes[..8].copy_from_slice(&[3, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(ChunkIds::read(&bytes, 2).unwrap().get(1), None);
    }
}
