//! The ids of tenants, page by page. They are read where they lie: no tenant is opened for it.

use super::Store;
use crate::error::{Error, Result};
use crate::format::name::tenant_folder;
use crate::format::token;
use crate::limits::MAX_PAGE_NAMES;
use crate::tenant::Tenant;

/// Bytes of a tenant's folder's name.
const FOLDER: usize = 32;

impl Store {
    /// One page of the tenants there are, `limit` at most, in the order of their folders' names (a hash of their ids);
    /// with `among` only those of these that exist. Behind it the cursor to what follows, if anything may. One that is
    /// made meanwhile may be missing, one whose id cannot be read is.
    ///
    /// # Errors
    /// [`Error::InvalidLimit`]; [`Error::InvalidId`] for a cursor that is none; [`Error::StorageFailed`].
    pub fn tenants(
        &self,
        among: Option<&[String]>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>)> {
        self.check()?;
        check_limit(limit)?;
        let after = cursor.map(folder_behind).transpose()?;
        let mut folders = match among {
            Some(ids) => ids.iter().map(|id| tenant_folder(id)).collect(),
            None => self.directory.tenant_folders()?,
        };
        folders.sort_unstable();
        folders.dedup();
        let first = after.map_or(0, |after| folders.partition_point(|folder| *folder <= after));
        let mut ids = Vec::new();
        for (place, folder) in folders.iter().enumerate().skip(first) {
            if ids.len() == limit {
                let last = &folders[place - 1];
                return Ok((ids, cursor_behind(last)));
            }
            let storage = &*self.directory.storage;
            if let Ok(id) = Tenant::id_in(storage, &self.directory.tenant(folder))
                && tenant_folder(&id) == *folder
            {
                ids.push(id);
            }
        }
        Ok((ids, None))
    }
}

pub(super) fn check_limit(limit: usize) -> Result<()> {
    if (1..=MAX_PAGE_NAMES).contains(&limit) {
        Ok(())
    } else {
        Err(Error::InvalidLimit { got: limit as u64, maximum: MAX_PAGE_NAMES })
    }
}

fn cursor_behind(folder: &str) -> Option<String> {
    let name: [u8; FOLDER] = folder.as_bytes().try_into().ok()?;
    Some(token::write(&name))
}

fn folder_behind(cursor: &str) -> Result<String> {
    let name = token::read::<FOLDER>(cursor).and_then(|name| String::from_utf8(name.to_vec()).ok());
    name.ok_or_else(|| Error::InvalidId {
        field: "cursor",
        reason: "is none that this server made: send it as it came, or none to begin anew".to_owned(),
        row: None,
    })
}
