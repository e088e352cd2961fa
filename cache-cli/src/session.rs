//! The context of every verb: the backends, the global flags, and the progress.

use std::sync::Arc;

use cache_kit::Listener;
use cache_ops::{Backends, ExportSettings};

use crate::args::{Globals, OutputForm};
use crate::exit::Failure;
use crate::messages;
use crate::progress::{CommitListener, Reporter};

/// Blobs that are checked at once, unless `--concurrency` is given.
const LOOKS: u16 = 8;

/// One run of the program.
pub(crate) struct Session {
    pub(crate) backends: Backends,
    pub(crate) globals: Globals,
    pub(crate) reporter: Arc<Reporter>,
}

impl Session {
    /// `backends` receives the listener for retries.
    pub(crate) fn new(backends: impl FnOnce(Listener) -> Backends, globals: Globals) -> Self {
        let reporter = Arc::new(Reporter::new(globals.progress_form(), globals.is_verbose()));
        let backends = backends(Listener::new(Arc::clone(&reporter) as _));
        Self { backends, globals, reporter }
    }

    /// Blobs that are checked at once.
    pub(crate) fn concurrency(&self) -> usize {
        usize::from(self.globals.concurrency.unwrap_or(LOOKS))
    }

    /// The settings of exports.
    pub(crate) fn export_settings(&self) -> ExportSettings {
        let progress = Arc::clone(&self.reporter);
        let settings = ExportSettings::default().with_progress(progress);
        match self.globals.concurrency {
            Some(count) => settings.with_concurrency(usize::from(count)),
            None => settings,
        }
    }

    /// The settings of an export whose progress is shown under the name `task`.
    pub(crate) fn export_settings_of(&self, task: String) -> ExportSettings {
        let told = CommitListener::new(Arc::clone(&self.reporter), task);
        self.export_settings().with_progress(Arc::new(told))
    }

    /// Prints a failure in the format of `-o`.
    pub(crate) fn fail(&self, failure: &Failure) {
        match self.globals.output {
            Some(OutputForm::Json) => messages::failure_as_json(failure),
            _ => messages::failure(failure),
        }
    }

    /// Shows a warning in any format of progress.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        self.reporter.warn(text.as_ref());
    }
}
