//! `repair`: writes the largest sound cache that is in a damaged one.

mod findings;
pub(super) mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cache_core::{Error, ErrorKind};
use cache_ops::{Depth, RepairOptions, Repaired, repair, repair_as_found};

use self::report::{Repair, Status};
use super::rewrite::{Intent, Rewrite};
use super::rm::advice::advised;
use crate::args::RepairArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::{Step, Watched};
use crate::session::Session;
use crate::spec::Place;

/// Checks every blob, or uses the findings of `verify`, and writes what is sound.
pub(super) async fn run(session: &Session, args: &RepairArgs) -> Result<Exit, Failure> {
    let depth = if args.fast { Depth::Fast } else { Depth::Deep };
    let (spec, files) = spec_and_files(args)?;
    let rewrite = Rewrite::open(session, spec, args.to.as_deref(), Intent::Repair(depth)).await?;
    let repaired = match files {
        [] => look(session, &rewrite, depth).await,
        files => repair_as_found(rewrite.manifest(), &findings::read(files, rewrite.manifest())?),
    };
    let repaired = match repaired {
        Ok(repaired) => repaired,
        Err(error) => return Err(failed(session, &rewrite.source, error).await),
    };
    let is_changed = repaired.is_changed() || rewrite.instead.is_some();
    let status = match (args.dry_run, is_changed) {
        (true, _) => Status::DryRun,
        (false, true) => Status::Repaired,
        (false, false) => Status::Sound,
    };
    // A sound cache is not written again in place.
    let is_written = !args.dry_run && (is_changed || !rewrite.is_in_place());
    let written = if is_written { Some(rewrite.write(session, &repaired.manifest).await?) } else { None };
    output::print(session, &Repair::new(&rewrite, status, &repaired, written.as_ref()))?;
    Ok(Exit::Done)
}

/// The cache and the files of findings. The flag takes every word that follows it, and so the spec after the files.
fn spec_and_files(args: &RepairArgs) -> Result<(&str, &[PathBuf]), Failure> {
    if let Some(spec) = &args.spec {
        return Ok((spec.as_str(), &args.findings[..]));
    }
    let found = match &args.findings[..] {
        [files @ .., last] if !files.is_empty() && !is_file(last) => last.to_str().map(|spec| (spec, files)),
        _ => None,
    };
    let missing = || Failure::usage("the cache to repair is missing").with_hint("SPEC goes before --findings");
    found.ok_or_else(missing)
}

/// Whether findings are meant: by an existing file, or by the name of one.
fn is_file(path: &Path) -> bool {
    path.is_file() || path.extension().is_some_and(|extension| extension == "json")
}

/// Checks every blob.
async fn look(session: &Session, rewrite: &Rewrite, depth: Depth) -> Result<Repaired, Error> {
    let bytes = if depth == Depth::Deep { rewrite.manifest().unique_bytes() } else { 0 };
    session.reporter.step(&Step::Started { task: "repair", blobs: rewrite.manifest().blobs().len(), bytes });
    let blobs = Watched { inner: &*rewrite.importer, reporter: Arc::clone(&session.reporter), depth };
    let options = RepairOptions::default().with_depth(depth).with_concurrency(session.concurrency());
    let repaired = repair(rewrite.manifest(), &blobs, options).await;
    session.reporter.finish();
    repaired
}

/// If nothing sound is left, the failure says how to delete the cache.
async fn failed(session: &Session, source: &Place, error: Error) -> Failure {
    let is_lost = error.kind() == ErrorKind::NotFound;
    let failure = Failure::from(source.explain(error));
    if is_lost { advised(session, source, failure).await } else { failure }
}
