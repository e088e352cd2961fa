//! `diff`: what one cache has and another one lacks.

mod compared;
pub(super) mod report;

use cache_core::Error;
use cache_ops::diff;

use self::compared::Compared;
use self::report::Differences;
use crate::args::DiffArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Compares the caches as a build sees them.
pub(super) async fn run(session: &Session, args: &DiffArgs) -> Result<Exit, Failure> {
    let (a, b) = (Compared::read(session, &args.a).await?, Compared::read(session, &args.b).await?);
    let differences = diff(&a.manifest, &b.manifest).map_err(|error| Failure::from(which(error, &a, &b)))?;
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Findings };
    output::print(session, &Differences::new(&a, &b, &differences))?;
    Ok(exit)
}

/// Adds to an error which of the two caches it is about.
fn which(error: Error, a: &Compared, b: &Compared) -> Error {
    let is_a_sound = cache_core::CacheChains::from_manifest(&a.manifest).is_ok();
    if is_a_sound { b.place.explain(error) } else { a.place.explain(error) }
}
