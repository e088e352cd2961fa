//! [`Listener`]: receives a backend's events outside of exports.

use std::fmt;
use std::sync::Arc;

use cache_core::Progress;
use cache_core::seams::{Event, Silent};

/// Receives events outside of exports, such as the retry of a read; by default nothing does.
#[derive(Clone)]
pub struct Listener(Arc<dyn Progress>);

impl Listener {
    /// Sends the events to `progress`.
    #[must_use]
    pub fn new(progress: Arc<dyn Progress>) -> Self {
        Self(progress)
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self(Arc::new(Silent))
    }
}

impl Progress for Listener {
    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
