//! The layout of a data directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::FORMAT_VERSION;
use crate::storage::Storage;

const FORMAT: &str = "FORMAT";
// Not ours to read or write. A key may be made before the store is; the second is a first that was cut off.
const KEYS: [&str; 2] = ["keys.json", "keys.json.new"];
const TENANTS: &str = "tenants";
const TMP: &str = "tmp";
const TRASH: &str = "trash";

/// A data directory's folders.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) storage: Arc<dyn Storage>,
    root: PathBuf,
}

impl Directory {
    /// Looks whether `root` is, or can become, a data directory. Touches nothing that is there.
    pub(super) fn check(storage: &dyn Storage, root: &Path, create: bool) -> Result<()> {
        let failed = |cause: io::Error| Error::storage(&format!("opening {}", root.display()), &cause);
        if !storage.exists(root).map_err(failed)? {
            if !create {
                return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
            }
            return make(storage, root).map_err(failed);
        }
        if storage.exists(&root.join(FORMAT)).map_err(failed)? {
            let text = storage.read(&root.join(FORMAT)).map_err(failed)?;
            let version = std::str::from_utf8(&text)
                .ok()
                .and_then(|text| text.strip_prefix("ingot ")?.trim_end().parse::<u32>().ok());
            return match version {
                Some(version) if version <= FORMAT_VERSION.into() => Ok(()),
                Some(found) => Err(Error::FormatTooNew { found, supported: FORMAT_VERSION.into() }),
                None => {
                    Err(Error::CorruptData { reason: format!("{}/FORMAT is not readable", root.display()) })
                }
            };
        }
        let ours = ["LOCK", KEYS[0], KEYS[1], TENANTS, TMP, TRASH];
        let foreign = storage.list(root).map_err(failed)?;
        match foreign.iter().find(|name| !ours.iter().any(|ours| name == ours)) {
            Some(name) => Err(Error::StorageFailed {
                reason: format!(
                    "{} is not an ingot data directory: it holds {}; name an empty or a new one",
                    root.display(),
                    name.display()
                ),
            }),
            None => Ok(()),
        }
    }

    /// Makes what is missing and empties `tmp/`.
    pub(super) fn prepare(storage: Arc<dyn Storage>, root: &Path) -> Result<Self> {
        let directory = Self { storage, root: root.to_owned() };
        directory
            .lay_out()
            .map_err(|cause| Error::storage(&format!("preparing {}", root.display()), &cause))?;
        Ok(directory)
    }

    fn lay_out(&self) -> io::Result<()> {
        let mut made = false;
        for folder in [TENANTS, TMP, TRASH] {
            let path = self.root.join(folder);
            made |= !self.storage.exists(&path)?;
            self.storage.create_dir(&path)?;
        }
        if made {
            self.storage.sync_dir(&self.root)?;
        }
        for name in self.storage.list(&self.root.join(TMP))? {
            let path = self.root.join(TMP).join(name);
            self.storage.remove_dir(&path).or_else(|_| self.storage.remove_file(&path))?;
        }
        let format = self.root.join(FORMAT);
        if !self.storage.exists(&format)? {
            let beside = self.root.join(TMP).join(FORMAT);
            let file = self.storage.create(&beside)?;
            file.write_at(0, &[format!("ingot {FORMAT_VERSION}\n").as_bytes()])?;
            file.sync()?;
            self.storage.rename(&beside, &format)?;
            self.storage.sync_dir(&self.root)?;
            self.storage.sync_dir(parent(&self.root))?;
        }
        Ok(())
    }

    /// Where a tenant lives.
    pub(super) fn tenant(&self, folder: &str) -> PathBuf {
        self.tenants().join(folder)
    }

    /// The parent of all tenants.
    pub(super) fn tenants(&self) -> PathBuf {
        self.root.join(TENANTS)
    }

    /// The folders of all tenants.
    pub(super) fn tenant_folders(&self) -> Result<Vec<String>> {
        let names = self.storage.list(&self.tenants());
        let names = names.map_err(|cause| Error::storage("listing the tenants", &cause))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Where deleted tenants wait to be removed.
    pub(super) fn trash(&self) -> PathBuf {
        self.root.join(TRASH)
    }

    /// Where a tenant is made.
    pub(super) fn workshop(&self, name: &str) -> PathBuf {
        self.root.join(TMP).join(name)
    }

    /// Writes, syncs and removes a small file.
    pub(super) fn probe(&self) -> Result<()> {
        let path = self.workshop("probe");
        let probed = (|| {
            if self.storage.exists(&path)? {
                self.storage.remove_file(&path)?;
            }
            let file = self.storage.create(&path)?;
            file.allocate(0, 4096)?;
            file.write_at(0, &[b"probe"])?;
            file.sync()?;
            self.storage.remove_file(&path)
        })();
        probed.map_err(|cause| Error::storage("writing to the data directory", &cause))
    }
}

/// Makes a directory and those above it, and each of their names durable.
fn make(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
        if storage.exists(ancestor)? {
            break;
        }
        missing.push(ancestor);
    }
    storage.create_dir(path)?;
    missing.into_iter().try_for_each(|made| storage.sync_dir(parent(made)))
}

/// Where a name lies; the current directory for a bare one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
