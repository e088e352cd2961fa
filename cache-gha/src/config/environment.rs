//! [`Environment`]: settings outside of specs, shared by all caches of a program.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{env, fmt};

use cache_kit::{Listener, PartLimits, Secret, Tuning, Uploads};

use crate::budget::Budget;

/// The variables of a runner that clients of BuildKit look at.
pub(super) const RESULTS_URL: &str = "ACTIONS_RESULTS_URL";
pub(super) const CACHE_URL: &str = "ACTIONS_CACHE_URL";
pub(super) const TOKEN: &str = "ACTIONS_RUNTIME_TOKEN";
pub(super) const SERVICE_V2: &str = "ACTIONS_CACHE_SERVICE_V2";
/// Where the REST API is; a runner of GitHub Enterprise Server has another one.
const API_URL: &str = "GITHUB_API_URL";
const VARIABLES: [&str; 5] = [RESULTS_URL, CACHE_URL, TOKEN, SERVICE_V2, API_URL];

const GITHUB: &str = "https://api.github.com";
/// GitHub's limit for a repository.
const UPLOADS: usize = 200;
/// A second more than the minute that GitHub counts by, since requests arrive unevenly.
const MINUTE: Duration = Duration::from_secs(61);
/// The most blocks of a block list.
const MAX_BLOCKS: u32 = 50_000;
/// How long another writer may take who has reserved a key; as long as in BuildKit.
const PATIENCE: Duration = Duration::from_secs(16);
/// The longest time from the last look before an index is finalised until it is visible.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// The variables of a runner, the tuning, and the limits on uploads, shared by all caches that are opened with it.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<&'static str, Secret>,
    tuning: Tuning,
    listener: Listener,
    budget: Budget,
    uploads: Uploads,
    patience: Duration,
    settle_time: Duration,
}

impl Environment {
    /// No variables; the default [`Tuning`], and 200 uploads a minute.
    #[expect(clippy::new_without_default, reason = "whose variables to use is nothing to guess")]
    #[must_use]
    pub fn new() -> Self {
        Self::of(|_| None)
    }

    /// The variables that a runner sets: `ACTIONS_RESULTS_URL`, `ACTIONS_CACHE_URL`, `ACTIONS_RUNTIME_TOKEN`,
    /// `ACTIONS_CACHE_SERVICE_V2` and `GITHUB_API_URL`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    /// Takes each variable from `value`, which is called with its name.
    #[must_use]
    pub fn of(value: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name| Some((name, Secret::new(value(name).filter(|value| !value.is_empty())?)));
        Self {
            variables: VARIABLES.into_iter().filter_map(given).collect(),
            tuning: Tuning::default().with_parts(PartLimits::default().with_max_parts(MAX_BLOCKS)),
            listener: Listener::default(),
            budget: Budget::new(UPLOADS, MINUTE),
            uploads: Uploads::default(),
            patience: PATIENCE,
            settle_time: SETTLE_TIME,
        }
    }

    /// Changes timeouts, retries, bounds, and the parts in which entries are sent and read.
    #[must_use]
    pub fn tune(self, change: impl FnOnce(Tuning) -> Tuning) -> Self {
        Self { tuning: change(self.tuning), ..self }
    }

    /// Sets who receives the events of retries outside of exports.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    /// Limits uploads to `uploads` in any window of length `per`.
    #[must_use]
    pub fn with_upload_budget(self, uploads: usize, per: Duration) -> Self {
        Self { budget: Budget::new(uploads, per), ..self }
    }

    /// Runs uploads whose keys are reserved in `uploads`, which the program waits for before it ends: a reserved key
    /// cannot be released.
    #[must_use]
    pub fn with_uploads(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    /// Sets how long a writer waits for another one that has reserved a key; 16 seconds by default, as in BuildKit.
    /// After that an index number is skipped, and a blob is [`Locked`](cache_core::ErrorKind::Locked); large blobs get
    /// more time. All writers of a cache must wait equally long: a writer that takes longer than others wait may be
    /// skipped.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Sets how long a publisher waits before it checks that its index is still there, with a service that gives the
    /// same number to several writers; 5 seconds by default. It must be longer than it takes to make an index visible.
    #[must_use]
    pub fn with_settle_time(self, settle_time: Duration) -> Self {
        Self { settle_time, ..self }
    }

    pub(crate) fn settle_time(&self) -> Duration {
        self.settle_time
    }

    pub(super) fn variable(&self, name: &str) -> Option<Secret> {
        self.variables.get(name).cloned()
    }

    /// Whether a variable is a true boolean of Go; no other text counts.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.variables.get(name).map(Secret::expose);
        value.is_some_and(|value| matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"))
    }

    pub(super) fn api_url(&self) -> &str {
        self.variables.get(API_URL).map_or(GITHUB, Secret::expose)
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("Environment").field("variables", &names).field("budget", &self.budget).finish_non_exhaustive()
    }
}
