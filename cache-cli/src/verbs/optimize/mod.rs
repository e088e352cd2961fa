//! `optimize`: makes a cache smaller without losing hits.

pub(super) mod report;

use cache_ops::{OptimizeOptions, optimize};

use self::report::{Optimization, Status};
use super::compression::layers_to_convert;
use super::rewrite::{Intent, Rewrite};
use crate::args::OptimizeArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Makes the cache smaller, and writes it if it has changed.
pub(super) async fn run(session: &Session, args: &OptimizeArgs) -> Result<Exit, Failure> {
    let rewrite = Rewrite::open(session, &args.spec, args.to.as_deref(), Intent::Optimize(&args.compression)).await?;
    let limit = match args.max_config_size {
        Some(limit) => Some(limit),
        None => rewrite.destination_facts(session)?.import_limit,
    };
    let options = OptimizeOptions::default().with_max_config_size(limit);
    let optimized = optimize(rewrite.manifest(), &options).map_err(|error| rewrite.source.explain(error))?;
    let is_changed = optimized.is_changed(rewrite.manifest());
    let to_convert =
        rewrite.conversion.as_ref().map_or(0, |conversion| layers_to_convert(&optimized.manifest, conversion));
    let is_written = !args.dry_run && (is_changed || to_convert > 0 || !rewrite.is_in_place());
    // An unchanged cache keeps its bytes.
    let manifest = if is_changed { &optimized.manifest } else { rewrite.manifest() };
    let written = if is_written { Some(rewrite.write(session, manifest).await?) } else { None };
    let converted = written.as_ref().map_or(to_convert, |written| written.converted.len());
    let status = match (args.dry_run, is_changed || converted > 0) {
        (true, _) => Status::DryRun,
        (false, true) => Status::Optimized,
        (false, false) => Status::Unchanged,
    };
    output::print(session, &Optimization::new(&rewrite, status, limit, converted, &optimized, written.as_ref()))?;
    Ok(Exit::Done)
}
