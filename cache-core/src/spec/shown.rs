//! The parts of a spec that may be shown: only names and values that are known to be harmless.
//!
//! A secret can be anywhere in what a person types: after a misspelt name, in the user part of a URL, in a field
//! without a name. So this is a list of what may be shown, and not of what may not.

use std::borrow::Cow;

use super::nearest;
use crate::model::Digest;

/// Replaces everything else.
const REDACTED: &str = "REDACTED";
/// A value with fewer characters is too short to be a secret.
const TOO_SHORT: usize = 4;

/// The form of the values of an attribute that holds no secret.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A name, a path or a URL that the user chose.
    Place,
    /// The same, with a scheme.
    Url,
    /// An owner and a name.
    Repository,
    /// One of these words, or nearly.
    Word(&'static [&'static str]),
    /// A number or a duration.
    Number,
    /// A digest, or its beginning.
    Digest,
}

use Shape::{Number, Place, Word};

const FLAG: Shape = Word(&["true", "false", "yes", "no", "on", "off"]);

/// The attributes of all backends that hold no secrets, by the form of their values. A value of another form may be a
/// secret in the wrong place.
const HARMLESS: [(Shape, &[&str]); 12] = [
    (Place, &["account_name", "bucket", "container", "image", "name", "ref", "region", "scope", "tag", "type"]),
    (Place, &["blobs_prefix", "dest", "manifests_prefix", "prefix", "src"]),
    (Shape::Url, &["account_url", "endpoint_url"]),
    (Shape::Repository, &["repository"]),
    (Shape::Digest, &["digest"]),
    (Word(&["min", "max"]), &["mode"]),
    (Word(&["standard", "adaptive"]), &["retry_mode"]),
    // Those of other tools as well.
    (Word(&["uncompressed", "gzip", "estargz", "zstd", "none", "lz4", "xz", "brotli"]), &["compression"]),
    (FLAG, &["check-present", "disable_accept_encoding", "force-compression", "ignore-error", "image-manifest"]),
    (FLAG, &["oci-mediatypes", "registry.insecure", "reset", "use_path_style"]),
    (Number, &["compression-level", "retry_max_attempts", "timeout", "touch_refresh"]),
    (Number, &["upload_parallelism", "version"]),
];

/// The value of an attribute as it may be shown.
pub(super) fn value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    match shape(name) {
        Some(shape) if value.len() < TOO_SHORT || shape.fits(value) => shown_place(value),
        _ => Cow::Borrowed(REDACTED),
    }
}

/// The name of an attribute as it may be shown: one that looks like a name.
pub(super) fn name(name: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-' | ' ');
    let is_name = shape(name).is_some() || name.len() <= 32 && name.chars().all(is_plain);
    if is_name { name } else { REDACTED }
}

/// The type of a cache as it may be shown: it is a short word.
pub(super) fn kind(kind: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if kind.len() <= 16 && kind.chars().all(is_plain) { kind } else { REDACTED }
}

/// A field without a `=`, if it is the name of an attribute whose value was forgotten.
pub(super) fn lone_field(field: &str) -> Option<&str> {
    (field.is_empty() || shape(&field.to_lowercase()).is_some()).then_some(field)
}

fn shape(name: &str) -> Option<Shape> {
    HARMLESS.iter().find(|(_, names)| names.contains(&name)).map(|(shape, _)| *shape)
}

impl Shape {
    fn fits(self, value: &str) -> bool {
        match self {
            Place => true,
            Self::Url => value.contains("://"),
            Self::Repository => value.contains('/'),
            Word(words) => nearest(&value.to_lowercase(), words).is_some(),
            Number => {
                let is_like_one = |c: char| c.is_ascii_digit() || "+-.nuµmsh".contains(c);
                value.len() <= 20 && value.contains(|c: char| c.is_ascii_digit()) && value.chars().all(is_like_one)
            }
            Self::Digest => is_digest(value),
        }
    }
}

/// A reference, a URL or a path without the parts that hold secrets: user and password, and what follows a `?`.
///
/// ```
/// use cache_core::spec::shown_place;
///
/// assert_eq!(shown_place("https://me:hush@host/x?token=hush"), "https://REDACTED@host/x?REDACTED");
/// assert_eq!(shown_place("host:5000/team/app:main"), "host:5000/team/app:main");
/// ```
#[must_use]
pub fn shown_place(place: &str) -> Cow<'_, str> {
    let (rest, query) = match place.find(['?', '#']) {
        Some(at) if is_url_like(place) => place.split_at(at),
        _ => (place, ""),
    };
    let (scheme, named) =
        rest.split_once("://").map_or(("", rest), |(scheme, named)| (&rest[..scheme.len() + 3], named));
    let named = match named.rsplit_once('@') {
        Some((_, digest)) if is_digest(digest) => return shown_with_digest(scheme, named, query, digest),
        Some((_, host)) if host.contains(['.', ':', '/']) || host == "localhost" => format!("{REDACTED}@{host}"),
        Some(_) => REDACTED.to_owned(),
        None if query.is_empty() => return Cow::Borrowed(place),
        None => named.to_owned(),
    };
    Cow::Owned(joined(scheme, &named, query))
}

