//! No secret in `Debug`, `Display` or an error.

use std::error::Error as _;
use std::fmt::Write as _;

use cache_core::{CacheSpec, Error, Expect};
use cache_ops::{ExportOptions, ExportSettings, export};

use super::{blob, commit, write};
use crate::faulty::{Fault, Faulty};
use crate::graphs;
use crate::harness::Harness;

/// The text that is planted in place of a secret.
const PLANTED: &str = "hush-2b7e151628aed2a6";

/// No value that holds the configuration shows a secret.
pub async fn no_output_shows_a_secret(place: &dyn Harness) {
    let mut shown = place.shown();
    shown.push(format!("{:?} {}", place.spec(), place.spec()));
    assert_clean(place, &shown);
}

/// Names of attributes for secrets, some of them misspelt.
const SECRETS: [&str; 9] =
    ["account_key", "account_url", "password", "secret", "secret_access_key", "session_token", "token", "tokn", "url"];

/// The error for a bad value does not quote it, whatever the attribute: it may be a secret in the wrong place.
pub async fn a_bad_value_is_not_repeated(place: &dyn Harness) {
    let mut shown = Vec::new();
    for name in names(place).await {
        let spec = place.spec().with(&name, PLANTED);
        let errors = errors_about(place, &spec).await;
        // A valid value is a name, which errors may contain.
        shown.extend(errors.into_iter().map(|error| text(&error.with("cache", &spec))));
    }
    assert!(shown.len() > SECRETS.len(), "an unknown attribute is an error");
    assert_clean(place, &shown);
}

/// A user, a password or a query in a URL of a spec is never shown, whether or not the spec is refused.
pub async fn secrets_in_urls_are_not_shown(place: &dyn Harness) {
    let hiding = format!("https://me:{PLANTED}@host.example/x?sig={PLANTED}");
    let mut shown = Vec::new();
    for name in names(place).await {
        for spec in [place.spec().with(&name, &*hiding), place.spec().with(&name, &*hiding).with("no-such-name", "x")] {
            shown.push(format!("{spec:?} {spec}"));
            shown.extend(errors_about(place, &spec).await.iter().map(text));
        }
    }
    assert_clean(place, &shown);
}

/// The name of an unknown attribute is quoted only if it looks like a name.
pub async fn an_unknown_attribute_is_quoted_only_if_it_looks_like_a_name(place: &dyn Harness) {
    let mut shown = Vec::new();
    for name in [format!("{PLANTED}/{PLANTED}"), format!("https://me:{PLANTED}@host/x?sig")] {
        let spec = place.spec().with(&name, "x");
        shown.push(format!("{spec:?} {spec}"));
        shown.extend(errors_about(place, &spec).await.iter().map(text));
    }
    assert_clean(place, &shown);
}

/// The attributes of the backend, those of every export, and [`SECRETS`].
async fn names(place: &dyn Harness) -> Vec<String> {
    let mut names: Vec<String> = SECRETS.map(str::to_owned).into();
    names.extend(["mode", "compression", "compression-level", "force-compression", "ignore-error"].map(str::to_owned));
    // Too long to look like a misspelling.
    for error in errors_about(place, &place.spec().with(&"x".repeat(60), "x")).await {
        let known = error.hint().and_then(|hint| hint.strip_prefix("known attributes: ")).unwrap_or_default();
        names.extend(known.split(", ").map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

/// The errors of opening a spec in every way.
async fn errors_about(place: &dyn Harness, spec: &CacheSpec) -> Vec<Error> {
    let backend = place.backend();
    let errors = [
        ExportOptions::take(&mut spec.clone()).err(),
        backend.importer(spec).await.err(),
        backend.exporter(spec).await.err(),
        backend.publisher(spec).await.err(),
        backend.store(spec).await.err(),
        backend.probe(spec).await.err(),
    ];
    errors.into_iter().flatten().collect()
}

/// The error for a line that is not a spec quotes only the parts that are known to be harmless.
pub async fn an_invalid_spec_is_not_repeated(place: &dyn Harness) {
    let kind = place.spec().kind().to_owned();
    let hiding = format!("https://me:{PLANTED}@host/x?sig={PLANTED}");
    let mut lines = vec![
        format!("type={kind},{PLANTED}"),
        format!("type={kind},\"token={PLANTED}"),
        format!("{hiding},host/y"),
        format!("{hiding},"),
        format!("{PLANTED}/{PLANTED}="),
    ];
    // Without a type.
    lines.extend(SECRETS.map(|name| format!("bucket=b,{name}={PLANTED}")));
    lines.extend(names(place).await.iter().map(|name| format!("{name}={hiding}")));
    let errors: Vec<Error> = lines.iter().filter_map(|line| line.parse::<CacheSpec>().err()).collect();
    assert_eq!(errors.len(), lines.len());
    assert_clean(place, &errors.iter().map(text).collect::<Vec<_>>());
}

/// Errors of reading and writing and their sources show no secret.
pub async fn an_error_of_a_call_holds_no_secret(place: &dyn Harness) {
    let cache = graphs::cache(1);
    let mut errors = Vec::new();
    let (absent, _) = blob("absent");
    errors.extend(place.importer().await.read(&absent, None).await.err());
    write(place, &cache).await;
    errors.extend(commit(place, &cache, Expect::Absent).await.err());
    let new = graphs::cache(2);
    let source = Faulty::new(&new.blobs).with_everywhere(Fault::Corrupt(0));
    let exporter = place.exporter().await;
    errors.extend(export(&new.manifest, &source, &*exporter, &ExportSettings::default()).await.err());
    let manifest = super::resolve(place).await.expect("just written").manifest;
    if let Some(config) = manifest.raw_manifest().and(manifest.raw_config()) {
        place.lose(&config.descriptor.digest).await;
        errors.extend(place.importer().await.resolve().await.err());
    }
    assert!(errors.len() >= 3, "{errors:?}");
    assert_clean(place, &errors.iter().map(text).collect::<Vec<_>>());
}

/// Everything that an error can show.
fn text(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {:?}", error.hint());
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, " {error} {error:?}").expect("a string takes everything");
        source = error.source();
    }
    text
}

fn assert_clean(place: &dyn Harness, shown: &[String]) {
    let mut secrets = place.secrets();
    secrets.push(PLANTED.to_owned());
    for shown in shown {
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "a secret is shown: {shown}");
    }
}
