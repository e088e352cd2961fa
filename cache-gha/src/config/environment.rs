//! [`Environment`]: settings outside of specs, shared by all caches of a program.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{env, fmt};

use cache_core::seams::Listener;
use cache_core::spec::Secret;
use cache_kit::{PartLimits, Tuning, Uploads};

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

/// The variables of a runner, how long to wait, and how much to send: shared by all caches that are opened with it.
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

    /// The variables that `value` gives for their names.
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

    /// Changes how long the service may take, how often it is asked again, and in which parts entries go and come.
    #[must_use]
    pub fn tune(self, change: impl FnOnce(Tuning) -> Tuning) -> Self {
        Self { tuning: change(self.tuning), ..self }
    }

    /// Tells whoever listens of requests that are tried again outside of exports.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    /// Limits uploads to `uploads` in any window of length `per`.
    #[must_use]
    pub fn with_upload_budget(self, uploads: usize, per: Duration) -> Self {
        Self { budget: Budget::new(uploads, per), ..self }
    }

    /// Lets uploads whose keys are reserved come to their end together with `uploads`, which the program waits for before
    /// it ends: a reserved key cannot be released.
    #[must_use]
    pub fn with_uploads(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    /// Changes how long a writer waits for another one that has reserved a key: an index is passed over then, and a blob is
    /// [`Locked`](cache_core::ErrorKind::Locked), for which large ones have more time. All writers of a cache have to wait equally long: whoever takes longer
    /// than others wait may be passed over. 16 seconds unless it is changed, as in BuildKit.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Changes how long whoever publishes waits before it looks whether its index is still there, at a service that gives
    /// the same number to several writers: longer than it takes to make an index visible. 5 seconds unless it is changed.
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
