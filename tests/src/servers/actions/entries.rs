//! The entries of the service, and the rules for them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cache_core::Digest;

use super::routes::Refusal;
use super::token::{Scope, now};
use super::{Dialect, Options};

/// The key for URLs; a signature is only a hash with it.
const SECRET: &str = "the service's own";
const READ: u64 = 1;
const WRITE: u64 = 2;
/// Entries that get the same second from act.
const A_SECOND: u64 = 3;

/// Entries, finalised or not, by their numbers.
#[derive(Debug, Default)]
pub struct Entries {
    by_id: BTreeMap<u64, Entry>,
    last_id: u64,
    reserved: Vec<Instant>,
    /// How often all signed URLs were made to expire.
    generation: u64,
    signatures: Vec<String>,
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number, which increases with time.
    pub id: u64,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: String,
    /// The Git ref that it is for.
    pub scope: String,
    /// Its bytes, as far as they are uploaded.
    pub bytes: Option<Bytes>,
    /// Whether it is finalised and can be found.
    pub is_ready: bool,
    pub(super) created: SystemTime,
    pub(super) accessed: SystemTime,
    /// Blocks that are not committed yet.
    pub(super) blocks: HashMap<String, Bytes>,
}

impl Entries {
    /// Every entry, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values()
    }

    /// Inserts a finalised entry, even if there is one.
    pub fn insert(&mut self, scope: &str, key: &str, version: &str, bytes: Bytes) -> u64 {
        let id = self.add(scope, key, version);
        let entry = self.by_id.get_mut(&id).expect("it was just added");
        (entry.bytes, entry.is_ready) = (Some(bytes), true);
        id
    }

    /// Inserts a reservation that is never finalised.
    pub fn insert_reserved(&mut self, scope: &str, key: &str, version: &str) {
        self.add(scope, key, version);
    }

    /// Removes the chosen entries.
    pub fn remove(&mut self, is_chosen: impl Fn(&Entry) -> bool) {
        self.by_id.retain(|_, entry| !is_chosen(entry));
    }

    /// Replaces the bytes of the chosen entries.
    pub fn overwrite(&mut self, bytes: &Bytes, is_chosen: impl Fn(&Entry) -> bool) {
        for entry in self.by_id.values_mut().filter(|entry| is_chosen(entry)) {
            entry.bytes = Some(bytes.clone());
        }
    }

    /// Sets the creation time of the chosen entries.
    pub fn set_created(&mut self, created: SystemTime, is_chosen: impl Fn(&Entry) -> bool) {
        self.by_id.values_mut().filter(|entry| is_chosen(entry)).for_each(|entry| entry.created = created);
    }

    pub(super) fn get(&mut self, id: u64) -> Option<&mut Entry> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn delete(&mut self, id: u64) -> Option<Entry> {
        self.by_id.remove(&id)
    }

    fn add(&mut self, scope: &str, key: &str, version: &str) -> u64 {
        self.last_id += 1;
        let entry = Entry {
            id: self.last_id,
            key: key.to_owned(),
            version: version.to_owned(),
            scope: scope.to_owned(),
            bytes: None,
            is_ready: false,
            created: SystemTime::now(),
            accessed: SystemTime::now(),
            blocks: HashMap::new(),
        };
        self.by_id.insert(self.last_id, entry);
        self.last_id
    }

    /// Reserves a key in the last scope that the token can write.
    pub(super) fn reserve(
        &mut self,
        options: &Options,
        scopes: &[Scope],
        key: &str,
        version: &str,
    ) -> Result<u64, Refusal> {
        check_key(key, version)?;
        let Some((scope, _)) = scopes.iter().rev().find(|(_, mask)| mask & WRITE != 0) else {
            let message = "cache write denied: the token has read-only access to the cache";
            return Err(Refusal::new(403, "write_denied", message));
        };
        self.count_upload(options)?;
        let is_same = |entry: &&Entry| entry.scope == *scope && entry.key == key && entry.version == version;
        match (options.dialect, self.by_id.values().find(is_same)) {
            (Dialect::GitHub, Some(_)) if !options.doubles => {
                let message = "cache entry with the same key, version, and scope already exists";
                return Err(Refusal::new(409, "already_exists", message));
            }
            (Dialect::Numbered, Some(_)) if self.by_id.values().any(|entry| is_same(&entry) && !entry.is_ready) => {
                return Err(Refusal::new(200, "refused", ""));
            }
            _ => {}
        }
        if options.dialect != Dialect::Act {
            return Ok(self.add(scope, key, version));
        }
        let id = self.add(scope, &key.to_lowercase(), version);
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.created = SystemTime::UNIX_EPOCH + Duration::from_secs(id / A_SECOND);
        }
        Ok(id)
    }

    fn count_upload(&mut self, options: &Options) -> Result<(), Refusal> {
        let minute = Duration::from_secs(60);
        if options.uploads_per_minute == 0 {
            return Ok(());
        }
        self.reserved.retain(|at| at.elapsed() < minute);
        if self.reserved.len() >= options.uploads_per_minute {
            let wait = minute.saturating_sub(self.reserved[0].elapsed()).as_secs() + 1;
            return Err(Refusal::new(429, "resource_exhausted", "rate limit exceeded").after(wait));
        }
        self.reserved.push(Instant::now());
        Ok(())
    }

    /// Makes a reserved entry visible, and evicts others for it.
    pub(super) fn finalize(&mut self, options: &Options, id: u64, size: u64) -> Result<(), Refusal> {
        let missing = || Refusal::new(404, "not_found", "cache entry reservation not found");
        let entry = self.by_id.get_mut(&id).ok_or_else(missing)?;
        if options.dialect == Dialect::Numbered {
            entry.join_by_number();
        }
        let have = entry.bytes.as_ref().map_or(-1, |bytes| bytes.len() as i128);
        if have != i128::from(size) && options.dialect == Dialect::GitHub {
            let message = format!("size mismatch: uploaded {have}, finalized with {size}");
            return Err(Refusal::new(400, "invalid_argument", &message));
        }
        entry.is_ready = true;
        if options.dialect == Dialect::Numbered {
            let new = entry.clone();
            self.by_id.retain(|other, entry| *other == id || !entry.is_ready || !entry.is_alike(&new));
        }
        self.evict(options.quota);
        Ok(())
    }

    fn evict(&mut self, quota: u64) {
        let mut ready: Vec<(SystemTime, u64, u64)> = self
            .by_id
            .values()
            .filter(|entry| entry.is_ready)
            .map(|entry| (entry.accessed, entry.id, entry.size()))
            .collect();
        ready.sort_unstable();
        let mut total: u64 = ready.iter().map(|(_, _, size)| size).sum();
        for (_, id, size) in ready {
            if total <= quota {
                break;
            }
            total -= size;
            self.by_id.remove(&id);
        }
    }

    /// The reserved entry with this key in a scope that may be written.
    pub(super) fn reserved(&self, scopes: &[Scope], key: &str, version: &str) -> Option<u64> {
        let may_write = |scope: &str| scopes.iter().any(|(name, mask)| name == scope && mask & WRITE != 0);
        let is_it =
            |entry: &&Entry| !entry.is_ready && entry.key == key && entry.version == version && may_write(&entry.scope);
        self.by_id.values().find(is_it).map(|entry| entry.id)
    }

    /// Looks in each scope in turn for the key, the key as a prefix, and then for the other keys in the same two ways;
    /// the youngest entry is returned.
    pub(super) fn lookup(
        &mut self,
        dialect: Dialect,
        scopes: &[Scope],
        key: &str,
        others: &[String],
        version: &str,
    ) -> Result<Option<Entry>, Refusal> {
        let is_readable = |mask: u64| mask & READ != 0 || dialect != Dialect::GitHub;
        if !scopes.iter().any(|(_, mask)| is_readable(*mask)) {
            let message = "cache read denied: the token has no readable cache scope";
            return Err(Refusal::new(403, "permission_denied", message));
        }
        let wanted = std::iter::once(key).chain(others.iter().map(String::as_str));
        let wanted: Vec<String> = match dialect {
            Dialect::Act => wanted.map(str::to_lowercase).collect(),
            _ => wanted.map(str::to_owned).collect(),
        };
        for (scope, _) in scopes.iter().filter(|(_, mask)| is_readable(*mask)) {
            for key in &wanted {
                let ready = || {
                    let entries = self.by_age(dialect).into_iter();
                    entries.filter(|entry| entry.is_ready && entry.scope == *scope && entry.version == version)
                };
                let exact = ready().find(|entry| entry.key == *key).map(|entry| entry.id);
                let found = exact.or_else(|| ready().find(|entry| entry.key.starts_with(key)).map(|entry| entry.id));
                if let Some(entry) = found.and_then(|id| self.by_id.get_mut(&id)) {
                    entry.accessed = SystemTime::now();
                    return Ok(Some(entry.clone()));
                }
            }
        }
        Ok(None)
    }

    /// The entries, the youngest first; in act, of those of one second the oldest first.
    fn by_age(&self, dialect: Dialect) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.by_id.values().rev().collect();
        if dialect == Dialect::Act {
            entries.sort_by_key(|entry| (std::cmp::Reverse(entry.created), entry.id));
        }
        entries
    }

    /// The query of a URL that allows `permission`.
    pub(super) fn sign(&mut self, id: u64, permission: &str, lives: Duration) -> String {
        let until = now() + lives.as_secs();
        let signature = self.signature(id, permission, until);
        self.signatures.push(signature.clone());
        format!("sv=2024-11-04&sr=b&sp={permission}&se={until}&sig={signature}")
    }

    /// Whether a URL allows `permission` now.
    pub(super) fn is_signed(&self, id: u64, permission: &str, until: u64, signature: &str) -> bool {
        signature == self.signature(id, permission, until) && until >= now()
    }

    fn signature(&self, id: u64, permission: &str, until: u64) -> String {
        Digest::sha256(format!("{SECRET}|{}|{id}|{permission}|{until}", self.generation).as_bytes()).hex()
    }

    pub(super) fn expire_urls(&mut self) {
        self.generation += 1;
    }

    pub(super) fn signatures(&self) -> Vec<String> {
        self.signatures.clone()
    }
}

impl Entry {
    fn is_alike(&self, other: &Self) -> bool {
        (&self.scope, &self.key, &self.version) == (&other.scope, &other.key, &other.version)
    }

    /// Joins the blocks in the order of their numbers, from 0 up to the first gap.
    fn join_by_number(&mut self) {
        let numbers = (0_u32..).map_while(|number| self.blocks.get(&number.to_string()));
        let joined = numbers.flat_map(|block| block.iter().copied()).collect();
        self.bytes = Some(joined);
    }

    /// Bytes of the entry.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }
}

pub(super) fn check_key(key: &str, version: &str) -> Result<(), Refusal> {
    let message = match () {
        () if key.is_empty() || key.chars().count() > 512 => "key must be between 1 and 512 characters",
        () if key.contains(',') => "key cannot contain commas",
        () if version.is_empty() => "version is required",
        () => return Ok(()),
    };
    Err(Refusal::new(400, "invalid_argument", message))
}
