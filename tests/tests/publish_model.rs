//! A model of the publish protocols, explored in every order of steps: what each kind of store guarantees.
//!
//! Up to three writers publish to one place; each may crash before any step. The stores:
//!
//! * *conditional* (s3 and azblob with conditions, local, gha): a commit succeeds only if the place has not changed since
//!   it was read;
//! * *contributed to* (a registry, and an s3 store that ignores conditions): each writer first writes its cache next to
//!   the place as a contribution, and repeats its commit until the place contains all contributions. The store's list
//!   may lag behind by one write. A collector removes contributions at the same time;
//! * *timed* (a gha service that gives one number to two writers, a store that cannot list): the writer reads right
//!   before its commit, waits until no writer can be left that has read before it and not committed, and commits again
//!   if its cache is not there then;
//! * *watched* (any other conditional commit of a registry): the writer reads before and after its commit, and starts
//!   again if it sees another writer;
//! * *blind* (a plain copy): a commit replaces the cache.
//!
//! The guarantees, found by exploring every state:
//!
//! | | conditional | contributed to | timed | watched | blind |
//! |---|---|---|---|---|---|
//! | a cache names no missing blob | always | always | always | always | always |
//! | a cache that was reported as published is there when all writers are done | always | always | always | not if another writer reads before and commits after it | never |
//! | the same, if a writer may be killed | always | yes, or after the next publish | not if it has just replaced another one's | no | no |
//! | without a concurrent writer nothing is lost | always | always | always | always | no |
//!
//! The assumptions are about time. A timed commit takes less time from its read to its end than a writer waits. A
//! collector removes only contributions that are so old that every running round has seen them. Rounds take less than
//! ten minutes and contributions stay for an hour, so the clocks of the writers and the lag of a list may be off by
//! half an hour. The model also shows what a collector loses that does not wait, or does not check that the place
//! contains what it removes.

use std::collections::HashSet;
use std::hash::Hash;

/// A set of writers, such as those whose caches are in the place.
type Caches = u8;

const EVERYBODY: Caches = 0b111;

/// A model that can be explored: the states that may follow.
trait Model: Clone + Eq + Hash {
    fn next(&self) -> Vec<Self>;
}

/// All reachable states, each once.
fn explore<M: Model>(first: M) -> Vec<M> {
    explore_until(first, |_| false)
}

/// The reachable states, up to the first one for which `is_found` is true, which is then the last one.
fn explore_until<M: Model>(first: M, is_found: impl Fn(&M) -> bool) -> Vec<M> {
    let mut seen = HashSet::from([first.clone()]);
    let mut states = vec![first];
    let mut at = 0;
    while at < states.len() {
        for next in states[at].next() {
            if !seen.insert(next.clone()) {
                continue;
            }
            let is_last = is_found(&next);
            states.push(next);
            if is_last {
                return states;
            }
        }
        at += 1;
    }
    states
}

