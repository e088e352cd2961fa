//! The verbs, one file each: what they read, what they find, and how it is reported.

mod completions;
mod copy;
mod doctor;
mod du;
mod inspect;
mod ls;
mod prune;
mod rm;
mod verify;

use crate::args::Verb;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Runs a verb.
pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Copy(args) => copy::run(session, &args).await,
        Verb::Inspect(args) => inspect::run(session, &args).await,
        Verb::Ls(args) => ls::run(session, &args).await,
        Verb::Du(args) => du::run(session, &args).await,
        Verb::Verify(args) => verify::run(session, &args).await,
        Verb::Rm(args) => rm::run(session, &args).await,
        Verb::Prune(args) => prune::run(session, &args).await,
        Verb::Doctor(args) => doctor::run(session, &args).await,
        Verb::Completions(args) => completions::run(&args),
    }
}
