//! `inspect`: shows what is in a cache.

pub(super) mod report;
mod table;

use std::mem::ManuallyDrop;

use cache_core::{Error, ErrorKind, check};

use self::report::Inspection;
use crate::args::InspectArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::report::look_at;
use crate::session::Session;
use crate::spec::Place;

/// Shows the cache, sound or not; with `--raw`, the bytes of its config.
pub(super) async fn run(session: &Session, args: &InspectArgs) -> Result<Exit, Failure> {
    let mut place = Place::parse(session, &args.spec)?;
    // The process ends soon, so a million records need not be freed one by one.
    let resolved = ManuallyDrop::new(place.resolve(session).await?.1);
    let manifest = &resolved.manifest;
    if args.raw {
        let config = manifest.raw_config().ok_or_else(|| {
            let error = Error::new(ErrorKind::Unsupported, "an inline cache has no config of its own");
            place.explain(error.with_hint("inspect -o json shows its records"))
        })?;
        output::write(&config.bytes)?;
    } else {
        let inspection = Inspection::new(manifest, &check(manifest));
        output::print(session, &inspection.with_report_command(look_at(&[&args.spec], None)))?;
    }
    Ok(Exit::Done)
}