/// Stores without contributions.
mod commits {
    use super::{Caches, Model};

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) enum Kind {
        Conditional,
        Timed,
        Watched,
        Blind,
    }

    pub(super) const KINDS: [Kind; 4] = [Kind::Conditional, Kind::Timed, Kind::Watched, Kind::Blind];

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum Step {
        Read,
        Push { merged: Caches, version: u8 },
        Look { merged: Caches, version: u8 },
        Commit { merged: Caches, version: u8 },
        LookAgain { merged: Caches, version: u8 },
        Done,
        GaveUp,
        Crashed,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    struct Writer {
        step: Step,
        tries: u8,
        /// The caches that it commits.
        known: Caches,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub(super) struct State {
        kind: Kind,
        with_crashes: bool,
        /// The caches in the manifest of the place.
        pub(super) place: Caches,
        /// Counts commits, so that every commit has another version, like a digest.
        pub(super) version: u8,
        /// The writers whose blobs are in the store.
        pub(super) blobs: Caches,
        writers: Vec<Writer>,
    }

    /// How often a writer starts again: enough to lose against every other writer.
    const TRIES: u8 = 4;

    impl State {
        pub(super) fn new(kind: Kind, writers: usize, with_crashes: bool) -> Self {
            let writer = |who| Writer { step: Step::Read, tries: TRIES, known: 1_u8 << who };
            let writers = (0..writers).map(writer).collect();
            Self { kind, with_crashes, place: 0, version: 0, blobs: 0, writers }
        }

        pub(super) fn after(&self, who: usize) -> Option<Self> {
            let mut next = self.clone();
            let Writer { step, tries, known } = self.writers[who];
            let again = if tries > 1 { (Step::Read, tries - 1) } else { (Step::GaveUp, 0) };
            let looks = matches!(self.kind, Kind::Timed | Kind::Watched);
            let (step, tries) = match step {
                Step::Read => {
                    let merged = if self.kind == Kind::Blind { known } else { self.place | known };
                    (Step::Push { merged, version: self.version }, tries)
                }
                Step::Push { merged, version } => {
                    next.blobs |= 1 << who;
                    let step = if looks { Step::Look { merged, version } } else { Step::Commit { merged, version } };
                    (step, tries)
                }
                Step::Look { version, .. } if version != self.version => again,
                Step::Look { merged, version } => (Step::Commit { merged, version }, tries),
                Step::Commit { version, .. } if self.kind == Kind::Conditional && version != self.version => again,
                Step::Commit { merged, .. } => {
                    next.place = merged;
                    next.version += 1;
                    let step = if looks { Step::LookAgain { merged, version: next.version } } else { Step::Done };
                    (step, tries)
                }
                // The wait ends only when no writer is left that has read before this commit and not committed.
                Step::LookAgain { version, .. } if self.kind == Kind::Timed && self.is_awaited(who, version) => {
                    return None;
                }
                Step::LookAgain { merged, .. } if self.kind == Kind::Timed => {
                    next.writers[who].known = merged;
                    if merged & !self.place == 0 { (Step::Done, tries) } else { again }
                }
                Step::LookAgain { version, .. } if version != self.version => again,
                Step::LookAgain { .. } => (Step::Done, tries),
                Step::Done | Step::GaveUp | Step::Crashed => return None,
            };
            (next.writers[who].step, next.writers[who].tries) = (step, tries);
            Some(next)
        }

        fn is_awaited(&self, who: usize, ours: u8) -> bool {
            let is_older = |step: Step| matches!(step, Step::Commit { version, .. } if version < ours);
            self.writers.iter().enumerate().any(|(other, writer)| other != who && is_older(writer.step))
        }

        pub(super) fn after_crash(&self, who: usize) -> Option<Self> {
            let is_over = matches!(self.writers[who].step, Step::Done | Step::GaveUp | Step::Crashed);
            let mut next = self.clone();
            next.writers[who].step = Step::Crashed;
            (!is_over).then_some(next)
        }

        pub(super) fn is_over(&self) -> bool {
            self.writers.iter().all(|writer| matches!(writer.step, Step::Done | Step::GaveUp | Step::Crashed))
        }

        /// The writers whose publish has succeeded.
        pub(super) fn told(&self) -> Caches {
            let done = self.writers.iter().enumerate().filter(|(_, writer)| writer.step == Step::Done);
            done.map(|(who, _)| 1 << who).sum()
        }

        /// The caches of those writers that are not there.
        pub(super) fn lost(&self) -> Caches {
            self.told() & !self.place
        }
    }

    impl Model for State {
        fn next(&self) -> Vec<Self> {
            let steps = (0..self.writers.len()).filter_map(|who| self.after(who));
            let crashes = (0..self.writers.len()).filter_map(|who| self.after_crash(who));
            steps.chain(crashes.filter(|_| self.with_crashes)).collect()
        }
    }
}

/// Stores without conditions, in which writers leave contributions.
mod contributions {
    use super::{Caches, EVERYBODY, Model};

    /// A writer repeats rounds of a list, a read of the place, and a write if something is missing. What a round has
    /// listed is known until the next list.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) enum Step {
        Push,
        Contribute,
        List,
        Read { listed: Caches },
        Write { listed: Caches, merged: Caches },
        Done,
        Crashed,
    }

    /// The collector removes contributions that the place contains, one after the other.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum Collector {
        List,
        Read { listed: Caches },
        Remove { left: Caches },
        Absent,
    }

    /// Deviations from the protocol, to show that each of its rules is needed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub(super) struct Faults {
        /// Contributions are removed while running rounds have not seen them.
        pub(super) collects_young: bool,
        /// The collector does not check that the place contains them.
        pub(super) collects_unseen: bool,
        /// A writer is done after its write, without checking it.
        pub(super) never_looks_again: bool,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub(super) struct State {
        faults: Faults,
        with_crashes: bool,
        pub(super) place: Caches,
        pub(super) blobs: Caches,
        /// The contributions, and those of one write ago, which a list may still show.
        pub(super) contributions: Caches,
        lagging: Caches,
        writers: [Step; 3],
        collector: Collector,
    }

    impl State {
        pub(super) fn new(with_crashes: bool, with_collector: bool) -> Self {
            let collector = if with_collector { Collector::List } else { Collector::Absent };
            Self {
                faults: Faults::default(),
                with_crashes,
                place: 0,
                blobs: 0,
                contributions: 0,
                lagging: 0,
                writers: [Step::Push; 3],
                collector,
            }
        }

        pub(super) fn with_faults(self, faults: Faults) -> Self {
            Self { faults, ..self }
        }

        /// The state in which all others have ended, and this writer publishes again.
        pub(super) fn with_one_more(&self, who: usize) -> Self {
            let mut state = Self { with_crashes: false, collector: Collector::Absent, ..self.clone() };
            state.writers[who] = Step::Push;
            state
        }

        /// Applies a write: from now on a list shows at least the state before it.
        fn write(&mut self, change: impl FnOnce(&mut Self)) {
            self.lagging = self.contributions;
            change(self);
        }

        /// The possible results of a list.
        fn lists(&self) -> Vec<Caches> {
            let mut lists = vec![self.contributions, self.lagging];
            lists.dedup();
            lists
        }

        /// The next state for each possible result of a list.
        fn listing(&self, then: impl Fn(&mut Self, Caches)) -> Vec<Self> {
            let listed = |listed| {
                let mut next = self.clone();
                then(&mut next, listed);
                next
            };
            self.lists().into_iter().map(listed).collect()
        }

        pub(super) fn after(&self, who: usize) -> Vec<Self> {
            let own = 1 << who;
            let mut next = self.clone();
            match self.writers[who] {
                Step::Push => {
                    next.blobs |= own;
                    next.writers[who] = Step::Contribute;
                }
                Step::Contribute => {
                    next.write(|next| next.contributions |= own);
                    next.writers[who] = Step::List;
                }
                Step::List => return self.listing(|next, listed| next.writers[who] = Step::Read { listed }),
                Step::Read { listed } => next.writers[who] = decide(self.place, listed | own),
                Step::Write { merged, .. } => {
                    next.write(|next| next.place = merged);
                    next.writers[who] = if self.faults.never_looks_again { Step::Done } else { Step::List };
                }
                Step::Done | Step::Crashed => return Vec::new(),
            }
            vec![next]
        }

        fn after_collector(&self) -> Vec<Self> {
            let mut next = self.clone();
            match self.collector {
                Collector::Absent => return Vec::new(),
                Collector::List => return self.listing(|next, listed| next.collector = Collector::Read { listed }),
                Collector::Read { listed } => {
                    let may_go = self.faults.collects_unseen || listed & !self.place == 0;
                    let left = if self.faults.collects_young { listed } else { listed & self.old() };
                    next.collector = if may_go { Collector::Remove { left } } else { Collector::List };
                }
                Collector::Remove { left: 0 } => next.collector = Collector::List,
                Collector::Remove { left } => {
                    let one = 1 << left.trailing_zeros();
                    next.write(|next| next.contributions &= !one);
                    next.collector = Collector::Remove { left: left & !one };
                }
            }
            vec![next]
        }

        /// The contributions that every running round has seen.
        fn old(&self) -> Caches {
            let seen = |step: &Step| match step {
                Step::Read { listed } | Step::Write { listed, .. } => *listed,
                _ => EVERYBODY,
            };
            self.writers.iter().map(seen).fold(EVERYBODY, |old, seen| old & seen)
        }

        pub(super) fn is_over(&self) -> bool {
            self.writers.iter().all(|step| matches!(step, Step::Done | Step::Crashed))
        }

        pub(super) fn told(&self) -> Caches {
            (0..3).filter(|&who| self.writers[who] == Step::Done).map(|who| 1 << who).sum()
        }

        /// The caches that were published, and are neither in the place nor in a contribution.
        pub(super) fn lost(&self) -> Caches {
            self.told() & !(self.place | self.contributions)
        }

        /// The states after all unfinished writers have continued alone, one after the other.
        pub(super) fn finished(&self) -> Vec<Self> {
            let mut states = vec![self.clone()];
            for who in 0..3 {
                let mut over = Vec::new();
                while let Some(state) = states.pop() {
                    let next = state.after(who);
                    if next.is_empty() { over.push(state) } else { states.extend(next) }
                }
                states = over;
            }
            states
        }

        pub(super) fn ends(states: &[Self]) -> impl Iterator<Item = &Self> {
            states.iter().filter(|state| state.is_over())
        }
    }

    /// Whether a round is the last one, or has to write.
    fn decide(place: Caches, listed: Caches) -> Step {
        debug_assert!(listed | place <= EVERYBODY);
        if listed & !place == 0 { Step::Done } else { Step::Write { listed, merged: place | listed } }
    }

    impl Model for State {
        fn next(&self) -> Vec<Self> {
            let mut next: Vec<Self> = (0..3).flat_map(|who| self.after(who)).collect();
            next.extend(self.after_collector());
            let running = (0..3).filter(|&who| self.with_crashes && !self.after(who).is_empty());
            next.extend(running.map(|who| {
                let mut crashed = self.clone();
                crashed.writers[who] = Step::Crashed;
                crashed
            }));
            next
        }
    }
}