/// A `?` or `#` starts a query only after a host or a scheme; a local path may contain one.
fn is_url_like(place: &str) -> bool {
    place.contains("://") || !place.starts_with(['/', '.'])
}

/// `name@sha256:…`, in which only the name can hold anything else.
fn shown_with_digest<'a>(scheme: &str, named: &str, query: &str, digest: &str) -> Cow<'a, str> {
    let name = named.strip_suffix(digest).and_then(|name| name.strip_suffix('@')).unwrap_or_default();
    let name = if name.contains('@') { shown_place(name).into_owned() } else { name.to_owned() };
    Cow::Owned(joined(scheme, &format!("{name}@{digest}"), query))
}

fn joined(scheme: &str, named: &str, query: &str) -> String {
    let mark = query.get(..1).unwrap_or_default();
    let query = if query.is_empty() { String::new() } else { format!("{mark}{REDACTED}") };
    format!("{scheme}{named}{query}")
}

/// Whether the text is a digest, or a shortened one.
fn is_digest(text: &str) -> bool {
    let is_hex = |hex: &str| hex.chars().all(|c| c.is_ascii_hexdigit());
    let is_cut = || ["sha256:", "sha512:"].iter().any(|algorithm| text.strip_prefix(algorithm).is_some_and(is_hex));
    text.parse::<Digest>().is_ok() || is_cut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_form() {
        let names: Vec<_> = HARMLESS.iter().flat_map(|(_, names)| *names).collect();
        assert_eq!(names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len());
    }

    #[test]
    fn a_value_is_shown_that_may_be_meant() {
        for (name, given, shown) in [
            ("mode", "mxa", "mxa"),
            ("mode", "hush", REDACTED),
            ("compression", "GZIP", "GZIP"),
            ("compression", "hush", REDACTED),
            ("compression-level", "-99", "-99"),
            ("compression-level", "0x2b7e1516", REDACTED),
            ("touch_refresh", "24h", "24h"),
            ("touch_refresh", "hush", REDACTED),
            ("registry.insecure", "ture", "ture"),
            ("registry.insecure", "hush", REDACTED),
            ("digest", "sha256:12ab", "sha256:12ab"),
            ("digest", "hush", REDACTED),
            ("bucket", "caches", "caches"),
            ("token", "hush", REDACTED),
        ] {
            assert_eq!(value(name, given), shown, "{name}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_a_place_is_not_shown() {
        for (place, shown) in [
            ("https://me:hush@host/x", "https://REDACTED@host/x"),
            ("https://me:hu/sh@host.example/x", "https://REDACTED@host.example/x"),
            ("me:hush@localhost", "REDACTED@localhost"),
            ("me:hush@host:5000/x:tag", "REDACTED@host:5000/x:tag"),
            ("host/x@hush", "REDACTED"),
            ("host/x?token=hush", "host/x?REDACTED"),
            ("https://host/x#hush", "https://host/x#REDACTED"),
            ("me:hush@host/x@sha256:00", "REDACTED@host/x@sha256:00"),
        ] {
            assert_eq!(shown_place(place), shown, "{place}");
        }
    }

    #[test]
    fn an_account_is_shown_and_its_signature_is_not() {
        let spec: crate::spec::CacheSpec =
            "type=azblob,account_url=https://a.blob.core.windows.net/?sv=1&sig=hush".parse().unwrap();
        assert_eq!(spec.to_string(), "type=azblob,account_url=https://a.blob.core.windows.net/?REDACTED");
        let spec: crate::spec::CacheSpec = "type=azblob,account_url=https://a.blob.core.windows.net".parse().unwrap();
        assert_eq!(spec.to_string(), "type=azblob,account_url=https://a.blob.core.windows.net");
    }

    #[test]
    fn a_place_without_any_is_shown_as_it_is() {
        for place in ["host:5000/a/b:t", "a@sha256:12ab", "/var/a?b", "./a#b", "https://host/x", "", "C:\\cache"] {
            assert_eq!(shown_place(place), place);
        }
    }
}
