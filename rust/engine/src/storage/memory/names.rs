//! Directories: the names as they are, the names that would be left, and the changes between them.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::content::Content;
use super::crash::Kept;

const ROOT: usize = 0;

/// What a name stands for. A directory is known by its number.
#[derive(Clone)]
pub(super) enum Entry {
    Directory(usize),
    File(Arc<Content>),
}

#[derive(Clone, Default)]
struct Directory {
    live: BTreeMap<OsString, Entry>,
    durable: BTreeMap<OsString, Entry>,
}

/// A name in a directory.
type Place = (usize, OsString);

/// Happens whole or not at all; durable with the directory `home`.
struct Change {
    home: usize,
    edits: Vec<(Place, Option<Entry>)>,
}

/// All directories, by number; a removed one keeps its number.
pub(super) struct Names {
    directories: Vec<Directory>,
    /// Changes that are not durable, oldest first.
    pending: Vec<Change>,
}

impl Default for Names {
    fn default() -> Self {
        Self { directories: vec![Directory::default()], pending: Vec::new() }
    }
}

impl Names {
    pub(super) fn find(&self, path: &Path) -> io::Result<Entry> {
        let mut entry = Entry::Directory(ROOT);
        for name in components(path)? {
            let Entry::Directory(number) = entry else { return Err(io::ErrorKind::NotADirectory.into()) };
            entry = self.directories[number].live.get(&name).ok_or(io::ErrorKind::NotFound)?.clone();
        }
        Ok(entry)
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<Arc<Content>> {
        match self.find(path)? {
            Entry::File(content) => Ok(content),
            Entry::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.directories[self.directory(path)?].live.keys().cloned().collect())
    }

    pub(super) fn create(&mut self, path: &Path, content: Arc<Content>) -> io::Result<()> {
        let place = self.place(path)?;
        if self.at(&place).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(place.0, vec![(place, Some(Entry::File(content)))]);
        Ok(())
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut parent = ROOT;
        for name in components(path)? {
            let place = (parent, name);
            parent = match self.at(&place) {
                Some(Entry::Directory(number)) => *number,
                Some(Entry::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let number = self.directories.len();
                    self.directories.push(Directory::default());
                    self.change(parent, vec![(place, Some(Entry::Directory(number)))]);
                    number
                }
            };
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, target) = (self.place(from)?, self.place(to)?);
        let entry = self.at(&source).ok_or(io::ErrorKind::NotFound)?.clone();
        if source == target {
            return Ok(());
        }
        if components(to)?.starts_with(&components(from)?) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match (&entry, self.at(&target)) {
            (_, None) | (Entry::File(_), Some(Entry::File(_))) => {}
            (Entry::Directory(_), Some(Entry::Directory(taken))) => {
                if !self.directories[*taken].live.is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
            }
            (Entry::File(_), Some(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            (Entry::Directory(_), Some(_)) => return Err(io::ErrorKind::NotADirectory.into()),
        }
        self.change(target.0, vec![(source, None), (target, Some(entry))]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        match self.at(&place) {
            Some(Entry::File(_)) => {}
            Some(Entry::Directory(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        self.change(place.0, vec![(place, None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let number = self.directory(path)?;
        let place = self.place(path)?;
        self.clear(number);
        self.change(place.0, vec![(place, None)]);
        Ok(())
    }

    fn clear(&mut self, number: usize) {
        for (name, entry) in self.directories[number].live.clone() {
            if let Entry::Directory(below) = entry {
                self.clear(below);
            }
            self.change(number, vec![((number, name), None)]);
        }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let number = self.directory(path)?;
        // What a change builds on is as durable as itself.
        let mut below = HashSet::new();
        let mut durable = vec![false; self.pending.len()];
        for (change, durable) in self.pending.iter().zip(&mut durable).rev() {
            *durable = change.home == number || change.edits.iter().any(|(place, _)| below.contains(place));
            if *durable {
                below.extend(change.edits.iter().map(|(place, _)| place.clone()));
            }
        }
        for (change, durable) in std::mem::take(&mut self.pending).into_iter().zip(durable) {
            if durable {
                for ((number, name), entry) in change.edits {
                    edit(&mut self.directories[number].durable, name, entry);
                }
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    /// The names, and the files they stand for, after a crash.
    pub(super) fn after_crash(&self, kept: &mut Kept) -> io::Result<Self> {
        let mut left: Vec<_> = self.directories.iter().map(|directory| directory.durable.clone()).collect();
        // Nothing is left of a change whose ground is gone: the name it builds on, or the new directory.
        let (mut gone, mut unmade) = (HashSet::new(), HashSet::new());
        let keeps = kept.names(self.pending.len());
        for (change, keep) in self.pending.iter().zip(keeps) {
            let stands = |(place, _): &(Place, _)| !gone.contains(place) && !unmade.contains(&place.0);
            if keep && change.edits.iter().all(stands) {
                for ((number, name), entry) in change.edits.clone() {
                    edit(&mut left[number], name, entry);
                }
                continue;
            }
            gone.extend(change.edits.iter().map(|(place, _)| place.clone()));
            // A directory that was made, not renamed.
            if let [(_, Some(Entry::Directory(number)))] = change.edits[..] {
                unmade.insert(number);
            }
        }
        for number in unreachable(&left) {
            left[number].clear();
        }
        // A file has one name: there are no links, and a rename is never half kept.
        for entry in left.iter_mut().flat_map(BTreeMap::values_mut) {
            if let Entry::File(content) = entry {
                *content = Arc::new(Content::of(content.after_crash(kept)?)?);
            }
        }
        let directories =
            left.into_iter().map(|names| Directory { live: names.clone(), durable: names }).collect();
        Ok(Self { directories, pending: Vec::new() })
    }

    fn change(&mut self, home: usize, edits: Vec<(Place, Option<Entry>)>) {
        for ((number, name), entry) in edits.clone() {
            edit(&mut self.directories[number].live, name, entry);
        }
        self.pending.push(Change { home, edits });
    }

    fn at(&self, place: &Place) -> Option<&Entry> {
        self.directories[place.0].live.get(&place.1)
    }

    fn directory(&self, path: &Path) -> io::Result<usize> {
        match self.find(path)? {
            Entry::Directory(number) => Ok(number),
            Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        let name = components(path)?.pop().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, name))
    }
}

/// Directories that no name leads to.
fn unreachable(names: &[BTreeMap<OsString, Entry>]) -> Vec<usize> {
    let mut reached = vec![false; names.len()];
    let mut next = vec![ROOT];
    while let Some(number) = next.pop() {
        reached[number] = true;
        next.extend(names[number].values().filter_map(|entry| match entry {
            Entry::Directory(below) => Some(*below),
            Entry::File(_) => None,
        }));
    }
    (0..names.len()).filter(|number| !reached[*number]).collect()
}

fn edit(names: &mut BTreeMap<OsString, Entry>, name: OsString, entry: Option<Entry>) {
    match entry {
        Some(entry) => names.insert(name, entry),
        None => names.remove(&name),
    };
}

fn components(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}
