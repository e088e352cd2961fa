//! The publish protocol, explored in every order of its steps: what each kind of store guarantees.
//!
//! A writer reads the place, pushes its blobs, and commits the union; it may crash before any step. The stores:
//!
//! * *conditional* (s3 and azblob with conditions, local, gha): a commit happens only if the place is as it was read;
//! * *watched* (a registry, and an s3 store that ignores conditions): the writer looks before its commit and after it,
//!   and starts again when it sees somebody else;
//! * *blind* (a plain copy): a commit replaces whatever is there.
//!
//! Found by going through every state:
//!
//! | | conditional | watched | blind |
//! |---|---|---|---|
//! | a cache that is there names no blob that is missing | always | always | always |
//! | what a writer was told is published stays published | always | not if another looked before and commits after | never |
//! | the last commit is there as a whole | always | always | always |
//! | without a second writer at that moment nothing is lost | always | always | no |

use std::collections::HashSet;

/// What the place holds, or a writer has merged: a set of writers whose caches are in it.
type Caches = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Conditional,
    Watched,
    Blind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Read,
    Push { merged: Caches, version: u8 },
    Look { merged: Caches, version: u8 },
    Commit { merged: Caches, version: u8 },
    LookAgain { version: u8 },
    Done,
    GaveUp,
    Crashed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// The caches in the manifest that the place leads to.
    place: Caches,
    /// Counts commits; never the same twice, like the digest of what is committed.
    version: u8,
    /// The writers whose blobs are in the store.
    blobs: Caches,
    writers: Vec<(Step, u8)>,
}

/// How often a writer starts again here; enough to lose to every other writer.
const TRIES: u8 = 4;

impl State {
    fn new(writers: usize) -> Self {
        Self { place: 0, version: 0, blobs: 0, writers: vec![(Step::Read, TRIES); writers] }
    }

    fn after(&self, kind: Kind, who: usize) -> Option<Self> {
        let mut next = self.clone();
        let own = 1 << who;
        let (step, tries) = self.writers[who];
        let again = if tries > 1 { (Step::Read, tries - 1) } else { (Step::GaveUp, 0) };
        next.writers[who] = match step {
            Step::Read => {
                let merged = if kind == Kind::Blind { own } else { self.place | own };
                (Step::Push { merged, version: self.version }, tries)
            }
            Step::Push { merged, version } => {
                next.blobs |= own;
                let step = if kind == Kind::Watched {
                    Step::Look { merged, version }
                } else {
                    Step::Commit { merged, version }
                };
                (step, tries)
            }
            Step::Look { version, .. } if version != self.version => again,
            Step::Look { merged, version } => (Step::Commit { merged, version }, tries),
            Step::Commit { version, .. } if kind == Kind::Conditional && version != self.version => again,
            Step::Commit { merged, .. } => {
                next.place = merged;
                next.version += 1;
                let step = if kind == Kind::Watched { Step::LookAgain { version: next.version } } else { Step::Done };
                (step, tries)
            }
            Step::LookAgain { version } if version != self.version => again,
            Step::LookAgain { .. } => (Step::Done, tries),
            Step::Done | Step::GaveUp | Step::Crashed => return None,
        };
        Some(next)
    }

    fn after_crash(&self, who: usize) -> Option<Self> {
        let is_over = matches!(self.writers[who].0, Step::Done | Step::GaveUp | Step::Crashed);
        let mut next = self.clone();
        next.writers[who].0 = Step::Crashed;
        (!is_over).then_some(next)
    }

    fn is_over(&self) -> bool {
        self.writers.iter().all(|(step, _)| matches!(step, Step::Done | Step::GaveUp | Step::Crashed))
    }

    /// The writers that were told that their cache is published.
    fn told(&self) -> Caches {
        let done = self.writers.iter().enumerate().filter(|(_, (step, _))| *step == Step::Done);
        done.map(|(who, _)| 1 << who).sum()
    }

    /// The caches that were published according to their writers, and are not there.
    fn lost(&self) -> Caches {
        self.told() & !self.place
    }
}

/// Every state that can be reached, each once.
fn explore(kind: Kind, writers: usize, with_crashes: bool) -> Vec<State> {
    let mut states = vec![State::new(writers)];
    let mut seen: HashSet<State> = states.iter().cloned().collect();
    let mut at = 0;
    while at < states.len() {
        let state = states[at].clone();
        at += 1;
        for who in 0..writers {
            let crash = if with_crashes { state.after_crash(who) } else { None };
            for next in state.after(kind, who).into_iter().chain(crash) {
                if seen.insert(next.clone()) {
                    states.push(next);
                }
            }
        }
    }
    states
}

const KINDS: [Kind; 3] = [Kind::Conditional, Kind::Watched, Kind::Blind];

#[test]
fn no_store_ever_leads_to_a_cache_whose_blobs_are_missing() {
    for kind in KINDS {
        for state in explore(kind, 3, true) {
            assert_eq!(state.place & !state.blobs, 0, "{kind:?}: {state:?}");
        }
    }
}

#[test]
fn a_conditional_store_loses_nothing_that_a_writer_was_told_is_published() {
    for state in explore(Kind::Conditional, 3, true) {
        assert_eq!(state.lost(), 0, "{state:?}");
    }
}

#[test]
fn everybody_gets_through_to_a_conditional_store() {
    for state in explore(Kind::Conditional, 3, false).into_iter().filter(State::is_over) {
        assert_eq!((state.told(), state.place), (0b111, 0b111), "{state:?}");
    }
}

#[test]
fn a_watched_store_loses_only_what_is_overwritten_between_a_look_and_a_commit() {
    let states = explore(Kind::Watched, 2, true);
    assert!(states.iter().any(|state| state.lost() != 0), "the registry's guarantee is weaker, and this shows it");
    // The loss is there only while or after another writer commits on a look that was taken before.
    for state in states.iter().filter(|state| state.is_over()) {
        let last_is_whole = state.place != 0 || state.told() == 0;
        assert!(last_is_whole, "{state:?}");
    }
}

#[test]
fn a_watched_store_loses_nothing_when_writers_come_one_after_the_other() {
    let mut state = State::new(3);
    for who in 0..3 {
        while let Some(next) = state.after(Kind::Watched, who) {
            state = next;
        }
    }
    assert_eq!((state.told(), state.place), (0b111, 0b111));
}

#[test]
fn a_blind_store_keeps_one_of_them() {
    let over: Vec<State> = explore(Kind::Blind, 3, false).into_iter().filter(State::is_over).collect();
    assert!(!over.is_empty() && over.iter().all(|state| state.place.count_ones() == 1));
}

#[test]
fn a_crash_leaves_a_cache_that_was_there_before_or_the_new_one() {
    for kind in [Kind::Conditional, Kind::Watched] {
        for state in explore(kind, 2, true) {
            for who in 0..2 {
                let Some(crashed) = state.after_crash(who) else { continue };
                assert_eq!((crashed.place, crashed.version), (state.place, state.version));
            }
        }
    }
}
