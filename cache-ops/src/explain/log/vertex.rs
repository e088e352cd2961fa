//! One vertex of a build, and how it ended.

use std::time::Duration;

use cache_core::{Digest, Timestamp};

use super::line::Event;

/// How many characters of a name or an error are kept.
const TEXT: usize = 4096;
/// How many spans are kept before those that touch are joined.
const SPANS: usize = 64;
/// The end of the error of work that was stopped because it is not needed any more.
const STOPPED: &str = "context canceled";

/// A vertex of the build graph: a step, a source, or something that the client or the daemon did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vertex {
    /// The digest of its definition. It changes with every build that reads a local context.
    pub digest: Digest,
    /// Its name: `[build 2/4] RUN make`.
    pub name: String,
    /// Its inputs, in its definition's order, as positions in the log's list of vertices; `None` for one that is not in
    /// the log.
    pub inputs: Vec<Option<usize>>,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The times at work, in order, without overlap.
    pub spans: Vec<Span>,
    /// The daemon's error.
    pub error: Option<String>,
    /// Whether a result was found in a cache and could not be used.
    pub is_load_failed: bool,
}

/// How a vertex ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepOutcome {
    /// Its result came from a cache.
    Hit,
    /// It ran.
    Ran,
    /// It ran and failed, or was stopped.
    Failed,
    /// It had not ended when the log did.
    Unfinished,
    /// It never started.
    NotReached,
}

/// A time at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Span {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
}

impl Vertex {
    /// How long it was at work.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.spans.iter().map(|span| span.end.since(span.start)).sum()
    }

    /// When it was done.
    #[must_use]
    pub fn completed(&self) -> Option<Timestamp> {
        self.spans.last().map(|span| span.end)
    }
}

/// A vertex while its log is read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    name: String,
    pub(super) inputs: Vec<Digest>,
    spans: Vec<Span>,
    error: Option<String>,
    /// A result is being loaded: what happens meanwhile is fetching and unpacking.
    is_loading: bool,
    is_open: bool,
    /// A result was loaded completely: later work fetches lazy layers, and is not a run.
    is_loaded: bool,
    was_cached: bool,
    is_load_failed: bool,
    /// It was at work outside of a load.
    has_run: bool,
    is_failed: bool,
    /// A status showed that a layer is fetched.
    pub(super) has_fetched: bool,
}

impl Draft {
    /// How many bytes of text are kept.
    pub(super) fn text(&self) -> usize {
        self.name.len() + self.error.as_ref().map_or(0, String::len)
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        if !event.name.is_empty() && self.name.is_empty() {
            self.name = event.name.chars().take(TEXT).collect();
        }
        // A result that turns out not to be needed is not loaded further, but it was found.
        let is_given_up = event.cached && event.error.ends_with(STOPPED);
        let is_error = !event.error.is_empty() && !is_given_up;
        let error = is_error.then(|| event.error.chars().take(TEXT).collect::<String>());
        match (event.started, event.completed) {
            (Some(_), None) if event.cached => self.is_loading = true,
            (Some(_), None) => self.is_open = true,
            (Some(start), Some(end)) => {
                self.is_open = false;
                self.push(Span { start, end: end.max(start) });
                if event.cached {
                    self.is_loaded |= self.is_loading && error.is_none() && !is_given_up;
                    self.is_loading = false;
                    self.was_cached |= error.is_none();
                    self.is_load_failed |= error.is_some();
                } else if !self.is_loading && !self.is_loaded {
                    self.has_run = true;
                    self.is_failed = error.is_some();
                }
            }
            (None, _) => {}
        }
        if error.is_some() {
            self.error = error;
        }
    }

    fn push(&mut self, span: Span) {
        self.spans.push(span);
        if self.spans.len() >= SPANS {
            join(&mut self.spans);
            // A hostile log may have spans that never touch: then they count as one.
            if self.spans.len() >= SPANS / 2 {
                let end = self.spans.iter().map(|span| span.end).max();
                self.spans.truncate(1);
                self.spans[0].end = end.unwrap_or(self.spans[0].end);
            }
        }
    }

