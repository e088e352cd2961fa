//! `doctor`: tests what a store can do, and prints the `--cache-to` to use.

pub(super) mod report;

use cache_core::seams::Diagnosis;
use cache_core::{CacheSpec, Mode};
use cache_ops::ExportOptions;

use self::report::Report;
use crate::args::DoctorArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// Tests the place. If it cannot be written, that is a failure after the report.
pub(super) async fn run(session: &Session, args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut place = Place::parse(session, &args.spec)?;
    let (report, exit) = examine(session, &mut place).await?;
    output::print(session, &report)?;
    match exit {
        Exit::Done => Ok(exit),
        Exit::Denied => Err(Failure::new(exit, format!("writing a cache to {} is not allowed", place.spec))),
        _ => Err(Failure::new(exit, format!("no cache can be written to {}", place.spec))),
    }
}

async fn examine(session: &Session, place: &mut Place) -> Result<(Report, Exit), Failure> {
    let options = ExportOptions::take(&mut place.spec)?;
    let probe = place.required_probe(session).await?;
    let found = probe.diagnose().await.map_err(|error| place.explain(error))?;
    let exit = verdict(&found);
    let cache_to = found.recommended.as_ref().map(|spec| with_mode(spec, options.mode));
    Ok((Report::new(&place.spec, found, cache_to), exit))
}

fn verdict(found: &Diagnosis) -> Exit {
    match &found.recommended {
        Some(_) => Exit::Done,
        None if found.is_denied() => Exit::Denied,
        None => Exit::Failed,
    }
}

/// Adds the mode of the spec, or `max`: BuildKit's default, `min`, leaves most results out.
fn with_mode(spec: &CacheSpec, mode: Option<Mode>) -> CacheSpec {
    spec.clone().with("mode", mode.unwrap_or(Mode::Max).to_string())
}

#[cfg(test)]
mod tests {
    use cache_core::{Error, ErrorKind};
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::session;

    #[tokio::test]
    async fn a_kind_without_a_probe_is_a_usage_error() {
        let args = DoctorArgs { spec: "type=memory,name=x".to_owned() };
        let failure = run(&session(&MemoryCache::new()), &args).await.unwrap_err();
        assert_eq!((failure.exit, failure.message.contains("type=memory has no probe")), (Exit::Usage, true));
    }

    #[test]
    fn the_verdict_follows_from_what_can_be_written_and_why_not() {
        let refused = |kind| {
            let mut found = Diagnosis::default();
            found.record("index", Err(Error::new(kind, "no")), "");
            found
        };
        assert_eq!(verdict(&refused(ErrorKind::Unsupported)), Exit::Failed);
        assert_eq!(verdict(&refused(ErrorKind::PermissionDenied)), Exit::Denied);
        let mut found = refused(ErrorKind::PermissionDenied);
        found.recommended = Some(CacheSpec::new("memory"));
        assert_eq!(verdict(&found), Exit::Done);
    }
}
