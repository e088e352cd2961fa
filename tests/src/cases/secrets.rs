//! No secret in `Debug`, `Display` or an error.

use std::error::Error as _;
use std::fmt::Write as _;

use cache_core::{CacheSpec, Error, Expect};
use cache_ops::{ExportSettings, export};

use super::{blob, commit, write};
use crate::faulty::{Fault, Faulty};
use crate::graphs;
use crate::harness::Harness;

/// What is planted where a secret may stand.
const PLANTED: &str = "hush-2b7e151628aed2a6";

/// Nothing that holds the configuration shows a secret of it.
pub async fn nothing_shown_holds_a_secret(place: &dyn Harness) {
    let mut shown = place.shown();
    shown.push(format!("{:?} {}", place.spec(), place.spec()));
    assert_clean(place, &shown);
}

/// The values of attributes that may be secret are not in the error, whether they are known, unknown or bad.
pub async fn an_error_about_a_spec_holds_no_secret(place: &dyn Harness) {
    let names =
        ["token", "secret_access_key", "session_token", "account_key", "password", "account_url", "url", "tokn"];
    let mut shown = Vec::new();
    for name in names {
        shown.extend(errors_about(place, &place.spec().with(name, PLANTED).with("no-such-attribute", "x")).await);
    }
    assert!(shown.len() > names.len(), "an unknown attribute is an error");
    assert_clean(place, &shown);
}

/// A user, a password or a query in a place that a spec names is in no error about it.
pub async fn an_error_about_a_place_holds_no_secret(place: &dyn Harness) {
    let names = ["ref", "image", "endpoint_url", "account_url", "url", "url_v2", "use_path_style", "image-manifest"];
    let mut shown = Vec::new();
    for name in names {
        let bad = format!("https://me:{PLANTED}@host.example/x?sig={PLANTED}");
        for spec in [place.spec().with(name, &*bad), place.spec().with(name, &*bad).with("no-such-attribute", "x")] {
            shown.extend(errors_about(place, &spec).await);
        }
    }
    assert_clean(place, &shown);
}

/// What can be seen of a spec and of the errors of whoever opens it.
async fn errors_about(place: &dyn Harness, spec: &CacheSpec) -> Vec<String> {
    let backend = place.backend();
    let errors = [
        backend.importer(spec).await.err(),
        backend.exporter(spec).await.err(),
        backend.publisher(spec).await.err(),
        backend.store(spec).await.err(),
        backend.probe(spec).await.err(),
    ];
    let mut shown = vec![format!("{spec:?} {spec}")];
    shown.extend(errors.iter().flatten().map(text));
    shown
}

/// A line that is no spec is not repeated in what is said about it, but for what is known to be harmless.
pub async fn a_line_that_is_no_spec_is_not_repeated(place: &dyn Harness) {
    let kind = place.spec().kind().to_owned();
    let lines = [
        format!("bucket=b,secret_access_key={PLANTED}"),
        format!("type={kind},{PLANTED}"),
        format!("type={kind},\"token={PLANTED}"),
        format!("https://me:{PLANTED}@host/x,host/y"),
        format!("https://me:{PLANTED}@host/x,"),
    ];
    let errors: Vec<Error> = lines.iter().filter_map(|line| line.parse::<CacheSpec>().err()).collect();
    assert_eq!(errors.len(), lines.len());
    assert_clean(place, &errors.iter().map(text).collect::<Vec<_>>());
}

/// Errors of reading and writing show no secret, nor do the errors behind them.
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

/// Everything that can be seen of an error.
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
