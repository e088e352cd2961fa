//! The files of Docker and Podman that hold credentials or name credential helpers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use base64::{Engine as _, alphabet, engine::DecodePaddingMode};
use cache_core::{Error, ErrorKind, Result};
use cache_kit::read_file;
use serde::Deserialize;

use super::login::{AuthSource, Login, MissingHelper};
use super::{Credential, helper};
use crate::error;
use crate::reference::Reference;

/// How much of a file is read.
const LARGEST: u64 = 16 << 20;
/// The key that Docker uses for Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// `~/.docker/config.json`, and `auth.json` of Podman, which adds keys with a part of the repository's path.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthFile {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The first credential that a source or a helper has for the reference; anonymous when none has.
pub(crate) async fn find(sources: &[AuthSource], reference: &Reference) -> Result<Login> {
    let keys = keys(reference);
    let mut missing = Vec::new();
    for source in sources {
        let about = |error: Error| error.with("path", source);
        let Some(file) = read(source).map_err(about)? else { continue };
        if let Some((name, key)) = file.helper(&keys) {
            let helper = helper::program(name);
            match helper::get(name, key).await.map_err(about)? {
                helper::Answer::Has(credential) => return Ok(Login::found(credential, source, Some(helper))),
                helper::Answer::NotInstalled => missing.push(MissingHelper { helper, source: source.to_string() }),
                helper::Answer::HasNone => {}
            }
        }
        if let Some(found) = file.entry(&keys).map(Entry::credential).unwrap_or(Ok(None)).map_err(about)? {
            return Ok(Login::found(found, source, None));
        }
    }
    Ok(Login::none(sources, missing))
}

/// A missing file is skipped; files are small, and read once.
fn read(source: &AuthSource) -> Result<Option<AuthFile>> {
    let text = match source {
        AuthSource::File(path) => match read_if_there(path)? {
            Some(text) => text,
            None => return Ok(None),
        },
        AuthSource::Variable(_, text) => text.expose().as_bytes().to_vec(),
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    AuthFile::parse(&text).map(Some)
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_file(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from_io(error, "cannot read the credentials").with("backend", crate::KIND)),
    }
}

pub(super) fn unreadable() -> Error {
    error::new(ErrorKind::Unauthenticated, "cannot read the credentials")
}

/// The keys of a reference in a file, the most specific first.
fn keys(reference: &Reference) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = format!("{}/{}", reference.registry(), reference.repository());
    while let Some((shorter, _)) = path.rsplit_once('/') {
        let shorter = shorter.to_owned();
        keys.push(std::mem::replace(&mut path, shorter));
    }
    keys.extend(registry_keys(reference));
    keys
}

/// The keys of its registry alone, the usual one first.
pub(super) fn registry_keys(reference: &Reference) -> Vec<String> {
    let mut keys = vec![reference.registry().to_owned()];
    if reference.is_docker_hub() {
        keys.extend([DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    keys
}

/// The key that Docker writes for the registry: Docker Hub's is its old URL.
pub(super) fn docker_key(keys: &[String]) -> Option<&String> {
    keys.iter().find(|key| *key == DOCKER_HUB_KEY).or_else(|| keys.iter().rfind(|key| !key.contains('/')))
}

impl AuthFile {
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        // The parser's message could quote the file.
        let file = serde_json::from_slice(text);
        file.map_err(|error| unreadable().with("line", error.line()).with("column", error.column()))
    }

    /// The helper to run, and its input.
    pub(super) fn helper<'a>(&'a self, keys: &'a [String]) -> Option<(&'a str, &'a str)> {
        let special = self.cred_helpers.iter().flatten();
        let mut matching = special.filter(|(key, _)| keys.iter().any(|wanted| is_same(key, wanted)));
        match matching.next() {
            Some((key, helper)) => Some((helper, key)),
            None => Some((self.creds_store.as_deref().filter(|helper| !helper.is_empty())?, docker_key(keys)?)),
        }
    }

    /// The keys of its logins that mean one of these.
    pub(super) fn known(&self, keys: &[String]) -> Vec<String> {
        let known = self.auths.iter().flat_map(BTreeMap::keys);
        known.filter(|key| keys.iter().any(|wanted| is_same(key, wanted))).cloned().collect()
    }

    fn entry(&self, keys: &[String]) -> Option<&Entry> {
        let auths = self.auths.as_ref()?;
        let by_key = |wanted: &String| {
            auths.get(wanted).or_else(|| auths.iter().find(|(key, _)| is_same(key, wanted)).map(|(_, entry)| entry))
        };
        keys.iter().find_map(by_key)
    }
}

/// Old versions of Docker wrote URLs where only the host counts.
fn is_same(key: &str, wanted: &str) -> bool {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    let has_scheme = bare.len() < key.len();
    key == wanted || (has_scheme && bare.split('/').next() == Some(wanted))
}

impl Entry {
    /// An empty entry means that a helper has the credential.
    fn credential(&self) -> Result<Option<Credential>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(token)));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        match given(&self.auth) {
            Some(auth) => decode(&auth).ok_or_else(unreadable).map(Some),
            None => {
                let pair = given(&self.username).zip(given(&self.password));
                Ok(pair.map(|(username, password)| Credential::Password { username, password }))
            }
        }
    }
}

/// `auth` is the base64 of `name:password`; padding is optional, and Docker cuts NULs off the end.
fn decode(auth: &str) -> Option<Credential> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let bytes = STANDARD.decode(auth).or_else(|_| LENIENT.decode(auth)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.trim_end_matches('\0').split_once(':')?;
    Some(Credential::password(username, password))
}

#[cfg(test)]
mod tests;
