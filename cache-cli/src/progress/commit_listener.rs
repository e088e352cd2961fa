//! The progress of one of several exports, under its own name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cache_core::{Event, Progress};

use super::{Reporter, Step};

/// Passes events on, and remembers when the manifest was committed.
pub(crate) struct CommitListener {
    reporter: Arc<Reporter>,
    task: String,
    /// The destination, if there are several at the same time.
    place: Option<String>,
    committed: Mutex<Option<Instant>>,
}

impl CommitListener {
    pub(crate) fn new(reporter: Arc<Reporter>, task: String) -> Self {
        Self { reporter, task, place: None, committed: Mutex::default() }
    }

    /// Puts the name of the place into every event.
    pub(crate) fn at(self, place: Option<String>) -> Self {
        Self { place, ..self }
    }

    pub(crate) fn time_of_commit(&self) -> Option<Instant> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for CommitListener {
    fn event(&self, event: &Event<'_>) {
        if let Event::Committed { .. } = event {
            *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        match event {
            Event::Started { blobs, bytes } => {
                let started = Step::Started { task: &self.task, blobs: *blobs, bytes: *bytes };
                self.reporter.step_at(self.place.as_deref(), &started);
            }
            event => self.reporter.event_at(self.place.as_deref(), event),
        }
    }
}
