//! Uploads on their way to their tenants: one by one, or those that came together as one group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Store, answer, tenants};
use crate::error::{Error, Result};
use crate::pool::Owner;
use crate::tenant::{Completion, Inserted, Tenant, Upload};

/// An upload that came over some connection, and who is told.
pub struct Arrival {
    /// The tenant, which may not exist.
    pub tenant_id: String,
    /// What to store.
    pub upload: Upload,
    /// Told once it is on stable storage and visible, or what is wrong.
    pub completion: Completion<Inserted>,
}

impl Store {
    /// Stores an upload and returns once it is on stable storage and visible.
    ///
    /// # Errors
    /// What is wrong with the upload or its place; [`Error::DiskFull`]; [`Error::OutcomeUnknown`].
    pub fn insert(self: &Arc<Self>, tenant_id: &str, upload: Upload) -> Result<Inserted> {
        self.check()?;
        let (completion, outcome) = answer();
        self.upload(tenant_id, upload, completion);
        outcome.recv().unwrap_or(Err(Error::Closed))
    }

    /// Stores an upload and tells `completion` once it is on stable storage and visible.
    pub fn begin_insert(
        self: &Arc<Self>,
        tenant_id: String,
        upload: Upload,
        completion: Completion<Inserted>,
    ) {
        let completion = self.company.request(Owner::of(&tenant_id)).until(completion);
        self.queue_insert(tenant_id, upload, completion);
    }

    fn queue_insert(self: &Arc<Self>, tenant_id: String, upload: Upload, completion: Completion<Inserted>) {
        let store = Arc::clone(self);
        self.commits.spawn(Owner::of(&tenant_id), move || match store.check() {
            Ok(()) => store.upload(&tenant_id, upload, completion),
            Err(refused) => completion(Err(refused)),
        });
    }

    /// Stores uploads that came at the same moment: those of one tenant are written and synced together, tenants side by
    /// side.
    pub fn begin_inserts(self: &Arc<Self>, uploads: Vec<Arrival>) {
        let mut groups: Vec<(Owner, Vec<Arrival>)> = Vec::new();
        for mut upload in uploads {
            let owner = Owner::of(&upload.tenant_id);
            upload.completion = self.company.request(owner).until(upload.completion);
            match groups.iter_mut().find(|group| group.0 == owner) {
                Some(group) => group.1.push(upload),
                None => groups.push((owner, vec![upload])),
            }
        }
        for (owner, uploads) in groups {
            let store = Arc::clone(self);
            self.commits.spawn(owner, move || store.upload_together(uploads));
        }
    }

    fn upload_together(self: &Arc<Self>, uploads: Vec<Arrival>) {
        let _writing = self.writing.read();
        let mut committed: Vec<Arc<Tenant>> = Vec::new();
        for Arrival { tenant_id, upload, completion } in uploads {
            match self.check().map(|()| self.tenants.opened_one(&tenant_id)) {
                Ok(Some(tenant)) => {
                    // A bug that panics harms one upload, not those that came with it.
                    let queued = AssertUnwindSafe(|| Self::queue(&tenant, upload, completion));
                    if catch_unwind(queued).unwrap_or(false) {
                        committed.push(tenant);
                    }
                }
                // To open or to make it takes longer than the others should wait.
                Ok(None) => self.queue_insert(tenant_id, upload, completion),
                Err(refused) => completion(Err(refused)),
            }
        }
        for tenant in committed {
            self.commit(&tenant);
        }
    }

    fn upload(self: &Arc<Self>, tenant_id: &str, upload: Upload, completion: Completion<Inserted>) {
        let _writing = self.writing.read();
        if let Err(refused) = self.check() {
            return completion(Err(refused));
        }
        let creates = upload.creates();
        let tenant = match self.tenants.get(tenant_id) {
            Ok(tenant) => tenant,
            Err(Error::TenantNotFound) if creates && self.tenants.auto_create => {
                match self.tenants.create_with(tenant_id, upload) {
                    Ok(tenants::Made::Tenant(inserted)) => return completion(Ok(inserted)),
                    Ok(tenants::Made::AlreadyThere(tenant, upload)) => {
                        return self.upload_to(&tenant, *upload, completion);
                    }
                    Err(refused) => return completion(Err(refused)),
                }
            }
            Err(refused) => return completion(Err(refused)),
        };
        self.upload_to(&tenant, upload, completion);
    }

    fn upload_to(self: &Arc<Self>, tenant: &Arc<Tenant>, upload: Upload, completion: Completion<Inserted>) {
        if Self::queue(tenant, upload, completion) {
            self.commit(tenant);
        }
    }

    /// True: the caller has to commit.
    fn queue(tenant: &Tenant, upload: Upload, completion: Completion<Inserted>) -> bool {
        match upload.validate(tenant.metric(), tenant.dimension()) {
            Ok(valid) => tenant.begin_upload(valid, completion),
            Err(refused) => {
                completion(Err(refused));
                false
            }
        }
    }

    /// Commits the group that the caller's own record is in, and leaves what came meanwhile to the pool.
    pub(super) fn commit(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if tenant.commit() {
            let tenant = Arc::clone(tenant);
            self.commits.spawn(Owner::of(tenant.id()), move || while tenant.commit() {});
        }
        if tenant.wants_checkpoint() {
            let tenant = Arc::clone(tenant);
            self.commits.spawn(Owner::of(tenant.id()), move || tenant.checkpoint_if_grown());
        }
    }
}