    fn outcome(&self) -> StepOutcome {
        let is_fetched_hit = self.was_cached && self.has_fetched;
        match () {
            () if self.is_failed => StepOutcome::Failed,
            () if self.has_run && !is_fetched_hit => StepOutcome::Ran,
            () if self.was_cached => StepOutcome::Hit,
            () if self.is_open || self.is_loading => StepOutcome::Unfinished,
            () if self.is_load_failed => StepOutcome::Failed,
            () => StepOutcome::NotReached,
        }
    }

    pub(super) fn finish(mut self, digest: Digest, inputs: Vec<Option<usize>>) -> Vertex {
        join(&mut self.spans);
        Vertex {
            digest,
            outcome: self.outcome(),
            name: self.name,
            inputs,
            spans: self.spans,
            error: self.error,
            is_load_failed: self.is_load_failed,
        }
    }
}

/// Puts spans in order and joins those that overlap.
fn join(spans: &mut Vec<Span>) {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans.drain(..) {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    *spans = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Option<Timestamp> {
        Some(format!("2026-11-28T10:00:{second:02}Z").parse().unwrap())
    }

    fn event(started: Option<Timestamp>, completed: Option<Timestamp>, cached: bool) -> Event<'static> {
        Event { started, completed, cached, ..Event::default() }
    }

    fn vertex(events: &[Event<'_>]) -> Vertex {
        let mut draft = Draft::default();
        events.iter().for_each(|event| draft.add(event));
        draft.finish(Digest::sha256(b"x"), Vec::new())
    }

    #[test]
    fn unpacking_while_a_result_is_loaded_is_no_run() {
        let found = vertex(&[
            event(at(0), None, true),
            event(at(1), None, false),
            event(at(1), at(2), false),
            event(at(0), at(3), true),
        ]);
        assert_eq!((found.outcome, found.time()), (StepOutcome::Hit, Duration::from_secs(3)));
    }

    #[test]
    fn layers_that_are_fetched_after_a_load_are_no_run() {
        let found = vertex(&[
            event(at(0), at(0), true),
            event(at(1), None, true),
            event(at(1), at(2), true),
            event(at(3), None, false),
            event(at(3), at(4), false),
        ]);
        assert_eq!((found.outcome, found.time()), (StepOutcome::Hit, Duration::from_secs(2)));
    }

    #[test]
    fn a_vertex_that_was_reported_as_cached_may_still_run() {
        let found = vertex(&[event(at(0), at(0), true), event(at(1), None, false), event(at(1), at(4), false)]);
        assert_eq!((found.outcome, found.time()), (StepOutcome::Ran, Duration::from_secs(3)));
    }

    #[test]
    fn a_log_that_ends_early_leaves_vertices_open() {
        assert_eq!(vertex(&[event(at(0), None, false)]).outcome, StepOutcome::Unfinished);
        assert_eq!(vertex(&[event(None, None, false)]).outcome, StepOutcome::NotReached);
    }

    #[test]
    fn a_result_that_cannot_be_loaded_is_no_hit() {
        let failed = Event { error: "gone".into(), ..event(at(0), at(1), true) };
        let found = vertex(&[event(at(0), None, true), failed, event(at(1), None, false), event(at(1), at(2), false)]);
        assert_eq!((found.outcome, found.is_load_failed), (StepOutcome::Ran, true));
    }

    #[test]
    fn a_result_that_is_no_longer_loaded_is_a_hit() {
        let given_up = Event { error: "mount callback failed: context canceled".into(), ..event(at(0), at(3), true) };
        let found =
            vertex(&[event(at(0), None, true), event(at(1), None, false), event(at(1), at(2), false), given_up]);
        assert_eq!((found.outcome, found.error, found.is_load_failed), (StepOutcome::Hit, None, false));
    }

    #[test]
    fn overlapping_spans_count_once() {
        let found = vertex(&[event(at(0), at(3), false), event(at(2), at(5), false), event(at(8), at(9), false)]);
        assert_eq!((found.spans.len(), found.time()), (2, Duration::from_secs(6)));
    }
}
