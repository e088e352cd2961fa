//! `diff`: what one cache has and another one lacks.

pub(super) mod report;

use cache_core::{CacheManifest, Error};
use cache_ops::diff;

use self::report::Differences;
use crate::args::DiffArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// Compares the caches as a build sees them.
pub(super) async fn run(session: &Session, args: &DiffArgs) -> Result<Exit, Failure> {
    let (a, b) = (read(session, &args.a).await?, read(session, &args.b).await?);
    let differences = diff(&a.1, &b.1).map_err(|error| Failure::from(which(error, &a, &b)))?;
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Findings };
    output::print(session, &Differences::new((&a.0.spec, &a.1), (&b.0.spec, &b.1), &differences))?;
    Ok(exit)
}

async fn read(session: &Session, spec: &str) -> Result<(Place, CacheManifest), Failure> {
    let mut place = Place::parse(session, spec)?;
    let (_, resolved) = place.resolve(session).await?;
    Ok((place, resolved.manifest))
}

/// Adds to an error which of the two caches it is about.
fn which(error: Error, a: &(Place, CacheManifest), b: &(Place, CacheManifest)) -> Error {
    let is_sound = |manifest| cache_core::CacheChains::from_manifest(manifest).is_ok();
    if is_sound(&a.1) { b.0.explain(error) } else { a.0.explain(error) }
}