use commits::{KINDS, Kind, State as Commits};
use contributions::{Faults, State as Contributed};

#[test]
fn no_store_ever_has_a_cache_with_missing_blobs() {
    for kind in KINDS {
        for state in explore(Commits::new(kind, 3, true)) {
            assert_eq!(state.place & !state.blobs, 0, "{state:?}");
        }
    }
    for state in explore(Contributed::new(true, true)) {
        assert_eq!((state.place | state.contributions) & !state.blobs, 0, "{state:?}");
    }
}

#[test]
fn a_conditional_store_loses_no_published_cache() {
    for state in explore(Commits::new(Kind::Conditional, 3, true)) {
        assert_eq!(state.lost(), 0, "{state:?}");
    }
}

#[test]
fn every_writer_succeeds_in_a_conditional_store() {
    for state in explore(Commits::new(Kind::Conditional, 3, false)).into_iter().filter(Commits::is_over) {
        assert_eq!((state.told(), state.place), (EVERYBODY, EVERYBODY), "{state:?}");
    }
}

#[test]
fn contributions_keep_every_published_cache_whoever_crashes() {
    let states = explore(Contributed::new(true, true));
    println!("{} states", states.len());
    for state in &states {
        assert_eq!(state.lost(), 0, "{state:?}");
    }
    assert!(Contributed::ends(&states).count() > 0);
}

