//! [`Known`]: answers from one list whether the blobs of an export exist, in place of a request for each.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::Result;
use tokio::sync::OnceCell;

use crate::presence_checks::SMALL;
use crate::{PageSource, Pager};

/// Up to this many blobs are looked up one by one: a list, or a manifest, has other entries too.
pub const FEW: usize = 16;
/// The most keys that are remembered; in an export of more, each is looked up.
const MOST: usize = 100_000;
/// The least keys about which a page of a list must tell to be worth its request.
const WORTH_A_PAGE: usize = 8;

/// What a list tells about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knowledge<T> {
    /// The list has it.
    There(T),
    /// The list does not have it, and is past the place where it would be.
    Absent,
    /// The key has to be looked up.
    Unknown,
}

/// What a list tells about some keys.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The keys in the list.
    pub found: BTreeMap<String, T>,
    /// The keys that were not reached.
    pub rest: BTreeSet<String>,
}

/// How far a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Past the last key.
    Whole,
    /// As long as each page tells about enough keys to save requests.
    Worthwhile,
}

/// What an exporter knows about the blobs that it will push. The list is read once, when the first of many is pushed.
#[derive(Debug)]
pub struct Known<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    wanted: Arc<BTreeSet<String>>,
    listed: Arc<OnceCell<Listed<T>>>,
    /// What the exporter has written since.
    changed: BTreeSet<String>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        let (wanted, listed, changed) = (Arc::default(), Arc::default(), BTreeSet::new());
        Self(Mutex::new(State { wanted, listed, changed }))
    }
}

impl<T: Clone> Known<T> {
    /// Sets the keys of the blobs that will be pushed. Fewer than 17, and more than 100,000, are looked up one by one.
    pub fn expect(&self, keys: impl ExactSizeIterator<Item = String>) {
        let is_worth_a_list = (FEW + 1..=MOST).contains(&keys.len());
        let wanted = if is_worth_a_list { keys.collect() } else { BTreeSet::new() };
        *self.state() = State { wanted: Arc::new(wanted), listed: Arc::default(), changed: BTreeSet::new() };
    }

    /// What is known about a key whose blob has `size` bytes. The first call reads the `list`; a list that fails tells
    /// nothing. The list may be an hour old, so a large blob that is not in it counts as unknown, and is not sent again
    /// without a lookup.
    pub async fn find<F>(&self, key: &str, size: u64, list: impl FnOnce(Arc<BTreeSet<String>>) -> F) -> Knowledge<T>
    where
        F: Future<Output = Result<Listed<T>>>,
    {
        let (wanted, listed) = {
            let state = self.state();
            if !state.wanted.contains(key) || state.changed.contains(key) {
                return Knowledge::Unknown;
            }
            (Arc::clone(&state.wanted), Arc::clone(&state.listed))
        };
        let all = || async move {
            let nothing = |_| Listed { found: BTreeMap::new(), rest: BTreeSet::clone(&wanted) };
            list(Arc::clone(&wanted)).await.unwrap_or_else(nothing)
        };
        let listed = listed.get_or_init(all).await;
        match listed.found.get(key) {
            Some(found) => Knowledge::There(found.clone()),
            None if size > SMALL || listed.rest.contains(key) => Knowledge::Unknown,
            None => Knowledge::Absent,
        }
    }

    /// Notes that a key was written, so that the list is not used for it any more.
    pub fn wrote(&self, key: &str) {
        let mut state = self.state();
        if state.wanted.contains(key) {
            state.changed.insert(key.to_owned());
        }
    }

    /// Forgets the list, so that the next lookup reads a new one: blobs may have been deleted since.
    pub fn expire(&self) {
        let mut state = self.state();
        (state.listed, state.changed) = (Arc::default(), BTreeSet::new());
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Every change leaves a state that may be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what a list tells about `keys`. The identity of its items has to be their key.
///
/// # Errors
/// Whatever the list answers.
pub async fn list_keys<S: PageSource>(
    mut pager: Pager<S>,
    keys: &BTreeSet<String>,
    reach: Reach,
) -> Result<Listed<S::Item>> {
    let (mut found, mut order, mut pages) = (BTreeMap::new(), Order::default(), 0_usize);
    let Some(last) = keys.last() else { return Ok(Listed { found, rest: BTreeSet::new() }) };
    while let Some(items) = pager.next().await? {
        pages = pages.saturating_add(1);
        for item in items {
            let key = S::id(&item);
            order.follow(&key);
            if keys.contains(&key) {
                found.insert(key, item);
            }
        }
        if pager.is_whole() || order.has_passed(last) {
            return Ok(Listed { found, rest: BTreeSet::new() });
        }
        let settled = if order.is_broken { found.len() } else { keys.range(..=order.reached.clone()).count() };
        if reach == Reach::Worthwhile && settled < pages.saturating_mul(WORTH_A_PAGE) {
            let rest = keys.iter().filter(|key| !found.contains_key(*key) && !order.has_passed(key)).cloned().collect();
            return Ok(Listed { found, rest });
        }
    }
    Ok(Listed { found, rest: BTreeSet::new() })
}

/// The common prefix of the keys.
#[must_use]
pub fn common_prefix(keys: &BTreeSet<String>) -> &str {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return "" };
    // Keys in order have in common what the first and the last one have.
    let same = first.char_indices().zip(last.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    first.get(..same.unwrap_or(first.len().min(last.len()))).unwrap_or_default()
}

/// The progress of a list, as long as it is in order: some stores list in no order.
#[derive(Default)]
struct Order {
    reached: String,
    is_broken: bool,
}

impl Order {
    fn follow(&mut self, key: &str) {
        self.is_broken |= key < self.reached.as_str();
        key.clone_into(&mut self.reached);
    }

    /// Whether a key would have been listed by now.
    fn has_passed(&self, key: &str) -> bool {
        !self.is_broken && self.reached.as_str() >= key
    }
}

#[cfg(test)]
mod tests;
