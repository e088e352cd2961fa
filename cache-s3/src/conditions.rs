//! [`Conditions`]: for which buckets it is known whether conditions are honoured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// The outcome by endpoint and bucket; it is found out once for all caches that share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions(Arc<Mutex<HashMap<String, Arc<OnceCell<bool>>>>>);

impl Conditions {
    /// Whether a bucket honours conditions; empty until that was tested.
    pub(crate) fn of(&self, bucket: String) -> Arc<OnceCell<bool>> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(buckets.entry(bucket).or_default())
    }
}
