//! `graph`: draws the records and layers of a cache.

pub(super) mod report;
mod tree;

use cache_ops::graph;

use self::report::Drawing;
use crate::args::{GraphArgs, OutputForm};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;

/// Draws the cache as a tree, for Graphviz, or as JSON.
pub(super) async fn run(session: &Session, args: &GraphArgs) -> Result<Exit, Failure> {
    let mut place = Place::parse(session, &args.spec)?;
    let (_, resolved) = place.resolve(session).await?;
    let graph = graph(&resolved.manifest).map_err(|error| place.explain(error))?;
    if session.globals.output == Some(OutputForm::Dot) {
        output::write(graph.to_dot().as_bytes())?;
    } else {
        let drawing = Drawing::new(&resolved.manifest, graph);
        drop(resolved);
        output::print(session, &drawing)?;
    }
    Ok(Exit::Done)
}