#[test]
fn the_place_has_all_caches_when_all_contributors_are_done() {
    let states = explore(Contributed::new(false, true));
    println!("{} states", states.len());
    assert!(Contributed::ends(&states).count() > 0);
    for state in Contributed::ends(&states) {
        assert_eq!((state.told(), state.place), (EVERYBODY, EVERYBODY), "{state:?}");
    }
}

#[test]
fn a_cache_hidden_by_a_crash_is_there_after_the_next_publish() {
    let states = explore(Contributed::new(true, true));
    let is_hidden = |state: &&Contributed| state.told() & !state.place != 0;
    let hidden: Vec<_> = Contributed::ends(&states).filter(is_hidden).collect();
    assert!(!hidden.is_empty(), "a writer that is killed between its write and its look can hide another one's cache");
    for state in hidden {
        for who in (0..3).filter(|who| state.told() & (1 << who) == 0) {
            for after in state.with_one_more(who).finished() {
                assert_eq!(state.told() & !after.place, 0, "{state:?}");
            }
        }
    }
}

#[test]
fn a_single_contributor_needs_one_round_and_a_check() {
    let mut alone = Contributed::new(false, false);
    let mut steps = 0;
    while let Some(next) = alone.after(0).pop() {
        (alone, steps) = (next, steps + 1);
    }
    // The steps are push, contribute, list, read, write; list, read.
    assert_eq!((steps, alone.told(), alone.place), (7, 0b001, 0b001));
}

