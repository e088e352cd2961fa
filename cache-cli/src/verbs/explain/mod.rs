//! `explain`: why steps of a build missed the cache.

mod caches;
pub(super) mod report;
mod table;

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use cache_kit::open_file;
use cache_ops::{BuildLog, LogLimits};

pub(crate) use self::caches::Caches;
use self::report::Report;
use crate::args::ExplainArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Explains a build. Misses are not failures.
pub(super) async fn run(session: &Session, args: &ExplainArgs) -> Result<Exit, Failure> {
    let log = args.log.as_deref().map(read_log).transpose()?;
    if log.is_none() && args.new.is_none() {
        let failure = Failure::usage("there is nothing to explain: neither NEW nor --log is given");
        return Err(failure.with_hint("name the cache that the build wrote, or its log, or both"));
    }
    let caches = Caches::open(session, args, log.as_ref()).await?;
    let explanation = caches.explain(session, log.as_ref(), args.deep).await?;
    output::print(session, &Report::new(&caches, &explanation, args))?;
    Ok(Exit::Done)
}

/// Reads a log; `-` is stdin.
pub(crate) fn read_log(path: &Path) -> Result<BuildLog, Failure> {
    let read = |log: &mut dyn BufRead| BuildLog::read(log, &LogLimits::default());
    let log = if path.as_os_str() == "-" {
        read(&mut io::stdin().lock())
    } else {
        let file = open_file(path);
        let file =
            file.map_err(|error| Failure::new(Exit::Failed, format!("cannot read {}: {error}", path.display())))?;
        read(&mut BufReader::with_capacity(1 << 18, file))
    };
    log.map_err(|error| error.with("log", path.display()).into())
}
