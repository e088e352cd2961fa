//! Stores logins as Docker does: in a `config.json`, or in the credential helper that it names.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cache_core::json::JsonObject;
use cache_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::ser::Error as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::files::{AuthFile, docker_key, read_if_there, registry_keys, unreadable};
use super::helper::{self, Done};
use crate::error;
use crate::reference::Reference;

const AUTHS: &str = "auths";
/// How often the lock of a folder is tried, and the wait between two tries.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);
/// How many levels of a file are laid out; Docker has five.
const LEVELS: u8 = 32;

/// A file of logins, and a registry.
pub(crate) struct Keeper<'a> {
    pub(crate) file: &'a Path,
    pub(crate) reference: &'a Reference,
}

impl Keeper<'_> {
    /// Stores the login, in place of any other for the registry; returns the helper that has it, if any.
    pub(crate) async fn keep(&self, username: &str, password: &str) -> Result<Option<String>> {
        let text = self.read()?;
        let (keys, file) = (registry_keys(self.reference), self.parse(&text)?);
        let Some(key) = docker_key(&keys) else { return Ok(None) };
        let Some((name, server)) = file.helper(&keys) else {
            let auth = STANDARD.encode(format!("{username}:{password}"));
            let entry = serde_json::json!({ "auth": auth });
            self.edit(&keys, Some((key, entry))).await?;
            return Ok(None);
        };
        match helper::store(name, server, username, password).await.map_err(|error| self.with_context(error))? {
            Done::NotInstalled => Err(self.not_installed(name)),
            Done::Yes | Done::HadNone => {
                // As Docker leaves it there: a name whose secret is elsewhere.
                self.edit(&keys, Some((key, serde_json::json!({})))).await?;
                Ok(Some(helper::program(name)))
            }
        }
    }

    /// Removes the login; returns whether there was one.
    pub(crate) async fn forget(&self) -> Result<bool> {
        let text = self.read()?;
        let (keys, file) = (registry_keys(self.reference), self.parse(&text)?);
        let erased = match file.helper(&keys) {
            Some((name, server)) => helper::erase(name, server).await.map_err(|error| self.with_context(error))?,
            None => Done::HadNone,
        };
        let was_in_file = !file.known(&keys).is_empty();
        if was_in_file {
            self.edit(&keys, None).await?;
        }
        Ok(was_in_file || erased == Done::Yes)
    }

    fn read(&self) -> Result<Vec<u8>> {
        let text = read_if_there(self.file).map_err(|error| self.with_context(error))?.unwrap_or_default();
        let is_empty = text.iter().all(u8::is_ascii_whitespace);
        Ok(if is_empty { b"{}".to_vec() } else { text })
    }

    fn parse(&self, text: &[u8]) -> Result<AuthFile> {
        AuthFile::parse(text).map_err(|error| self.with_context(error))
    }

    /// Replaces the entries of the keys by `entry`, or removes them; everything else in the file is kept.
    async fn edit(&self, keys: &[String], entry: Option<(&String, serde_json::Value)>) -> Result<()> {
        let target = self.target()?;
        let folder = target.parent().unwrap_or(Path::new("."));
        // Read again, since another program may have changed the file.
        let _only_writer = only_writer(folder).await;
        let text = self.read()?;
        let known = self.parse(&text)?.known(keys);
        let mut document = JsonObject::decode(&text).map_err(|_| self.with_context(unreadable()))?;
        let mut logins: JsonObject =
            document.field(AUTHS).map_err(|_| self.with_context(unreadable()))?.unwrap_or_default();
        for key in known {
            let _ = logins.remove(&key);
        }
        if let Some((key, entry)) = entry {
            logins.set(key, &entry);
        }
        document.set(AUTHS, &logins);
        let text = indented(&document).map_err(io::Error::from);
        text.and_then(|text| replace(&target, &text)).map_err(|error| self.unwritten(error))
    }

    /// The file to write; links are followed, as in a home directory that is kept in a repository. Its folder is
    /// created.
    fn target(&self) -> Result<PathBuf> {
        let target = fs::canonicalize(self.file).unwrap_or_else(|_| self.file.to_owned());
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder.map_or(Ok(()), make_private);
        made.map(|()| target).map_err(|error| self.unwritten(error))
    }

    fn unwritten(&self, error: io::Error) -> Error {
        self.with_context(Error::from_io(error, "cannot write the credentials").with("backend", crate::KIND))
    }

    fn not_installed(&self, name: &str) -> Error {
        let (program, file) = (helper::program(name), self.file.display());
        let error = error::new(ErrorKind::Unauthenticated, "the credential helper is not installed");
        self.with_context(error.with("helper", &program))
            .with_hint(format!("install {program}, or remove it from {file}"))
    }

    fn with_context(&self, error: Error) -> Error {
        error.with("path", self.file.display())
    }
}

/// Locks the folder, so that programs like this one write one after the other; `None` if there are no such locks, or if
/// another program holds it for long.
async fn only_writer(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
            Err(fs::TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Writes a file that only its owner can read, by a rename: a concurrent reader gets the old file or the new one.
fn replace(target: &Path, text: &[u8]) -> io::Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let new = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write_private(&new, text).and_then(|()| {
        keep_owner(target, &new);
        fs::rename(&new, target)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    // Left by an earlier process with the same id; others may be able to read it.
    let _ = fs::remove_file(path);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Keeps the owner of the file, for logins by sudo.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if let (Ok(old), Ok(made)) = (fs::metadata(old), fs::metadata(new))
        && old.uid() != made.uid()
    {
        let _ = chown(new, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &Path) {}

/// A document as Docker lays it out, with a tab for each level.
fn indented(document: &JsonObject) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    let with_tabs = PrettyFormatter::with_indent(b"\t");
    Laid(&to_raw_value(document)?, LEVELS).serialize(&mut Serializer::with_formatter(&mut out, with_tabs))?;
    out.push(b'\n');
    Ok(out)
}

/// A value whose fields keep their order and text; the number is how many levels are indented.
struct Laid<'a>(&'a RawValue, u8);

impl Serialize for Laid<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let &Self(value, levels) = self;
        let text = value.get();
        match text.as_bytes() {
            [b'{', ..] if levels > 0 => {
                let object: JsonObject = serde_json::from_str(text).map_err(S::Error::custom)?;
                serializer.collect_map(object.fields().map(|(name, value)| (name, Laid(value, levels - 1))))
            }
            [b'[', ..] if levels > 0 => {
                let list: Vec<&RawValue> = serde_json::from_str(text).map_err(S::Error::custom)?;
                serializer.collect_seq(list.into_iter().map(|value| Laid(value, levels - 1)))
            }
            _ => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests;
