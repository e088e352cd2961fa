//! Probes: finding out by trial what a store can do.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::CacheSpec;

/// Finds out what a place can do, by small test artefacts that it deletes again.
///
/// ```
/// use cache_core::Result;
/// use cache_core::seams::{CacheProbe, Diagnosis};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// struct Disk;
///
/// #[async_trait::async_trait]
/// impl CacheProbe for Disk {
///     async fn diagnose(&self) -> Result<Diagnosis> {
///         let mut found = Diagnosis::default();
///         found.record("write", Ok(()), "give the user the right to write");
///         Ok(found)
///     }
/// }
///
/// assert!(Disk.diagnose().await?.works("write"));
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait CacheProbe: Send + Sync {
    /// Tries everything; a refusal is a finding, and what depends on it is [`Outcome::Unknown`].
    ///
    /// No cache of the place is touched. A call that is dropped may leave an artefact, which has `buildcache-doctor` in
    /// its name where the place has names.
    ///
    /// # Errors
    /// When nothing can be found out, because the server does not answer or its answers cannot be understood.
    async fn diagnose(&self) -> Result<Diagnosis>;
}

/// The findings of a probe.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What was tried, in order.
    pub checks: Vec<Check>,
    /// The spec to write caches with; none when there is no way to write one.
    pub recommended: Option<CacheSpec>,
    /// How jobs that publish at the same time keep what each of them adds; none where nothing can be written.
    pub publishing: Option<Publishing>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Test artefacts that could not be deleted.
    pub leftovers: Vec<String>,
}

/// One check.
#[derive(Debug)]
#[non_exhaustive]
pub struct Check {
    /// Its name: lower-case words joined by hyphens.
    pub name: &'static str,
    /// The outcome.
    pub outcome: Outcome,
    /// What it means for a cache, and what to do about it.
    pub advice: Option<&'static str>,
}

/// The outcome of a check.
#[derive(Debug)]
pub enum Outcome {
    /// It works.
    Works,
    /// It does not work; the error has the server's words under `server`.
    Refused(Error),
    /// It was not tried, or its outcome says nothing; the text says why.
    Unknown(String),
}

/// How jobs that publish at the same time keep what each of them adds, as a probe has found it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// A commit succeeds only if no other writer has committed in between.
    Conditional,
    /// Each job leaves what it adds next to the cache ([`Contributions`](crate::seams::Contributions)).
    Contributions {
        /// Whether it can delete that again.
        removes: bool,
    },
    /// Each job waits so long after its commit, and looks again
    /// ([`settles_in`](crate::seams::Committed::settles_in)).
    Timed(Duration),
}

impl Check {
    /// Whether it works.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self.outcome, Outcome::Works)
    }
}

impl From<Result<()>> for Outcome {
    fn from(tried: Result<()>) -> Self {
        tried.map_or_else(Self::Refused, |()| Self::Works)
    }
}

impl Diagnosis {
    /// Adds the outcome of a check, with advice for when it failed; returns whether it succeeded.
    pub fn record(&mut self, name: &'static str, outcome: impl Into<Outcome>, advice: &'static str) -> bool {
        let outcome = outcome.into();
        let works = matches!(outcome, Outcome::Works);
        let advice = (!works && !advice.is_empty()).then_some(advice);
        self.checks.push(Check { name, outcome, advice });
        works
    }

    /// Adds a check that was not tried.
    pub fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        self.checks.push(Check { name, outcome: Outcome::Unknown(why.into()), advice: None });
    }

    /// Whether the check of this name works.
    #[must_use]
    pub fn works(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name && check.works())
    }

    /// Whether something was refused for lack of credentials or rights.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        let denied = [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied];
        let is_denied =
            |check: &Check| matches!(&check.outcome, Outcome::Refused(error) if denied.contains(&error.kind()));
        self.checks.iter().any(is_denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_for_what_does_not_work() {
        let mut diagnosis = Diagnosis::default();
        assert!(diagnosis.record("read", Ok(()), "log in"));
        let refused = Err(Error::new(ErrorKind::Unsupported, "no"));
        assert!(!diagnosis.record("write", refused, "use another"));
        assert_eq!(diagnosis.checks.iter().map(|check| check.advice).collect::<Vec<_>>(), [None, Some("use another")]);
        assert!(diagnosis.works("read") && !diagnosis.works("write") && !diagnosis.works("else"));
    }

    #[test]
    fn a_refusal_because_of_who_asks_is_told_apart() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.record("index", Err(Error::new(ErrorKind::Unsupported, "no")), "");
        assert!(!diagnosis.is_denied());
        diagnosis.record("push", Err(Error::new(ErrorKind::PermissionDenied, "no")), "");
        assert!(diagnosis.is_denied());
    }
}
