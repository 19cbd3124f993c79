//! The tenants of a directory: opened on demand, made, deleted, closed when others need the room.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::directory::Directory;
use super::trash::Trash;
use super::{Options, answer};
use crate::error::{Error, Result};
use crate::format::name::{check_tenant_id, tenant_folder};
use crate::sync::Mutex;
use crate::tenant::{Inserted, Surroundings, Tenant, Upload};
use crate::vector::{Dimension, Metric};

/// Metric of a tenant that its first upload makes.
pub(super) const NEW_METRIC: Metric = Metric::Cosine;

/// The tenants that are open, and the way to the others.
pub(super) struct Tenants {
    directory: Directory,
    surroundings: Surroundings,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    most_open: usize,
    clock: AtomicU64,
    /// Folders whose names may not be durable and could not be taken back.
    doubtful: Mutex<HashSet<String>>,
    pub(super) auto_create: bool,
}

/// A place for one tenant; whoever opens or makes it holds the lock.
#[derive(Default)]
struct Slot {
    tenant: Mutex<Option<Arc<Tenant>>>,
    used: AtomicU64,
}

impl Slot {
    /// Whether nobody holds the tenant; one that is held for long must not keep others from being closed.
    fn is_idle(&self) -> bool {
        let place = self.tenant.try_lock();
        place.is_some_and(|place| place.as_ref().is_none_or(|tenant| Arc::strong_count(tenant) == 1))
    }
}

/// What came of an upload to a tenant that did not exist.
pub(super) enum Made {
    /// The tenant was made with it.
    Tenant(Inserted),
    /// Somebody else was faster.
    AlreadyThere(Arc<Tenant>, Box<Upload>),
}

impl Tenants {
    pub(super) fn new(directory: Directory, surroundings: Surroundings, options: &Options) -> Self {
        Self {
            directory,
            surroundings,
            slots: Mutex::default(),
            most_open: options.max_open_tenants.max(1),
            clock: AtomicU64::new(0),
            doubtful: Mutex::default(),
            auto_create: options.auto_create_tenants,
        }
    }

    fn slot(&self, folder: &str) -> Arc<Slot> {
        let slot = Arc::clone(self.slots.lock().entry(folder.to_owned()).or_default());
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        slot
    }

    /// A place that stayed empty is given up: asking for tenants that do not exist costs no memory.
    fn give_up(&self, folder: &str, slot: Arc<Slot>) {
        let mut slots = self.slots.lock();
        // The map's and ours; whoever else holds it is about to fill it.
        if Arc::strong_count(&slot) == 2 && slot.tenant.lock().is_none() {
            slots.remove(folder);
        }
    }

    /// The tenant, opened if it is not.
    pub(super) fn get(&self, id: &str) -> Result<Arc<Tenant>> {
        check_tenant_id(id)?;
        let folder = tenant_folder(id);
        let slot = self.slot(&folder);
        let found = {
            let mut place = slot.tenant.lock();
            match &*place {
                Some(tenant) => return Ok(Arc::clone(tenant)),
                None => self.open(id, &folder).inspect(|tenant| *place = Some(Arc::clone(tenant))),
            }
        };
        match &found {
            Ok(_) => self.close_some(),
            Err(_) => self.give_up(&folder, slot),
        }
        found
    }

    /// The tenant, if it is open and nobody is busy opening or closing it.
    pub(super) fn opened_one(&self, id: &str) -> Option<Arc<Tenant>> {
        let folder = tenant_folder(id);
        let slot = self.slots.lock().get(&folder).map(Arc::clone)?;
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        slot.tenant.try_lock()?.clone()
    }

    fn open(&self, id: &str, folder: &str) -> Result<Arc<Tenant>> {
        if self.doubtful.lock().contains(folder) {
            let reason = "its folder's name could not be made durable; restart the server".to_owned();
            return Err(Error::TenantReadOnly { reason });
        }
        let path = self.directory.tenant(folder);
        let exists = self.directory.storage.exists(&path);
        if !exists.map_err(|cause| Error::storage("looking for a tenant", &cause))? {
            return Err(Error::TenantNotFound);
        }
        let tenant = Arc::new(Tenant::open(self.surroundings.clone(), &path)?);
        if tenant.id() != id {
            return Err(Error::CorruptData { reason: format!("{folder} holds another tenant") });
        }
        tenant.wake();
        Ok(tenant)
    }