#[test]
fn each_deviation_from_the_protocol_loses_contributions() {
    let finds = |with_crashes, faults, what: fn(&Contributed) -> bool| {
        let states = explore_until(Contributed::new(with_crashes, true).with_faults(faults), what);
        states.last().is_some_and(what)
    };
    let is_lost = |state: &Contributed| state.lost() != 0;
    assert!(finds(false, Faults { collects_young: true, ..Faults::default() }, is_lost));
    assert!(finds(true, Faults { collects_unseen: true, ..Faults::default() }, is_lost));
    let is_short = |state: &Contributed| state.is_over() && state.place != EVERYBODY;
    assert!(finds(false, Faults { never_looks_again: true, ..Faults::default() }, is_short));
}

#[test]
fn a_timed_store_has_all_that_was_published_when_all_writers_are_done() {
    let states = explore(Commits::new(Kind::Timed, 3, false));
    println!("{} states", states.len());
    let over: Vec<&Commits> = states.iter().filter(|state| state.is_over()).collect();
    assert!(over.iter().any(|state| state.told() == EVERYBODY));
    for state in over {
        assert_eq!(state.lost(), 0, "{state:?}");
    }
}

#[test]
fn a_watched_store_loses_only_what_is_overwritten_between_a_read_and_a_commit() {
    let states = explore(Commits::new(Kind::Watched, 2, true));
    assert!(states.iter().any(|state| state.lost() != 0), "its guarantee is weaker, and this shows it");
    // A loss occurs only if another writer commits after an earlier read.
    for state in states.iter().filter(|state| state.is_over()) {
        let last_is_whole = state.place != 0 || state.told() == 0;
        assert!(last_is_whole, "{state:?}");
    }
}

#[test]
fn a_watched_store_loses_nothing_when_writers_come_one_after_the_other() {
    let mut state = Commits::new(Kind::Watched, 3, false);
    for who in 0..3 {
        while let Some(next) = state.after(who) {
            state = next;
        }
    }
    assert_eq!((state.told(), state.place), (EVERYBODY, EVERYBODY));
}

#[test]
fn a_blind_store_keeps_one_of_them() {
    let states = explore(Commits::new(Kind::Blind, 3, false));
    let over: Vec<Commits> = states.into_iter().filter(Commits::is_over).collect();
    assert!(!over.is_empty() && over.iter().all(|state| state.place.count_ones() == 1));
}

#[test]
fn a_crash_leaves_a_cache_that_was_there_before_or_the_new_one() {
    for kind in [Kind::Conditional, Kind::Watched] {
        for state in explore(Commits::new(kind, 2, true)) {
            for who in 0..2 {
                let Some(crashed) = state.after_crash(who) else { continue };
                assert_eq!((crashed.place, crashed.version), (state.place, state.version));
            }
        }
    }
}
