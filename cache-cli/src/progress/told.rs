//! What one of several exports tells, under its own name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cache_core::{Event, Progress};

use super::{Reporter, Step};

/// Passes events on, and remembers when the manifest was committed.
pub(crate) struct Told {
    reporter: Arc<Reporter>,
    task: String,
    committed: Mutex<Option<Instant>>,
}

impl Told {
    pub(crate) fn new(reporter: Arc<Reporter>, task: String) -> Self {
        Self { reporter, task, committed: Mutex::default() }
    }

    pub(crate) fn time_of_commit(&self) -> Option<Instant> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        if let Event::Committed { .. } = event {
            *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        match event {
            Event::Started { blobs, bytes } => {
                self.reporter.step(&Step::Started { task: &self.task, blobs: *blobs, bytes: *bytes });
            }
            event => self.reporter.event(event),
        }
    }
}