    /// Makes the tenant with its first upload: both are there, durably, or neither.
    pub(super) fn create_with(&self, id: &str, upload: Upload) -> Result<Made> {
        let folder = tenant_folder(id);
        let slot = self.slot(&folder);
        let made = {
            let mut place = slot.tenant.lock();
            let there = match &*place {
                Some(tenant) => Ok(Arc::clone(tenant)),
                None => self.open(id, &folder),
            };
            match there {
                Ok(tenant) => {
                    *place = Some(Arc::clone(&tenant));
                    return Ok(Made::AlreadyThere(tenant, Box::new(upload)));
                }
                Err(Error::TenantNotFound) => self.make_with(id, &folder, upload),
                Err(refused) => Err(refused),
            }
            .map(|(tenant, inserted)| {
                *place = tenant;
                inserted
            })
        };
        match made {
            Ok(inserted) => {
                self.close_some();
                Ok(Made::Tenant(inserted))
            }
            Err(refused) => {
                self.give_up(&folder, slot);
                Err(refused)
            }
        }
    }

    fn make_with(&self, id: &str, folder: &str, upload: Upload) -> Result<(Option<Arc<Tenant>>, Inserted)> {
        let dry_run = upload.dry_run;
        let valid = upload.validate(NEW_METRIC, None)?;
        if dry_run {
            return Ok((None, valid.as_new()));
        }
        let dimension = Some(valid.dimension);
        let (tenant, inserted) = self.make(id, folder, NEW_METRIC, dimension, |tenant| {
            let (completion, outcome) = answer();
            if tenant.begin_upload(valid, completion) {
                while tenant.commit() {}
            }
            outcome.recv().unwrap_or(Err(Error::Closed))
        })?;
        Ok((Some(tenant), inserted))
    }

    /// The tenant, and whether it is made by this: with nothing in it.
    pub(super) fn create(
        &self,
        id: &str,
        metric: Metric,
        dimension: Option<Dimension>,
    ) -> Result<(Arc<Tenant>, bool)> {
        check_tenant_id(id)?;
        let folder = tenant_folder(id);
        let slot = self.slot(&folder);
        let made = {
            let mut place = slot.tenant.lock();
            let there =
                place.as_ref().map_or_else(|| self.open(id, &folder), |tenant| Ok(Arc::clone(tenant)));
            match there {
                Ok(tenant) => Ok((tenant, false)),
                Err(Error::TenantNotFound) => {
                    self.make(id, &folder, metric, dimension, |_| Ok(())).map(|(tenant, ())| (tenant, true))
                }
                Err(refused) => Err(refused),
            }
            .inspect(|(tenant, _)| *place = Some(Arc::clone(tenant)))
        };
        match &made {
            Ok(_) => self.close_some(),
            Err(_) => self.give_up(&folder, slot),
        }
        made
    }

    /// Deletes the tenant, durably. It need not be one that can be opened.
    pub(super) fn delete(&self, id: &str, trash: &Trash) -> Result<()> {
        check_tenant_id(id)?;
        let folder = tenant_folder(id);
        if let Some(tenant) = self.opened_one(id) {
            // What takes longer, while others still find it, and find it closed.
            tenant.end();
        }
        let slot = self.slot(&folder);
        let deleted = {
            let mut place = slot.tenant.lock();
            let path = self.directory.tenant(&folder);
            let exists = self.directory.storage.exists(&path);
            match exists.map_err(|cause| Error::storage("looking for a tenant", &cause)) {
                Ok(true) => {
                    if let Some(tenant) = place.take() {
                        // Again, if it is the same: or one that was opened, or made, meanwhile.
                        tenant.end();
                    }
                    trash.take(&path, &folder).inspect(|()| {
                        self.doubtful.lock().remove(&folder);
                    })
                }
                Ok(false) => Err(Error::TenantNotFound),
                Err(refused) => Err(refused),
            }
        };
        self.give_up(&folder, slot);
        deleted
    }

