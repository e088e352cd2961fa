//! [`Keys`]: the names of blobs, joined as Go's `path.Join` does in BuildKit.

use cache_core::spec::shown_place;
use cache_core::{Digest, Error, ErrorKind, Result};

/// How long a blob's name may be, in characters.
const LONGEST: usize = 1_024;

/// Where the indexes and the layers of caches are in a container.
///
/// ```
/// use cache_azblob::Keys;
///
/// let keys = Keys::new("team", "manifests", "blobs", ["main", "nightly"])?;
/// assert_eq!(keys.manifests(), ["team/manifests/main", "team/manifests/nightly"]);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    manifests_folder: String,
    blobs_folder: String,
    /// One for each name; at least one, each once.
    manifests: Vec<String>,
}

impl Keys {
    /// Joins the prefixes and the names of a cache. An empty name is allowed, and means the folder of the indexes
    /// itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if there is no name, and for a name that no blob can have: an empty path, a path
    /// above the container, more than 1,024 characters.
    pub fn new<'a>(
        prefix: &str,
        manifests_prefix: &str,
        blobs_prefix: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut manifests = Vec::new();
        for name in names {
            let key = checked(join(&[prefix, manifests_prefix, name]), name)?;
            if !manifests.contains(&key) {
                manifests.push(key);
            }
        }
        if manifests.is_empty() {
            return Err(Error::new(ErrorKind::InvalidSpec, "a cache needs a name").with("attribute", "name"));
        }
        let manifests_folder = join(&[prefix, manifests_prefix]);
        Ok(Self { manifests_folder, blobs_folder: join(&[prefix, blobs_prefix]), manifests })
    }

    /// The names of the indexes, in the order of the cache's names, each once.
    #[must_use]
    pub fn manifests(&self) -> &[String] {
        &self.manifests
    }

    /// The name of a layer's blob.
    #[must_use]
    pub fn blob(&self, digest: &Digest) -> String {
        join(&[&self.blobs_folder, &digest.to_string()])
    }

    /// The key of the index with the first name.
    pub(crate) fn first(&self) -> &str {
        self.manifests.first().map_or("", String::as_str)
    }

    /// The same folders, with one index of this name.
    pub(crate) fn at(&self, name: &str) -> Result<Self> {
        let key = checked(join(&[&self.manifests_folder, name]), name)?;
        Ok(Self { manifests: vec![key], ..self.clone() })
    }

    /// The prefix of the names of all indexes.
    pub(crate) fn manifests_start(&self) -> &str {
        start(&self.manifests_folder)
    }

    /// The prefix of the names of all layers.
    pub(crate) fn blobs_start(&self) -> String {
        below(&self.blobs_folder)
    }

    /// The name of the cache, from the name of its index; `None` for any other blob.
    pub(crate) fn name_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let is_layer = key.rsplit('/').next().is_some_and(|last| last.parse::<Digest>().is_ok());
        if is_layer {
            return None;
        }
        if key == self.manifests_folder {
            return Some("");
        }
        key.strip_prefix(&below(&self.manifests_folder)).filter(|name| !name.is_empty())
    }

    /// The digest, of the name of a layer.
    pub(crate) fn digest_of(&self, key: &str) -> Option<Digest> {
        key.strip_prefix(&self.blobs_start())?.parse().ok()
    }

    /// A name below the prefix of layers that is not a digest.
    pub(crate) fn beside_blobs(&self, name: &str) -> String {
        join(&[&self.blobs_folder, name])
    }
}

impl Default for Keys {
    /// BuildKit's: `manifests/buildkit`, and layers below `blobs/`.
    fn default() -> Self {
        Self {
            manifests_folder: "manifests".to_owned(),
            blobs_folder: "blobs".to_owned(),
            manifests: vec!["manifests/buildkit".to_owned()],
        }
    }
}

/// A folder that is the container itself has no name of its own.
fn start(folder: &str) -> &str {
    if folder == "." { "" } else { folder }
}

fn below(folder: &str) -> String {
    match start(folder) {
        "" => String::new(),
        "/" => "/".to_owned(),
        folder => format!("{folder}/"),
    }
}

fn checked(key: String, name: &str) -> Result<String> {
    let is_short = key.chars().count() <= LONGEST;
    // A URL has no segment `.` or `..`.
    if is_short && !matches!(key.as_str(), "" | "." | ".." | "/") {
        return Ok(key);
    }
    let message = if is_short { "no blob can have this name" } else { "the name is longer than 1,024 characters" };
    Err(Error::new(ErrorKind::InvalidSpec, message)
        .with("attribute", "name")
        .with("name", format!("{:?}", shown_place(name))))
}

/// Joins as Go's [`path.Join`](https://pkg.go.dev/path#Join): empty parts are left out, `.` and doubled slashes vanish,
/// `..` removes the part before it. Without parts the result is empty.
fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { clean(&parts.join("/")) }
}

fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match kept.last() {
            _ if part != ".." => kept.push(part),
            Some(&last) if last != ".." => drop(kept.pop()),
            _ if is_rooted => {}
            _ => kept.push(part),
        }
    }
    match (is_rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

#[cfg(test)]
mod tests;
