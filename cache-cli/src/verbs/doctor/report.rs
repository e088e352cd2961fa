//! `buildcache.doctor/v1`

use std::fmt::Write as _;

use cache_core::seams::{Check, Diagnosis, Outcome, Publishing};
use cache_core::{CacheSpec, Digest, Error, Timestamp};
use serde::Serialize;

use crate::exit::with_causes;
use crate::output;
use crate::table::{Column, Table};
use crate::text;

/// What was found out.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// What this document is.
    schema: &'static str,
    /// The spec, without what every destination takes.
    cache: String,
    /// What was tried.
    checks: Vec<Checked>,
    /// The spec to write caches with; `null` when there is no way.
    cache_to: Option<String>,
    /// What to know about the place.
    notes: Vec<String>,
    /// What could not be taken away again.
    leftovers: Vec<String>,
}

/// One check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Checked {
    /// What was tried.
    name: &'static str,
    /// What came of it.
    outcome: Verdict,
    /// The status that the server refused with.
    status: Option<u16>,
    /// The server's words, or why nothing is known.
    words: Option<String>,
    /// What to do about it.
    advice: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It can be done.
    Works,
    /// The server does not do it, or not for this account.
    Refused,
    /// It was not tried.
    Unknown,
}

impl Report {
    pub(super) fn new(cache: &CacheSpec, found: Diagnosis, cache_to: Option<CacheSpec>) -> Self {
        Self {
            schema: "buildcache.doctor/v1",
            cache: cache.to_string(),
            checks: found.checks.into_iter().map(Checked::from).collect(),
            cache_to: cache_to.map(|spec| spec.to_string()),
            notes: found.publishing.map(publishing).into_iter().chain(found.notes).collect(),
            leftovers: found.leftovers,
        }
    }
}

impl From<Check> for Checked {
    fn from(check: Check) -> Self {
        let (outcome, status, words) = match check.outcome {
            Outcome::Works => (Verdict::Works, None, None),
            Outcome::Refused(error) => (Verdict::Refused, status(&error), Some(words(&error))),
            Outcome::Unknown(why) => (Verdict::Unknown, None, Some(why)),
        };
        Self { name: check.name, outcome, status, words, advice: check.advice }
    }
}

/// How jobs that publish at the same time lose nothing.
fn publishing(way: Publishing) -> String {
    let text = match way {
        Publishing::Conditional => "commits are conditional here, so concurrent jobs lose nothing".to_owned(),
        Publishing::Contributions { removes } => {
            let parts = match removes {
                true => "a later publish deletes these parts",
                false => "these parts cannot be deleted here, and need a retention rule",
            };
            format!(
                "there are no conditional writes here: each job first writes its part as NAME.publish-…, and is done when the cache contains it, so concurrent jobs lose nothing; {parts}"
            )
        }
        Publishing::Timed(wait) => format!(
            "there are no conditional writes and no lists here: each job waits {} s after its commit and checks again, so nothing is lost unless a commit takes longer",
            wait.as_secs_f32()
        ),
    };
    format!("merge --publish: {text}")
}

fn status(error: &Error) -> Option<u16> {
    error.status()
}

/// The server's message, or the error itself if no server answered.
fn words(error: &Error) -> String {
    error.context("server").map_or_else(|| with_causes(error), str::to_owned)
}

impl Checked {
    /// The status and the message, which may begin with the status.
    fn answer(&self) -> String {
        let words = self.words.clone().unwrap_or_default();
        let status = self.status.map(|status| status.to_string()).filter(|status| !words.contains(status.as_str()));
        status.into_iter().chain([words]).collect::<Vec<_>>().join(" ")
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl output::Report for Report {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let mut table = Table::new([Column::Left("CHECK"), Column::Left("OUTCOME"), Column::Left("ANSWER")]);
        for check in &self.checks {
            table.row([check.name.to_owned(), check.outcome.as_str().to_owned(), check.answer()]);
        }
        let mut text = format!("{table}\n");
        for (name, advice) in self.checks.iter().filter_map(|check| Some((check.name, check.advice?))) {
            let _ = writeln!(text, "{name}: {advice}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for left in &self.leftovers {
            let _ = writeln!(text, "left behind: {}", text::printable(left));
        }
        if let Some(cache_to) = &self.cache_to {
            let _ = writeln!(text, "use: --cache-to {}", text::printable(cache_to));
        }
        text
    }

    /// None: a probe leaves no cache.
    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use cache_core::ErrorKind;

    use super::*;
    use crate::output::Report as _;

    #[test]
    fn the_servers_words_the_advice_and_the_attributes_are_shown() {
        let refused = Error::new(ErrorKind::Unsupported, "cannot write").with_status(400);
        let mut found = Diagnosis::default();
        found.record("image-manifest", Err(refused.with("server", "MANIFEST_INVALID: no")), "use an index");
        found.skip("mount", "not tried");
        found.leftovers.push("tag x".to_owned());
        let cache_to = CacheSpec::new("registry").with("ref", "a/b").with("mode", "max");
        let report = Report::new(&CacheSpec::new("registry"), found, Some(cache_to));
        let shown = "CHECK           OUTCOME  ANSWER\n\
                     image-manifest  refused  400 MANIFEST_INVALID: no\n\
                     mount           unknown  not tried\n\n\
                     image-manifest: use an index\n\
                     left behind: tag x\n\
                     use: --cache-to type=registry,mode=max,ref=a/b\n";
        assert_eq!(report.table(Timestamp::now(), false), shown);
    }

    #[test]
    fn the_note_about_parts_of_publishers_says_who_deletes_them() {
        let note = |removes| publishing(Publishing::Contributions { removes });
        assert!(note(true).ends_with("lose nothing; a later publish deletes these parts"));
        assert!(note(false).ends_with("cannot be deleted here, and need a retention rule"));
    }
}