    /// Makes a tenant, and `fill`s it: all of it is there, durably, or nothing.
    fn make<T>(
        &self,
        id: &str,
        folder: &str,
        metric: Metric,
        dimension: Option<Dimension>,
        fill: impl FnOnce(&Arc<Tenant>) -> Result<T>,
    ) -> Result<(Arc<Tenant>, T)> {
        let mut incarnation = [0; 16];
        getrandom::fill(&mut incarnation).map_err(|cause| Error::StorageFailed {
            reason: format!("asking the system for random numbers: {cause}"),
        })?;
        let workshop = self.directory.workshop(folder);
        let storage = &*self.directory.storage;
        let attempt = (|| {
            let leftover = storage.exists(&workshop);
            if leftover.map_err(|cause| Error::storage("making a tenant", &cause))? {
                storage.remove_dir(&workshop).map_err(|cause| Error::storage("making a tenant", &cause))?;
            }
            let tenant = Arc::new(Tenant::create(
                self.surroundings.clone(),
                &workshop,
                id,
                metric,
                dimension,
                incarnation,
            )?);
            let filled = fill(&tenant)?;
            let path = self.directory.tenant(folder);
            let named = storage.sync_dir(&workshop).and_then(|()| storage.rename(&workshop, &path));
            named.map_err(|cause| Error::storage("making a tenant", &cause))?;
            if storage.sync_dir(&self.directory.tenants()).is_err() {
                // After a crash it may be there or not. Until then it is not, or nothing it acknowledges would
                // be safe: its name might be gone.
                if storage.rename(&path, &workshop).is_err() {
                    self.doubtful.lock().insert(folder.to_owned());
                }
                return Err(Error::OutcomeUnknown);
            }
            tenant.moved(&path);
            Ok((tenant, filled))
        })();
        if attempt.is_err() {
            // Only what has no durable name; emptied at the next start if this fails.
            let _ = storage.remove_dir(&workshop);
        }
        attempt
    }

    /// Closes the tenants that were not used for longest, while there are too many; never one that somebody holds.
    fn close_some(&self) {
        let excess = self.slots.lock().len().saturating_sub(self.most_open);
        for _ in 0..excess {
            let Some((folder, slot)) = self.least_used() else { return };
            let mut place = slot.tenant.lock();
            if place.as_ref().is_some_and(|tenant| Arc::strong_count(tenant) == 1)
                && let Some(tenant) = place.take()
            {
                // Its log is whole; what could not be saved is derived again. Whoever asks for it waits here.
                let _ = tenant.close();
            }
            drop(place);
            self.give_up(&folder, slot);
        }
    }

    fn least_used(&self) -> Option<(String, Arc<Slot>)> {
        let slots = self.slots.lock();
        let unused = slots.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1 && slot.is_idle());
        unused
            .min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed))
            .map(|(folder, slot)| (folder.clone(), Arc::clone(slot)))
    }

    fn opened(&self) -> Vec<Arc<Tenant>> {
        let slots: Vec<Arc<Slot>> = self.slots.lock().values().cloned().collect();
        slots.iter().filter_map(|slot| slot.tenant.lock().clone()).collect()
    }

    /// Those that are open, but for those that somebody opens or closes at this moment.
    pub(super) fn at_hand(&self) -> Vec<Arc<Tenant>> {
        let slots: Vec<Arc<Slot>> = self.slots.lock().values().cloned().collect();
        slots.iter().filter_map(|slot| slot.tenant.try_lock().and_then(|place| place.clone())).collect()
    }

    /// Open tenants that take no writes.
    pub(super) fn refusing(&self) -> usize {
        self.opened().iter().filter(|tenant| tenant.is_refusing()).count()
    }

    /// Closes all; the first failure is told, the others are closed all the same.
    pub(super) fn close(&self) -> Result<()> {
        let mut outcome = Ok(());
        for tenant in self.opened() {
            outcome = outcome.and(tenant.close());
        }
        self.slots.lock().clear();
        outcome
    }
}

#[cfg(test)]
impl Tenants {
    /// Does `work` while somebody opens a tenant.
    pub(super) fn while_opening<T>(&self, id: &str, work: impl FnOnce() -> T) -> T {
        let slot = self.slot(&tenant_folder(id));
        let _opening = slot.tenant.lock();
        work()
    }
}

#[cfg(test)]
mod tests;
